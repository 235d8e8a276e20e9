/** What people command: planned moves, approval, maintenance, observe, two operators at once, hooks that hang, wrong files. */
import { describe, expect } from '@jest/globals';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { turns } from './audit.ts';
import {
  clusterYaml,
  group,
  outageMs,
  pointHooks,
  pointResource,
  virtualAddress,
  web,
  webResource,
} from './config.ts';
import { calls, fail, hold, letGo, letPass, pointsAlive, reached } from './points.ts';
import { stories } from './story.ts';
import { monotonicMs, until } from './until.ts';

const config = (points: string, more = ''): string =>
  clusterYaml(
    group({ more: more + pointHooks(points, '2s'), resources: webResource() + pointResource(points) }),
  );

/** A move with a web service and a hook at each point, on a busy machine. */
const moveMs = 4_000;

describe('what people command', () => {
  const story = stories({ config, targets: [web, `udp:${virtualAddress}`] });

  story(
    'a switchover and back: every step is told, and the client sees two short gaps',
    60_000,
    async (scene) => {
      const { world, owner, standby } = scene;
      const beganMs = monotonicMs();
      const there = await world.operate('w', 'switchover', 'd3', '--to', standby);
      expect(there).toMatchObject({ status: 0, ended: { outcome: 'done' } });
      expect(there.ended?.steps.map(({ name, server }) => `${server}: ${name}`)).toEqual([
        `${owner}: hook beforeRelease 1`,
        `${owner}: stop point`,
        `${owner}: stop web`,
        `${owner}: drop addresses`,
        `${owner}: hook afterRelease 1`,
        `${standby}: hook beforeTakeover 1`,
        `${standby}: probe addresses`,
        `${standby}: add addresses`,
        `${standby}: announce addresses`,
        `${standby}: start web`,
        `${standby}: start point`,
        `${standby}: hook afterTakeover 1`,
      ]);
      await world.client.answeredBy(web, standby, 5_000);
      const back = await world.operate('w', 'switchover', 'd3', '--to', owner);
      expect(back).toMatchObject({ status: 0, ended: { outcome: 'done' } });
      await world.client.answeredBy(web, owner, 5_000);
      const decision = (await world.events('w')).findLast(({ kind }) => kind === 'switchover');
      const again = await world.cluster.holdfast('w', 'replay', decision?.id ?? 'none');
      expect(again.status).toBe(0);
      expect(again.stdout).toContain('Decided now:  the same');
      expect(world.client.longestGapMs(web, beganMs)).toBeLessThan(moveMs);
      expect(turns(world.client.answers(web))).toEqual([owner, standby, owner]);
      expect(calls(world).map((line) => line.split(' ').slice(0, 2).join(' '))).toEqual(
        [
          [owner, standby],
          [standby, owner],
        ].flatMap(([from = '', to = '']) => [
          `beforeRelease ${from}`,
          `stop ${from}`,
          `afterRelease ${from}`,
          `beforeTakeover ${to}`,
          `start ${to}`,
          `afterTakeover ${to}`,
        ]),
      );
    },
  );

  story(
    'failback goes to the first server, and is refused with a sentence when it is there already',
    60_000,
    async ({ world }) => {
      await world.operate('w', 'switchover', 'd3', '--to', 'b');
      await world.active('d3', 'b', 10_000);
      expect(await world.operate('w', 'failback', 'd3')).toMatchObject({
        status: 0,
        ended: { outcome: 'done' },
      });
      expect((await world.status('w')).groups['d3']?.owner).toBe('a');
      const again = await world.operate('w', 'failback', 'd3');
      expect(again.status).not.toBe(0);
      expect(again.stderr).toMatch(/a .*owns|already/);
    },
  );

  story(
    'a dry run tells the steps and changes nothing',
    20_000,
    async ({ world, owner, standby, status }) => {
      const dry = await world.cluster.holdfast(
        'w',
        'switchover',
        'd3',
        '--to',
        standby,
        '--dry-run',
        '-o',
        'json',
      );
      expect(dry.status).toBe(0);
      expect(JSON.parse(dry.stdout)).toMatchObject({ dryRun: true, kind: 'switchover' });
      expect(dry.stdout).toContain('drop addresses');
      expect((await world.status('w')).groups['d3']).toMatchObject({
        owner,
        epoch: status.groups['d3']?.epoch,
        operation: null,
      });
      expect(calls(world)).toEqual([]);
    },
  );

  story(
    'a hook before the release fails: the switchover ends where it began, and the client notices nothing',
    40_000,
    async (scene) => {
      const { world, owner, standby } = scene;
      const beganMs = monotonicMs();
      fail(world, 'beforeRelease');
      const ended = await world.operate('w', 'switchover', 'd3', '--to', standby);
      expect(ended).toMatchObject({ status: 1, ended: { outcome: 'rolled-back' } });
      expect(ended.ended?.reason).toMatch(/beforeRelease/);
      expect(ended.ended?.steps).toMatchObject([
        { name: 'hook beforeRelease 1', server: owner, outcome: 'failed' },
      ]);
      await world.active('d3', owner, 5_000);
      await world.client.answeredBy(web, owner, 5_000);
      expect(world.client.longestGapMs(web, beganMs)).toBeLessThan(1_000);
    },
  );

  story(
    'a group that was removed, and whose hook refuses, stays until a person releases it by force',
    60_000,
    async ({ world, owner }) => {
      fail(world, 'beforeRelease');
      await world.mustApply('w', 'groups: {}\n');
      const refused = `still runs on ${owner}, which refused to release it`;
      await world.until('w', 'the refusal is told', 20_000, ({ warnings }) =>
        warnings.some((says) => says.includes(refused)),
      );
      const again = await world.operate('w', 'release', 'd3');
      expect(again).toMatchObject({ status: 1, ended: { outcome: 'rolled-back' } });
      await world.client.answeredBy(web, owner, 5_000);
      const forced = await world.operate('w', 'release', 'd3', '--force');
      expect(forced).toMatchObject({ status: 0, ended: { outcome: 'done' } });
      expect(calls(world).at(-1)).toMatch(/^afterRelease/);
      await until('the address is gone', 5_000, () => world.holders(virtualAddress).length === 0);
    },
  );

  story('a resource does not start on the target: the switchover is rolled back', 60_000, async (scene) => {
    const { world, owner, standby } = scene;
    fail(world, 'start', standby);
    const ended = await world.operate('w', 'switchover', 'd3', '--to', standby);
    expect(ended).toMatchObject({ status: 1, ended: { outcome: 'rolled-back' } });
    expect(ended.ended?.reason).toMatch(/point/);
    await world.active('d3', owner, 15_000);
    await world.client.answeredBy(web, owner, 5_000);
    // Mended, and asked for again by a person: what failed before is tried again.
    letPass(world, 'start', standby);
    const again = await world.operate('w', 'switchover', 'd3', '--to', standby);
    expect(again).toMatchObject({ status: 0, ended: { outcome: 'done' } });
    await world.client.answeredBy(web, standby, 5_000);
  });

  story(
    '29: two operators at once: one operation for the group; the second is told of the first',
    40_000,
    async (scene) => {
      const { world, owner, standby } = scene;
      hold(world, 'stop');
      const first = world.operate('a', 'switchover', 'd3', '--to', standby);
      await reached(world, 'stop', owner);
      const second = await world.operate('b', 'switchover', 'd3', '--to', owner);
      const third = await world.operate('w', 'failover', 'd3', '--to', standby);
      expect([second.status, third.status]).toEqual([4, 4]);
      const { groups } = await world.status('w');
      expect(second.stderr).toContain(groups['d3']?.operation);
      letGo(world, 'stop');
      expect(await first).toMatchObject({ status: 0, ended: { outcome: 'done' } });
      await world.active('d3', standby, 5_000);
    },
  );

  story(
    '31: a hook that hangs is ended at its limit, with what it started, and the move is rolled back',
    60_000,
    async (scene) => {
      const { world, owner, standby } = scene;
      hold(world, 'beforeTakeover');
      const moving = world.operate('w', 'switchover', 'd3', '--to', standby);
      await reached(world, 'beforeTakeover', standby);
      await until('the hook is ended', 10_000, () => pointsAlive(world, standby) === 0);
      letGo(world, 'beforeTakeover');
      expect(await moving).toMatchObject({ status: 1, ended: { outcome: 'rolled-back' } });
      await world.active('d3', owner, 15_000);
    },
  );

  story('31: a stop that hangs leads to the guard, never to two owners', 60_000, async (scene) => {
    const { world, owner, standby } = scene;
    hold(world, 'stop');
    const moving = world.operate('w', 'switchover', 'd3', '--to', standby);
    await reached(world, 'stop', owner);
    await until('what hangs is ended', 15_000, () => pointsAlive(world, owner) === 0);
    letGo(world, 'stop');
    expect((await moving).status).toBeLessThanOrEqual(1);
    await world.settled();
  });

  story('manual takeover waits for approval', 60_000, async (scene) => {
    const { world, owner, standby } = scene;
    await world.mustApply('w', config(world.points, '    takeover: manual\n'));
    await world.lab.host(owner).powerOff();
    const waiting = await world.until(
      'w',
      'approval is awaited',
      outageMs + 5_000,
      ({ groups }) => groups['d3']?.phase === 'awaiting-approval',
    );
    expect(world.holders(virtualAddress)).toEqual([]);
    const approved = await world.operate('w', 'approve', waiting.groups['d3']?.operation ?? 'none');
    expect(approved).toMatchObject({ status: 0, ended: { outcome: 'done' } });
    await world.client.answeredBy(web, standby, 5_000);
  });

  story(
    'a takeover that is denied does not happen, and the owner goes on when it returns',
    90_000,
    async (scene) => {
      const { world, owner, standby } = scene;
      await world.mustApply('w', config(world.points, '    takeover: manual\n'));
      await world.lab.host(owner).powerOff();
      const waiting = await world.until(
        'w',
        'approval is awaited',
        outageMs + 5_000,
        ({ groups }) => groups['d3']?.phase === 'awaiting-approval',
      );
      const denied = await world.cluster.holdfast(
        'w',
        'deny',
        waiting.groups['d3']?.operation ?? 'none',
        '-o',
        'json',
      );
      expect(denied.status).toBeLessThanOrEqual(1);
      await world.event('w', 5_000, scene.beganWallMs, ({ kind, reason }) =>
        /den(y|ied)/.test(`${kind} ${reason}`),
      );
      expect(world.holders(virtualAddress)).toEqual([]);
      expect(calls(world)).not.toContainEqual(expect.stringContaining(`beforeTakeover ${standby}`));
      await world.boot(owner);
      await world.active('d3', owner, 40_000);
    },
  );

  story('maintenance: a failure is explained and not acted upon until it ends', 60_000, async (scene) => {
    const { world, owner, standby } = scene;
    await world.cluster.must('w', 'maintenance', 'on', '--group', 'd3', '--reason', 'new disks');
    await world.lab.host(owner).powerOff();
    const paused = await world.until(
      'w',
      'the reason is told',
      outageMs + 5_000,
      ({ servers, groups }) =>
        servers[owner]?.state === 'down' && /new disks/.test(groups['d3']?.reason ?? ''),
    );
    expect(paused.groups['d3']?.reason).toContain(standby);
    expect(world.holders(virtualAddress)).toEqual([]);
    await world.cluster.must('w', 'maintenance', 'off', '--group', 'd3');
    await world.client.answeredBy(web, standby, 10_000);
  });

  story('observe: what would be done is told, and nothing is done', 60_000, async (scene) => {
    const { world } = scene;
    const observed = clusterYaml(
      group(),
      group({ name: 'seen', addresses: ['10.77.0.150'], resources: '', more: '    takeover: observe\n' }),
    );
    await world.mustApply('w', observed);
    const { groups } = await world.until(
      'w',
      'seen is observed',
      10_000,
      (status) => status.groups['seen']?.phase === 'observe',
    );
    expect(groups['seen']?.reason).toMatch(/only observed; otherwise: a takes seen up/);
    expect(world.holders('10.77.0.150')).toEqual([]);
  });

  story('a wrong configuration is refused whole', 20_000, async ({ world, status }) => {
    const file = join(world.lab.dir, 'wrong.yaml');
    const good = config(world.points).replaceAll('restarts: 2', 'restarts: 7');
    writeFileSync(
      file,
      `${good}${group({ name: 'other', addresses: ['10.77.0.151'], outage: '5', resources: '' })}`,
    );
    const refused = await world.cluster.holdfast('w', 'apply', '-f', file);
    expect(refused.status).toBe(2);
    expect(refused.stderr).toContain(`${file}: groups.other.outage`);
    expect(refused.stderr).toMatch(/unit/);
    const after = await world.status('w');
    expect(Object.keys(after.groups)).toEqual(['d3']);
    expect(after.groups['d3']?.epoch).toBe(status.groups['d3']?.epoch);
  });
});
