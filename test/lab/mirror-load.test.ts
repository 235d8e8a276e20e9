/**
 * A group whose service writes all the time, and tells its clients what it wrote: what they were told is there after a move,
 * or is kept aside and listed. Faults 1, 5, 11 and 24 with data under load, and a database.
 */
import { describe, expect } from '@jest/globals';
import { clusterYaml, group, outageMs, virtualAddress, web, webResource } from './config.ts';
import { alike, copyIn, diverged, inStep, mirror, mirrorsOf, ready, root, sh, stepMs } from './mirrored.ts';
import {
  gapsIn,
  lastAnswerMs,
  lostAt,
  mostLostMs,
  moreRecords,
  numbersIn,
  recordsFlow,
  recordsMirror,
  recordsRoot,
  spanMs,
} from './recorded.ts';
import { stories, type Scene } from './story.ts';
import { monotonicMs, until } from './until.ts';
import type { World } from './world.ts';

const takeoverMs = 5_000;
/** Where what was kept aside is put, to look at it. */
const keptRoot = '/srv/kept';
const records = `      records: { files: { root: ${recordsRoot} } }\n`;
const others = `      data: { files: { root: ${root} } }\n`;

const config = (mirrors: string): string =>
  clusterYaml(group({ resources: webResource(recordsRoot), more: `    mirrors:\n${mirrors}` }));

/** What clients were told and the new owner lacks: all of it is kept aside on the one that wrote it, and listed. */
async function isKept(world: World, wroteIt: string, lost: readonly number[]): Promise<void> {
  const listed = await diverged(world, 'w', recordsMirror);
  const files = listed.filter(
    ({ path, from, kept }) => kept && from === wroteIt && path.startsWith('records-'),
  );
  await sh(world, wroteIt, `rm -rf ${keptRoot} && mkdir -p ${keptRoot}`);
  const back = ['mirror', 'divergence', recordsMirror, 'restore'];
  for (const { path } of files) await world.cluster.must('w', ...back, path, '--to', keptRoot);
  expect(await numbersIn(world, wroteIt, keptRoot)).toEqual(expect.arrayContaining([...lost]));
  if (listed.length > 0)
    await world.cluster.must('w', 'mirror', 'divergence', recordsMirror, 'discard', '--all');
}

async function flowing(scene: Scene): Promise<void> {
  const { world, standby } = scene;
  await ready(scene);
  await recordsFlow(world, standby, 60_000);
  await moreRecords(world.client, 50);
}

describe('a group whose service writes all the time', () => {
  const story = stories({
    config: () => config(others + records),
    targets: [web, `udp:${virtualAddress}`],
  });

  story('loses nothing of what clients were told in a planned move', 60_000, async (scene) => {
    const { world, owner, standby } = scene;
    await flowing(scene);
    const { ended } = await world.operate('w', 'switchover', 'd3', '--to', standby);
    expect(ended).toMatchObject({ outcome: 'done' });
    const first = await world.client.answeredBy(web, standby, stepMs);
    expect(lostAt(world.client, first)).toEqual([]);
    expect(first.found).toBeGreaterThan(50);
    await moreRecords(world.client, 20);
    expect(gapsIn(await numbersIn(world, standby, recordsRoot))).toEqual([]);
    await recordsFlow(world, owner, stepMs);
    expect(await diverged(world, 'w', recordsMirror)).toEqual([]);
  });

  story(
    '1: loses no more than status had shown when the power fails, and lists it',
    120_000,
    async (scene) => {
      const { world, owner, standby } = scene;
      await flowing(scene);
      const askedMs = monotonicMs();
      const shown = (await world.status('w')).groups['d3']?.objectives;
      await world.lab.host(owner).powerOff();
      await world.active('d3', standby, outageMs + takeoverMs);
      const first = await world.client.answeredBy(web, standby, stepMs);
      const lost = lostAt(world.client, first);
      const { reason } = await world.event(
        'w',
        stepMs,
        scene.beganWallMs,
        ({ kind }) => kind === 'failover-done',
      );
      expect(reason).toContain('estimated loss');
      const { objectives } = (await world.status('w')).groups['d3'] ?? {};
      expect(objectives?.takeoverMs).toBeGreaterThan(0);
      await world.boot(owner);
      await recordsFlow(world, owner, 60_000);
      await isKept(world, owner, lost);
      const sinceMs = lastAnswerMs(world.client, owner) - askedMs;
      expect(await spanMs(world, owner, keptRoot, lost)).toBeLessThanOrEqual(mostLostMs(shown) + sinceMs);
    },
  );

  story('5: nothing of a frozen owner reaches a copy when it thaws', 120_000, async (scene) => {
    const { world, owner, standby } = scene;
    await flowing(scene);
    await world.lab.host(owner).freeze();
    // What only looks at the host's kernel is no part of it.
    const watching = world.kernel(owner).pid();
    if (watching !== undefined) await world.lab.host(owner).thawProcess(watching);
    await world.active('d3', standby, outageMs + takeoverMs);
    const first = await world.client.answeredBy(web, standby, stepMs);
    const lost = lostAt(world.client, first);
    await sh(world, standby, `echo 'of the new owner' >${root}/new`);
    await world.lab.host(owner).thaw();
    await inStep(world, owner, 60_000);
    await alike(world, standby, owner, stepMs);
    await recordsFlow(world, owner, stepMs);
    await isKept(world, owner, lost);
    expect(gapsIn(await numbersIn(world, standby, recordsRoot))).toEqual([]);
  });

  story('11: keeps nothing aside that it has no room for: it waits, and says so', 150_000, async (scene) => {
    const { world, owner, standby } = scene;
    const roomy = config(others + records);
    const tight = config(`      data: { files: { root: ${root} }, keepMax: 64KiB }\n${records}`);
    await world.mustApply('w', tight);
    await ready(scene);
    for (const other of [standby, 'w']) await world.lab.partition(owner, other);
    await sh(
      world,
      owner,
      `cd ${root} && mkdir -p mine/deep && echo one >mine/one && echo two >mine/deep/two &&
       head -c 300000 /dev/urandom >mine/large`,
    );
    const large = await sh(world, owner, `sha256sum <${root}/mine/large`);
    await world.active('d3', standby, outageMs + takeoverMs + 5_000);
    await world.lab.heal();
    const waiting = await world.until('w', 'it waits for room', 60_000, (status) => {
      const copy = copyIn(status, owner);
      return (copy?.state === 'diverged' || copy?.state === 'waiting') && /bytes are kept/.test(copy.says);
    });
    expect(copyIn(waiting, owner)?.says).toMatch(/0 of 65536 bytes are kept, 300008 more are needed/);
    expect(await sh(world, owner, `sha256sum <${root}/mine/large`)).toBe(large);
    await world.mustApply('w', roomy);
    await inStep(world, owner, 60_000);
    await alike(world, standby, owner, stepMs);
    // A folder, with what is in it, and one file.
    await sh(world, owner, 'rm -rf /srv/kept && mkdir -p /srv/kept/all /srv/kept/one');
    const divergence = ['mirror', 'divergence', mirror];
    await world.cluster.must('w', ...divergence, 'restore', 'mine', '--to', '/srv/kept/all');
    await world.cluster.must('w', ...divergence, 'restore', 'mine/one', '--to', '/srv/kept/one');
    expect(await sh(world, owner, 'cd /srv/kept && cat all/mine/deep/two one/one')).toBe('two\none\n');
    expect(await sh(world, owner, 'sha256sum </srv/kept/all/mine/large')).toBe(large);
    await world.cluster.must('w', ...divergence, 'discard', 'mine/deep');
    const left = (await diverged(world, 'w')).map(({ path }) => path);
    expect(left).toContain('mine/one');
    expect(left.filter((path) => path.startsWith('mine/deep'))).toEqual([]);
    await world.cluster.must('w', ...divergence, 'discard', '--all');
    expect(await diverged(world, 'w')).toEqual([]);
    if ((await diverged(world, 'w', recordsMirror)).length > 0)
      await world.cluster.must('w', 'mirror', 'divergence', recordsMirror, 'discard', '--all');
  });

  story('24: moves to a copy in step when its own data can not be written', 120_000, async (scene) => {
    const { world, owner, standby } = scene;
    await onSmallDisks(scene);
    await sh(world, owner, 'head -c 64M /dev/zero >/srv/small/filler 2>/dev/null || true');
    await world.active('d3', standby, 40_000);
    const full = "d3/small can't be written: no space left on device";
    await world.event('w', stepMs, scene.beganWallMs, ({ reason }) => reason.includes(full));
    const first = await world.client.answeredBy(web, standby, stepMs);
    expect(lostAt(world.client, first)).toEqual([]);
    expect(await sh(world, standby, 'cat /srv/small/data/before')).toBe('before\n');
    await sh(world, owner, 'rm /srv/small/filler');
    await inStepOf(world, 'small', owner);
    expect(await diverged(world, 'w', 'd3/small')).toEqual([]);
  });

  story('24: moves to a copy in step when its own disk fails', 120_000, async (scene) => {
    const { world, owner, standby } = scene;
    await sh(world, owner, failingDisk);
    await sh(world, standby, 'mkdir -p /srv/failing');
    await sh(world, owner, 'mkdir -p /srv/failing/data && echo before >/srv/failing/data/before');
    await withMirror(scene, 'failing');
    // Nothing new fits beneath the file system any more: the kernel answers EIO, or that there is no space, to whoever syncs.
    await sh(world, owner, 'head -c 64M /dev/zero >/srv/backing/filler 2>/dev/null || true');
    await world.active('d3', standby, 40_000);
    const fails =
      /d3\/failing can't be written: (input\/output error|no space left on device|read-only file system)/;
    await world.event('w', stepMs, scene.beganWallMs, ({ reason }) => fails.test(reason));
    const first = await world.client.answeredBy(web, standby, stepMs);
    expect(lostAt(world.client, first)).toEqual([]);
    expect(await sh(world, standby, 'cat /srv/failing/data/before')).toBe('before\n');
  });

  story('24: goes on when the disk of the copy is full, and loses nothing', 120_000, async (scene) => {
    const { world, owner, standby } = scene;
    await onSmallDisks(scene);
    await sh(world, standby, 'head -c 64M /dev/zero >/srv/small/filler 2>/dev/null || true');
    await sh(world, owner, 'head -c 2000000 /dev/urandom >/srv/small/data/more');
    const full = await world.until('w', 'the mirror waits', stepMs, (status) => {
      const copy = mirrorsOf(status)['small']?.targets[standby];
      return copy?.state === 'waiting' && copy.says.includes('no space left on device');
    });
    expect(full.groups['d3']).toMatchObject({ owner, phase: 'active' });
    await moreRecords(world.client, 20);
    const sum = 'sha256sum </srv/small/data/more';
    await sh(world, standby, 'rm /srv/small/filler');
    await inStepOf(world, 'small', standby);
    expect(await sh(world, standby, sum)).toBe(await sh(world, owner, sum));
  });

  story(
    '24: does not act at an epoch that it can not write down',
    120_000,
    async ({ world, owner, standby }) => {
      const state = `${world.lab.host(standby).dir}/state`;
      await sh(
        world,
        standby,
        `mount -t tmpfs -o size=4k,mode=700 full ${state} && head -c 8k /dev/zero >${state}/x || true`,
      );
      await world.lab.host(owner).powerOff();
      await world.until('w', 'it is said why', outageMs + 20_000, (status) =>
        /state|space/.test(JSON.stringify(status.groups['d3'] ?? {})),
      );
      expect(world.holders(virtualAddress)).toEqual([]);
      await sh(world, standby, `umount ${state}`);
      await world.active('d3', standby, 90_000);
    },
  );

  story('holds a database that is whole after a planned move', 90_000, async (scene) => {
    const { world, owner, standby } = scene;
    await ready(scene);
    const writer = world.lab.host(owner).spawn(['sh', '-c', orders]);
    const sql = (host: string, query: string): Promise<string> =>
      sh(world, host, `sqlite3 ${root}/orders.db '${query}'`);
    await until('rows are there', stepMs, async () => {
      const counted = await sql(owner, 'SELECT count(*) FROM orders').catch(() => '0');
      return Number(counted) === 100;
    });
    writer.kill('SIGKILL');
    for (const { pid, command } of world.lab.host(owner).views())
      if (/^(yes|sqlite3) /.test(command)) await world.lab.host(owner).killProcess(pid);
    const rows = await sql(owner, 'SELECT count(*) FROM orders');
    expect(Number(rows)).toBeGreaterThan(0);
    await inStep(world, standby, stepMs);
    const { ended } = await world.operate('w', 'switchover', 'd3', '--to', standby);
    expect(ended).toMatchObject({ outcome: 'done' });
    expect(await sql(standby, 'PRAGMA integrity_check')).toBe('ok\n');
    expect(await sql(standby, 'SELECT count(*) FROM orders')).toBe(rows);
  });
});

/** A writer that commits one row after the other, in WAL mode, and never rests. */
const orders = `cd ${root} && {
  echo 'PRAGMA journal_mode=WAL; PRAGMA synchronous=OFF; CREATE TABLE orders(id INTEGER PRIMARY KEY, what TEXT);'
  for i in $(seq 100); do echo 'INSERT INTO orders(what) VALUES(hex(randomblob(2000)));'; done
  yes 'UPDATE orders SET what=hex(randomblob(2000)) WHERE id=1+abs(random())%100;'
} | exec sqlite3 orders.db >/dev/null`;

/** A mirror more, whose folder lies on a small file system of its own on either server. */
async function onSmallDisks(scene: Scene): Promise<void> {
  const { world, owner, standby } = scene;
  for (const host of [owner, standby])
    await sh(
      world,
      host,
      `mkdir -p /srv/small && { mountpoint -q /srv/small || mount -t tmpfs -o size=16m,mode=755 small /srv/small; } &&
       mkdir -p /srv/small/data && rm -f /srv/small/filler`,
    );
  await sh(world, owner, 'echo before >/srv/small/data/before');
  await withMirror(scene, 'small');
}

/** A file system that gives errors once the one that its blocks are on is full. */
const failingDisk = `mkdir -p /srv/backing /srv/failing && mount -t tmpfs -o size=12m,mode=755 backing /srv/backing &&
  truncate -s 64M /srv/backing/disk && PATH=$PATH:/sbin:/usr/sbin mkfs.ext4 -q -O ^has_journal /srv/backing/disk &&
  mount -o loop /srv/backing/disk /srv/failing`;

/** A mirror more, of /srv/NAME/data. */
async function withMirror(scene: Scene, name: string): Promise<void> {
  const { world, standby } = scene;
  const more = `      ${name}: { files: { root: /srv/${name}/data } }\n`;
  await world.mustApply('w', config(`${others}${records}${more}`));
  await inStepOf(world, name, standby);
  await flowing(scene);
}

async function inStepOf(world: World, name: string, target: string): Promise<void> {
  await world.until('w', `${target} has d3/${name}`, 60_000, (status) => {
    const copy = mirrorsOf(status)[name]?.targets[target];
    return copy?.state === 'replicating' && copy.consistent && copy.behindBytes === 0;
  });
}
