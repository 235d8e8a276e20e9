/** A group whose folder is mirrored: faults 1, 7, 10, 11, 25 and 26 with data, and what a person does with a mirror. */
import { rmSync, writeFileSync } from 'node:fs';
import { describe, expect } from '@jest/globals';
import { clusterYaml, group, outageMs, virtualAddress, web } from './config.ts';
import {
  alike,
  behindBack,
  copyIn,
  diverged,
  inStep,
  mirror,
  mirrorLines,
  mirrorsOf,
  ready,
  root,
  sh,
  stepMs,
} from './mirrored.ts';
import { stories, type Scene } from './story.ts';
import { until } from './until.ts';
import type { World } from './world.ts';

const takeoverMs = 5_000;
const lateRoot = '/srv/late';
const lateMirror = 'd3/late';

/** A second folder whose first copy takes minutes. */
const lateLines = `${mirrorLines}      late:
        files: { root: ${lateRoot} }
        throttle: 200Kbit
        compress: never
`;

/** Everything that a file is: contents, holes, links, times, modes, names that are not UTF-8. */
const someFiles = `mkdir -p ${root}/some/empty && cd ${root}/some
  for i in $(seq 100); do echo "file $i" >f$i; done
  head -c 3000000 /dev/urandom >big
  truncate -s 10M holes && printf x | dd of=holes bs=1 seek=5000000 conv=notrunc status=none
  ln big hard && ln -s ../nowhere soft && mkfifo pipe
  chmod 4751 f1 && touch -d '2001-02-03 04:05:06.123456789' f2
  touch "$(printf 'odd-\\377-name')"`;

const ask = `fetch('http://127.0.0.1:7446/metrics').then((r) => r.text()).then((t) => console.log(t))`;

const metricsOf = async (world: World, host: string): Promise<string> =>
  (await world.lab.host(host).exec([process.execPath, '-e', ask])).stdout;

describe('a group with a mirror', () => {
  const story = stories({
    config: () => clusterYaml(group({ more: mirrorLines })),
    targets: [web, `udp:${virtualAddress}`],
  });

  story('has a copy at the standby: made once, then every change', 60_000, async (scene) => {
    const { world, owner, standby } = scene;
    await ready(scene);
    await sh(world, owner, someFiles);
    await alike(world, owner, standby, stepMs);
    await sh(
      world,
      owner,
      `cd ${root}/some && mv f3 moved && rm f4 && echo more >>f5 && mkdir deep && mv f6 deep/ && chmod 600 f7 &&
       printf y | dd of=big bs=1 seek=2000000 conv=notrunc status=none && mv empty full`,
    );
    await alike(world, owner, standby, stepMs);
    const status = await inStep(world, standby, stepMs);
    expect(status.groups['d3']?.mirrors['data']).toMatchObject({ kind: 'files', source: owner });
    // What the owner said last is never older than its beats and renewals.
    expect(status.groups['d3']?.objectives.lossBytes).toBe(0);
    expect(status.groups['d3']?.objectives.lossMs).toBeLessThan(3_000);
    // Nobody but the mirror writes to a copy.
    await expect(sh(world, standby, `touch ${root}/intruder`)).rejects.toThrow();
  });

  story(
    '1: the owner loses its power; its data is at the standby, and it returns as a copy',
    120_000,
    async (scene) => {
      const { world, owner, standby } = scene;
      await ready(scene);
      await sh(world, owner, someFiles);
      await inStep(world, standby, stepMs);
      await alike(world, owner, standby, stepMs);
      await world.lab.host(owner).powerOff();
      await world.active('d3', standby, outageMs + takeoverMs);
      await sh(world, standby, `cat ${root}/some/f100 && echo 'written by the new owner' >${root}/some/new`);
      await world.boot(owner);
      await inStep(world, owner, 60_000);
      await alike(world, standby, owner, stepMs);
      expect(await diverged(world, 'w')).toEqual([]);
      // Back, in order, while somebody writes to the last moment.
      const { ended } = await world.operate('w', 'switchover', 'd3', '--to', owner);
      expect(ended).toMatchObject({ outcome: 'done' });
      await inStep(world, standby, stepMs);
      expect(await sh(world, owner, `cat ${root}/some/new`)).toBe('written by the new owner\n');
      await alike(world, owner, standby, stepMs);
    },
  );

  story(
    '10: no link between owner and standby: the mirror waits, and goes on afterwards',
    90_000,
    async (scene) => {
      const { world, owner, standby } = scene;
      await ready(scene);
      await world.lab.partition(owner, standby);
      await sh(world, owner, `echo 'while cut off' >${root}/late`);
      await world.until('w', 'the mirror says that it is cut off', 20_000, (status) => {
        const copy = copyIn(status, standby);
        return copy?.state === 'disconnected' && (copy.behindBytes === null || copy.behindBytes > 0);
      });
      expect((await world.status('w')).groups['d3']).toMatchObject({ owner, phase: 'active' });
      await world.lab.heal();
      await alike(world, owner, standby, stepMs);
      await inStep(world, standby, stepMs);
    },
  );

  story('11: what a cut-off owner wrote is kept, listed, and only then gone over', 120_000, async (scene) => {
    const { world, owner, standby } = scene;
    await ready(scene);
    await sh(world, owner, `echo common >${root}/orders`);
    await alike(world, owner, standby, stepMs);
    for (const other of [standby, 'w']) await world.lab.partition(owner, other);
    await sh(world, owner, `echo 'only at the former owner' >${root}/orders && echo alone >${root}/extra`);
    await world.active('d3', standby, outageMs + takeoverMs + 5_000);
    await sh(world, standby, `echo 'of the new owner' >${root}/orders`);
    await world.lab.heal();
    await inStep(world, owner, 60_000);
    await alike(world, standby, owner, stepMs);
    const kept = await diverged(world, 'w');
    expect(kept.map(({ path, from }) => `${from}:${path}`).sort()).toEqual(
      expect.arrayContaining([`${owner}:extra`, `${owner}:orders`]),
    );
    await sh(world, owner, 'mkdir -p /srv/kept && rm -rf /srv/kept/*');
    await world.cluster.must('w', 'mirror', 'divergence', mirror, 'restore', 'orders', '--to', '/srv/kept');
    expect(await sh(world, owner, 'cat /srv/kept/orders')).toBe('only at the former owner\n');
    expect(await sh(world, owner, `cat ${root}/orders`)).toBe('of the new owner\n');
  });

  story(
    '7: the standby dies: the owner serves on, and counts; it catches up on return',
    90_000,
    async (scene) => {
      const { world, owner, standby } = scene;
      await ready(scene);
      await world.lab.host(standby).powerOff();
      await sh(world, owner, someFiles);
      await world.until(
        'w',
        'the copy is missed',
        20_000,
        (status) => copyIn(status, standby)?.state === 'disconnected',
      );
      await world.client.answeredBy(web, owner, 5_000);
      await world.boot(standby);
      await inStep(world, standby, 60_000);
      await alike(world, owner, standby, stepMs);
    },
  );

  story('goes on when the mirror process of either side is killed', 90_000, async (scene) => {
    const { world, owner, standby } = scene;
    await ready(scene);
    for (const host of [owner, standby]) {
      const agent = world.mustPid(host, 'agent');
      const before = world.mustPid(host, 'mirror');
      await sh(
        world,
        owner,
        `cd ${root} && mkdir -p of-${host} && for i in $(seq 300); do echo $i >of-${host}/$i; done`,
      );
      await world.lab.host(host).killProcess(before);
      await until('another one runs', 5_000, () => (world.pidOf(host, 'mirror') ?? before) !== before);
      await alike(world, owner, standby, stepMs);
      await inStep(world, standby, stepMs);
      expect(world.mustPid(host, 'agent')).toBe(agent);
    }
    expect((await world.status('w')).groups['d3']?.owner).toBe(owner);
  });

  story('pauses, counts, and resumes', 60_000, async (scene) => {
    const { world, owner, standby } = scene;
    await ready(scene);
    await world.cluster.must('w', 'mirror', 'pause', mirror, '--target', standby, '--reason', 'backup');
    await world.until('w', 'it is paused', stepMs, (status) => copyIn(status, standby)?.state === 'paused');
    const verified = await world.cluster.holdfast('w', 'mirror', 'verify', mirror);
    expect(verified).toMatchObject({ status: 1, stdout: expect.stringContaining('it is paused: backup') });
    await sh(world, owner, `head -c 100000 /dev/urandom >${root}/later`);
    await world.until('w', 'it counts', stepMs, (status) => (copyIn(status, standby)?.behindBytes ?? 0) > 0);
    await world.cluster.must('w', 'mirror', 'resume', mirror);
    await alike(world, owner, standby, stepMs);
    await inStep(world, standby, stepMs);
  });

  story('finds what others changed in a copy, and mends it', 90_000, async (scene) => {
    const { world, owner, standby } = scene;
    await ready(scene);
    await sh(world, owner, someFiles);
    await alike(world, owner, standby, stepMs);
    await inStep(world, standby, stepMs);
    const verify = async (...args: readonly string[]) => {
      const ran = await world.cluster.holdfast('w', 'mirror', 'verify', mirror, ...args, '-o', 'json');
      return {
        ...ran,
        found: ran.stdout.startsWith('{') ? (JSON.parse(ran.stdout) as { differences: object[] }) : null,
      };
    };
    expect(await verify()).toMatchObject({ status: 0, found: { target: standby, differences: [] } });
    writeFileSync(behindBack(world, standby, 'some/f10'), 'FILE 10\n');
    rmSync(behindBack(world, standby, 'some/f11'));
    writeFileSync(behindBack(world, standby, 'some/extra'), 'extra\n');
    // It looks for that by itself, too, and tells everybody.
    await world.until(
      'w',
      'it is shown',
      stepMs,
      (status) => (copyIn(status, standby)?.foreignChanges ?? 0) >= 3,
    );
    const checked = await world.cluster.holdfast('w', 'check', 'd3', '-o', 'json');
    expect(checked.stdout).toMatch(/mirror-foreign[^]*holdfast mirror verify d3\/data --target . --repair/);
    const metrics = await metricsOf(world, standby);
    expect(metrics).toMatch(/holdfast_mirror_foreign_changes\{mirror="d3\/data",target="[ab]"\} [3-9]/);
    const differs = await verify();
    expect(differs.status).toBe(1);
    expect(differs.found?.differences).toEqual(
      expect.arrayContaining([
        { path: 'some/f10', kind: 'contents' },
        { path: 'some/f11', kind: 'missing' },
        { path: 'some/extra', kind: 'extra' },
      ]),
    );
    expect(await verify('--repair')).toMatchObject({
      status: 0,
      found: { differences: [], mended: expect.arrayContaining([{ path: 'some/extra', kind: 'extra' }]) },
    });
    await alike(world, owner, standby, stepMs);
    expect((await verify()).status).toBe(0);
    await world.until(
      'w',
      'nothing is shown any more',
      stepMs,
      (s) => copyIn(s, standby)?.foreignChanges === 0,
    );
    // Nothing changes any more, and yet the copy that was only looked at is in step again.
    await until('a planned move is possible', stepMs, async () => {
      const ran = await world.cluster.holdfast('w', 'switchover', 'd3', '--dry-run');
      return ran.status === 0;
    });
  });

  story(
    '25: both servers lose their power, and only the standby returns: what is lost is said before it is forced',
    150_000,
    async (scene) => {
      const { world, owner, standby } = scene;
      await ready(scene);
      await sh(world, owner, `echo common >${root}/orders`);
      await alike(world, owner, standby, stepMs);
      await world.lab.partition(owner, standby);
      await sh(world, owner, `echo newer >${root}/orders && echo alone >${root}/extra && sync -f ${root}`);
      await world.until('w', 'the copy is behind', stepMs, (status) => {
        const copy = copyIn(status, standby);
        return copy?.state === 'disconnected' && (copy.behindBytes ?? 1) > 0;
      });
      await Promise.all([world.lab.host(owner).powerOff(), world.lab.host(standby).powerOff()]);
      await world.lab.heal();
      await world.boot(standby);
      await world.until(standby, 'it waits for the last owner', 40_000, ({ quorum, groups }) => {
        // A leader of before both lost their power is none: it answers nothing.
        const led = quorum.leader !== null && quorum.leader !== owner;
        const d3 = groups['d3'];
        return led && quorum.healthy && d3?.owner !== standby && (d3?.reason ?? '').includes(owner);
      });
      await forcedOnly(scene);
      expect(await sh(world, standby, `cat ${root}/orders`)).toBe('common\n');
      await world.boot(owner);
      await inStep(world, owner, 60_000, standby);
      const kept = await diverged(world, standby);
      expect(kept.map(({ path, from }) => `${from}:${path}`).sort()).toEqual(
        expect.arrayContaining([`${owner}:extra`, `${owner}:orders`]),
      );
    },
  );

  story(
    '26: the owner dies while the first copy is under way: nobody takes over, unless a person forces it',
    150_000,
    async (scene) => {
      const { world, owner, standby } = scene;
      await ready(scene);
      await sh(
        world,
        owner,
        `mkdir -p ${lateRoot} && for i in $(seq 8); do head -c 500000 /dev/urandom >${lateRoot}/$i; done && sync -f ${lateRoot}`,
      );
      await world.mustApply('w', clusterYaml(group({ more: lateLines })));
      await world.until('w', 'the first copy is under way', stepMs, (status) => {
        const copy = mirrorsOf(status)['late']?.targets[standby];
        return copy?.state === 'initial-copy' && copy.doneBytes > 0;
      });
      await world.lab.host(owner).powerOff();
      const blocked = await world.until(
        'w',
        'it says why nobody takes over',
        outageMs + takeoverMs,
        (status) => {
          return /copy/.test(status.groups['d3']?.reason ?? '') && status.groups['d3']?.phase === 'blocked';
        },
      );
      expect(blocked.groups['d3']?.reason).toMatch(/not complete/);
      await forcedOnly(scene);
      await world.boot(owner);
      await world.until('w', 'the former owner is a copy of what was taken over', 90_000, (status) => {
        const copy = mirrorsOf(status)['late']?.targets[owner];
        return copy?.state === 'replicating' && copy.consistent;
      });
      // Whatever had not arrived was never overwritten: it was put aside first.
      const kept = await diverged(world, 'w', lateMirror);
      expect(kept.length).toBeGreaterThan(0);
      expect(kept.every(({ from, kept: there }) => from === owner && there)).toBe(true);
      await world.cluster.must('w', 'mirror', 'divergence', lateMirror, 'discard', '--all');
    },
  );
});

/** Refused as it is; forced, it is done, and the history says what that may cost. */
async function forcedOnly({ world, standby, beganWallMs }: Scene): Promise<void> {
  const refused = await world.operate(standby, 'failover', 'd3', '--to', standby);
  expect(refused.status).toBe(4);
  const forced = await world.operate(standby, 'failover', 'd3', '--to', standby, '--force');
  expect(forced).toMatchObject({ status: 0, ended: { outcome: 'done' } });
  await world.client.answeredBy(web, standby, 5_000);
  const { reason } = await world.event(standby, 5_000, beganWallMs, (event) =>
    event.reason.includes('forced'),
  );
  expect(reason).toMatch(/loss|lost|not complete/);
}
