/** Cables, paths and strangers: faults 10 to 18, 23 and 28, with real networks. */
import { describe, expect } from '@jest/globals';
import { turns } from './audit.ts';
import { clusterYaml, group, outageMs, passes, virtualAddress, web } from './config.ts';
import { calls } from './points.ts';
import { stories } from './story.ts';
import { monotonicMs, until } from './until.ts';
import type { World } from './world.ts';

const takeoverMs = 2_500;
const goneMs = 1_429 + 2_050;
/** What a client may miss while nothing at all should happen, on a busy machine. */
const hiccupMs = 1_500;

describe('a network that fails', () => {
  const story = stories({ config: () => clusterYaml(group()), targets: [web, `udp:${virtualAddress}`] });

  story(
    '10: the servers do not hear each other, and both reach the witness: nobody takes over',
    60_000,
    async (scene) => {
      const { world, owner, standby, status } = scene;
      const cutMs = monotonicMs();
      await world.lab.partition(owner, standby);
      await world.until('w', 'the deafness is shown', outageMs, ({ warnings }) =>
        warnings.some((says) => says.startsWith(`${owner} does not hear ${standby} on any path`)),
      );
      await world.client.answeredBy(web, owner, 3 * outageMs, cutMs + 2 * outageMs);
      expect((await world.status('w')).groups['d3']).toMatchObject({
        owner,
        epoch: status.groups['d3']?.epoch,
        phase: 'active',
      });
      expect(world.client.longestGapMs(web, cutMs)).toBeLessThan(hiccupMs);
    },
  );

  story(
    '11: the owner is cut off from everybody: it fences, the standby takes over, and healed it is standby',
    60_000,
    async (scene) => {
      const { world, owner, standby } = scene;
      for (const other of [standby, 'w']) await world.lab.partition(owner, other);
      await until(
        'the owner drops the address',
        goneMs + 1_500,
        () => !world.kernel(owner).holdsNow(virtualAddress),
      );
      await world.client.answeredBy(web, standby, outageMs + takeoverMs);
      await world.lab.heal();
      await world.settled();
      expect((await world.status('w')).groups['d3']?.owner).toBe(standby);
      expect(turns(world.client.answers(web))).toEqual([owner, standby]);
    },
  );

  story(
    '12: the owner is cut off from the witness only: shown, and nothing else',
    40_000,
    async ({ world, owner, standby, status }) => {
      const cutMs = monotonicMs();
      await world.lab.partition(owner, 'w');
      await world.until(standby, 'the deafness is shown', outageMs, ({ warnings }) =>
        warnings.some((says) => says.startsWith(`${owner} does not hear w on any path`)),
      );
      await world.client.answeredBy(web, owner, 3 * outageMs, cutMs + 2 * outageMs);
      expect((await world.status(standby)).groups['d3']).toMatchObject({
        owner,
        epoch: status.groups['d3']?.epoch,
      });
      expect(world.client.longestGapMs(web, cutMs)).toBeLessThan(hiccupMs);
    },
  );

  story(
    '13: all etcd is gone: the owner goes on while the standby promises to hold; without it, it fences',
    90_000,
    async (scene) => {
      const { world, owner, standby } = scene;
      const stoppedMs = monotonicMs();
      const stopped: [string, number][] = world.cluster.members.map((name) => [name, world.etcdPid(name)]);
      for (const [name, pid] of stopped) await world.lab.host(name).freezeProcess(pid);
      // Far beyond F and S: without the promises all would be gone.
      await world.client.answeredBy(web, owner, 4 * outageMs, stoppedMs + 2 * outageMs);
      expect(world.client.longestGapMs(web, stoppedMs)).toBeLessThan(hiccupMs);
      await world.lab.host(standby).powerOff();
      await until('the owner fences', goneMs + 3_000, () => !world.kernel(owner).holdsNow(virtualAddress));
      for (const [name, pid] of stopped) if (name !== standby) await world.lab.host(name).thawProcess(pid);
      await world.client.answeredBy(web, owner, 30_000);
    },
  );

  story(
    '14: the owner hears nothing but is heard: no second owner, and the path is called asymmetric',
    60_000,
    async (scene) => {
      const { world, owner, standby } = scene;
      for (const other of [standby, 'w']) await world.lab.partition(owner, other, { direction: 'from' });
      await world
        .event('w', outageMs, scene.beganWallMs, ({ reason }) => reason.includes('asymmetric'))
        .catch(async () => {
          const { servers } = await world.status('w');
          expect(JSON.stringify(servers)).toContain('asymmetric');
        });
      await world.lab.heal();
      await world.settled();
    },
  );

  story('14: the owner is not heard but hears: no second owner', 60_000, async (scene) => {
    const { world, owner, standby } = scene;
    for (const other of [standby, 'w']) await world.lab.partition(owner, other, { direction: 'to' });
    await until(
      'the owner drops the address',
      goneMs + 2_000,
      () => !world.kernel(owner).holdsNow(virtualAddress),
    );
    await world.client.answeredBy(web, standby, outageMs + takeoverMs);
    await world.lab.heal();
    await world.settled();
  });

  story(
    '15: the service network of the owner is dead and its private path alive: a planned release, without waiting',
    60_000,
    async (scene) => {
      const { world, owner, standby } = scene;
      const pulledMs = monotonicMs();
      await world.lab.host(owner).pullCable('service');
      const answer = await world.client.answeredBy(web, standby, outageMs + takeoverMs);
      const { kind } = await world.event('w', 5_000, scene.beganWallMs, (event) =>
        /switchover|failover/.test(event.kind),
      );
      expect(kind).toBe('switchover');
      expect(answer.answeredMs - pulledMs).toBeLessThan(outageMs);
    },
  );

  story(
    '16: a link that flaps: suspicion is shown, and nothing moves',
    60_000,
    async ({ world, owner, standby, status }) => {
      const beganMs = monotonicMs();
      let suspected = false;
      // Down for less than the outage, up until all is heard again; as 5 s up and 5 s down are at an outage of 35 s.
      for (let flap = 0; flap < 4; flap++) {
        const host = world.lab.host(standby);
        await Promise.all([host.pullCable('service'), host.pullCable('private')]);
        await world.until(
          owner,
          'suspicion',
          outageMs,
          ({ servers }) => servers[standby]?.state === 'suspect',
        );
        suspected = true;
        await Promise.all([host.plugCable('service'), host.plugCable('private')]);
        await world.until(
          owner,
          'all is well',
          15_000,
          ({ servers, quorum }) => servers[standby]?.state === 'up' && quorum.healthy,
        );
      }
      expect(suspected).toBe(true);
      expect((await world.status('w')).groups['d3']).toMatchObject({
        owner,
        epoch: status.groups['d3']?.epoch,
        phase: 'active',
      });
      expect(world.client.longestGapMs(web, beganMs)).toBeLessThan(hiccupMs);
    },
  );

  story(
    '16: after so many failovers within an hour the group is held, and a person is told',
    90_000,
    async (scene) => {
      const { world, owner, standby } = scene;
      const config = clusterYaml(group().replace('failoversPerHour: 100', 'failoversPerHour: 1'));
      await world.mustApply('w', config);
      await world.lab.host(owner).powerOff();
      const held = await world
        .until(
          'w',
          'it is held',
          outageMs + 5_000,
          ({ servers, groups }) =>
            servers[owner]?.state === 'down' && /hour/.test(groups['d3']?.reason ?? ''),
        )
        .catch(() => null);
      if (held === null) {
        // The first failover of the hour was this one: the next is one too many.
        await world.active('d3', standby, 10_000);
        await world.boot(owner);
        await world.until('w', 'both are up', 30_000, ({ servers }) => servers[owner]?.state === 'up');
        await world.lab.host(standby).powerOff();
        await world.until('w', 'it is held', outageMs + 10_000, ({ groups }) =>
          /hour/.test(groups['d3']?.reason ?? ''),
        );
      }
      expect(world.holders(virtualAddress)).toEqual([]);
    },
  );

  story('17: one of two paths is lost: shown, and nothing else', 40_000, async ({ world, owner, status }) => {
    const pulledMs = monotonicMs();
    await world.lab.host(owner).pullCable('private');
    await world.until(
      'w',
      'the path is shown',
      2 * outageMs,
      ({ servers }) =>
        servers[owner]?.state === 'up' && servers[owner].paths.some(({ state }) => state !== 'up'),
    );
    await world.client.answeredBy(web, owner, 3 * outageMs, pulledMs + 2 * outageMs);
    expect((await world.status('w')).groups['d3']).toMatchObject({
      owner,
      epoch: status.groups['d3']?.epoch,
      phase: 'active',
    });
    expect(world.client.longestGapMs(web, pulledMs)).toBeLessThan(hiccupMs);
  });

  story(
    '23: a stranger answers at the virtual address during a takeover: held and named, never half-added',
    60_000,
    async (scene) => {
      const { world, owner, standby } = scene;
      const stranger = world.lab.host('client');
      const fence = (server: string): string =>
        `  ${server}: { fence: { command: ${passes(world.points, `fence-${server}`)}, timeout: 5s } }\n`;
      const config = `${clusterYaml(group())}servers:\n${fence('a')}${fence('b')}`;
      await world.mustApply('w', config);
      await world.lab.host(owner).powerOff();
      const added = await stranger.exec(['ip', 'addr', 'add', `${virtualAddress}/24`, 'dev', 'eth0']);
      expect(added.status).toBe(0);
      const held = await world.until('w', 'it is held', outageMs + 10_000, ({ groups }) =>
        (groups['d3']?.reason ?? '').includes('02:00:0a:4d:00:0e'),
      );
      expect(held.groups['d3']?.reason).toContain(virtualAddress);
      expect(
        world
          .kernel(standby)
          .holdings(virtualAddress)
          .filter(({ fromMs }) => fromMs > scene.beganMs),
      ).toEqual([]);
      await world.event('w', 10_000, scene.beganWallMs, ({ reason }) => reason.includes('02:00:0a:4d:00:0e'));
      await until('the fence command of the former owner was called', 10_000, () =>
        calls(world).some((line) => line.startsWith(`fence-${owner} ${standby}`)),
      );
      await stranger.exec(['ip', 'addr', 'del', `${virtualAddress}/24`, 'dev', 'eth0']);
      await world.client.answeredBy(web, standby, 20_000);
    },
  );

  story(
    '28: heartbeats of an agent that has long ended, sealed with the right key, are refused',
    40_000,
    async (scene) => {
      const { world, owner, standby, status } = scene;
      const epoch = status.groups['d3']?.epoch ?? '';
      const listeners = [standby, 'w'].map((name) => world.lab.host(name));
      const sent = await world.lab
        .host('client')
        .exec([
          process.execPath,
          `${import.meta.dirname}/programs/replay.js`,
          world.lab.host('w').dir,
          owner,
          'd3',
          epoch,
          ...listeners.map(({ addresses }) => addresses.service),
        ]);
      expect(sent).toMatchObject({ status: 0, stderr: '' });
      for (const { addresses } of listeners)
        expect(await rejected(world, addresses.service)).toMatch(
          /datagrams_rejected_total\{[^}]*(replay|old|incarnation|stale)[^}]*\} [1-9]/,
        );
      expect((await world.status('w')).groups['d3']).toMatchObject({ owner, epoch, phase: 'active' });
    },
  );

  story(
    '28: garbage on every port: counted and dropped, and nothing else',
    60_000,
    async ({ world, owner, status }) => {
      const pids = ['agent', 'quorum', 'guard', 'run'] as const;
      const before = pids.map((name) => world.pidOf(owner, name));
      const target = world.lab.host(owner).addresses.service;
      const thrown = await world.lab
        .host('client')
        .exec([process.execPath, `${import.meta.dirname}/programs/garbage.js`, target], {
          timeoutMs: 30_000,
        });
      expect(thrown).toMatchObject({ status: 0 });
      expect(pids.map((name) => world.pidOf(owner, name))).toEqual(before);
      expect((await world.status('w')).groups['d3']).toMatchObject({
        owner,
        epoch: status.groups['d3']?.epoch,
        phase: 'active',
      });
      expect(await rejected(world, target)).toMatch(/bad-seal|not-ours|too-short/);
    },
  );
});

/** What an agent counts of datagrams that it refused, as Prometheus reads it. */
async function rejected(world: World, address: string): Promise<string> {
  const ask = `fetch('http://${address}:7446/metrics').then((r) => r.text()).then((t) => console.log(t))`;
  const { stdout } = await world.lab.host('client').exec([process.execPath, '-e', ask]);
  return stdout
    .split('\n')
    .filter((line) => line.includes('datagrams_rejected'))
    .join('\n');
}
