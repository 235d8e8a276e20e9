/** A group whose volume is mirrored: faults with blocks, and what becomes of whoever writes to them. */
import { existsSync } from 'node:fs';
import { afterAll, describe, expect } from '@jest/globals';
import { clusterYaml, group, outageMs, virtualAddress, web } from './config.ts';
import { sh } from './mirrored.ts';
import { Loops } from './loops.ts';
import { mostLostMs } from './recorded.ts';
import { stories, type Scene } from './story.ts';
import { monotonicMs, until } from './until.ts';
import {
  disk,
  exportAt,
  fileSystem,
  imageOf,
  inStep,
  qemuWrites,
  volumeLines,
  volumeMiB,
  Writer,
} from './volumes.ts';
import type { Status, World } from './world.ts';

const takeoverMs = 5_000;
const stepMs = 30_000;

const alike = (world: World, limitMs: number): Promise<true> =>
  until(
    'both hosts have the same blocks',
    limitMs,
    () => imageOf(world, 'a').equals(imageOf(world, 'b')) || undefined,
  );

async function ready({ world, standby }: Scene): Promise<{ uri: string; socket: string }> {
  await inStep(world, standby, 60_000);
  await world.cluster.holdfast('w', 'mirror', 'divergence', disk, 'discard', '--all');
  return exportAt(world, 'w');
}

interface KeptBlocks {
  readonly offset: number;
  readonly length: number;
  readonly from: string;
}

describe('a group with a volume', () => {
  const story = stories({
    config: () => clusterYaml(group({ more: volumeLines(', mode: sync, targetLoss: 1s') })),
    targets: [web, `udp:${virtualAddress}`],
  });

  story('exports it on its owner to any NBD client, and nowhere else', 60_000, async (scene) => {
    const { world, owner, standby } = scene;
    const { uri, socket } = await ready(scene);
    const size = await sh(world, owner, `nbdinfo --size '${uri}'`);
    expect(Number(size)).toBe(imageOf(world, owner).length);
    await sh(
      world,
      owner,
      `head -c 5000000 /dev/urandom >/srv/some && truncate -s ${size.trim()} /srv/some &&
       nbdcopy --flush /srv/some '${uri}' && nbdcopy '${uri}' - | cmp - /srv/some && stat -c %a ${socket} | grep -qx 600`,
    );
    await inStep(world, standby, stepMs);
    await alike(world, stepMs);
    // Hosts of a lab share their file system, so another one's socket could be reached from here.
    expect(existsSync(socket.replace(`/hosts/${owner}/`, `/hosts/${standby}/`))).toBe(false);
    const mirrors = await world.json<unknown[]>('w', 'get', 'mirrors');
    expect(mirrors).toMatchObject([{ name: disk, kind: 'volume', source: owner, export: uri }]);
    const verified = await world.json<unknown>('w', 'mirror', 'verify', disk);
    expect(verified).toMatchObject({ target: standby, differences: [] });
  });

  story('loses nothing that was answered when the owner loses its power', 120_000, async (scene) => {
    const { world, owner, standby } = scene;
    const { socket } = await ready(scene);
    const writer = new Writer(world, owner, socket);
    await writer.wrote(1_000, stepMs);
    await world.lab.host(owner).powerOff();
    await world.active('d3', standby, outageMs + takeoverMs);
    expect(writer.missing(imageOf(world, standby))).toEqual([]);
    const taken = await exportAt(world, 'w');
    await sh(world, standby, `qemu-io -f raw -c 'write -P 7 8M 64k' -c flush '${taken.uri}'`);
    await world.boot(owner);
    await inStep(world, owner, 60_000);
    await alike(world, stepMs);
  });

  story('loses no more than status had shown where nobody waits for the copy', 120_000, async (scene) => {
    const { world, owner, standby } = scene;
    await world.mustApply('w', clusterYaml(group({ more: volumeLines(', mode: async') })));
    const { socket } = await ready(scene);
    const writer = new Writer(world, owner, socket);
    await writer.wrote(1_000, stepMs);
    const askedMs = monotonicMs();
    const shown = (await world.status('w')).groups['d3']?.objectives;
    await world.lab.host(owner).powerOff();
    await world.active('d3', standby, outageMs + takeoverMs);
    const sinceMs = (writer.answers.at(-1)?.at ?? askedMs) - askedMs;
    const lostMs = writer.lostMs(imageOf(world, standby));
    expect(lostMs).toBeLessThanOrEqual(mostLostMs(shown) + sinceMs);
    expect(shown?.lossAgeMs).toBeGreaterThan(0);
    await world.boot(owner);
    await inStep(world, owner, 60_000);
    await alike(world, stepMs);
    // What it wrote and nobody had is no concern of the next story.
    await world.cluster.must('w', 'mirror', 'divergence', disk, 'discard', '--all');
    await world.mustApply('w', clusterYaml(group({ more: volumeLines(', mode: sync, targetLoss: 1s') })));
  });

  story('moves in order, and loses nothing of whoever writes to the last moment', 120_000, async (scene) => {
    const { world, owner, standby } = scene;
    const { socket } = await ready(scene);
    const writer = new Writer(world, owner, socket);
    await writer.wrote(200, stepMs);
    const { ended } = await world.operate('w', 'switchover', 'd3', '--to', standby);
    expect(ended).toMatchObject({ outcome: 'done' });
    // It is told, and not left to wait.
    await until('the writer is refused', stepMs, () => writer.error !== null || undefined);
    expect(writer.error).toBe(108);
    expect(writer.missing(imageOf(world, standby))).toEqual([]);
    await inStep(world, owner, stepMs);
    await alike(world, stepMs);
  });

  story('keeps aside what a cut-off owner wrote, and lists it', 120_000, async (scene) => {
    const { world, owner, standby } = scene;
    const { uri } = await ready(scene);
    for (const other of [standby, 'w']) await world.lab.partition(owner, other);
    // Synchronous: it is not answered, for nobody else has it. It is on the owner's disk all the same.
    const write = sh(world, owner, `qemu-io -f raw -c 'write -P 99 16M 8k' -c flush '${uri}'`);
    await expect(write).rejects.toThrow();
    await world.active('d3', standby, outageMs + takeoverMs + 5_000);
    await world.lab.heal();
    await inStep(world, owner, 60_000);
    await alike(world, stepMs);
    const kept = await world.json<KeptBlocks[]>('w', 'mirror', 'divergence', disk, 'list');
    expect(kept).toMatchObject([{ offset: 16 * 2 ** 20, length: 8_192, from: owner }]);
    await sh(world, owner, 'mkdir -p /srv/back');
    const offset = String(16 * 2 ** 20);
    await world.cluster.must('w', 'mirror', 'divergence', disk, 'restore', offset, '--to', '/srv/back');
    expect(await sh(world, owner, "cat /srv/back/* | tr -d 'c' | wc -c && cat /srv/back/* | wc -c")).toBe(
      '0\n8192\n',
    );
    await world.cluster.must('w', 'mirror', 'divergence', disk, 'discard', offset);
    expect(await world.json<unknown[]>('w', 'mirror', 'divergence', disk, 'list')).toEqual([]);
  });

  story('that both sides wrote after a failover by force waits for a person', 240_000, async (scene) => {
    const { world, owner, standby } = scene;
    // Nobody takes over before a person forces it.
    const lines = `    takeover: manual\n${volumeLines(', mode: sync, targetLoss: 1s')}`;
    await world.mustApply('w', clusterYaml(group({ more: lines })));
    const { uri } = await ready(scene);
    for (const other of [standby, 'w']) await world.lab.partition(owner, other);
    const write = sh(world, owner, `qemu-io -f raw -c 'write -P 99 16M 8k' -c flush '${uri}'`);
    await expect(write).rejects.toThrow();
    await world.until('w', 'it is asked', outageMs + takeoverMs, (status) => {
      return status.groups['d3']?.phase === 'awaiting-approval';
    });
    const forced = await world.operate('w', 'failover', 'd3', '--to', standby, '--force');
    expect(forced).toMatchObject({ status: 0, ended: { outcome: 'done' } });
    const taken = await exportAt(world, 'w');
    await sh(world, standby, `qemu-io -f raw -c 'write -P 7 16M 4k' -c flush '${taken.uri}'`);
    const before = imageOf(world, owner);
    const copyOf = (status: Status) => status.groups['d3']?.mirrors['disk']?.targets[owner];
    const isDiverged = (status: Status): boolean => copyOf(status)?.state === 'diverged';
    await world.lab.heal();
    await world.until('w', 'the copies have diverged', 60_000, isDiverged);
    const choose = `holdfast mirror resync ${disk} --target ${owner}`;
    expect((await world.cluster.holdfast('w', 'explain', 'd3')).stdout).toContain(choose);
    expect((await world.cluster.holdfast('w', 'check', 'd3')).stdout).toContain(`survives: ${choose}`);
    await world.lab.host(owner).killProcess(world.mustPid(owner, 'mirror'));
    await world.settled();
    expect(copyOf(await world.until('w', 'it is remembered', stepMs, isDiverged))?.says).toContain(choose);
    expect(imageOf(world, owner).equals(before)).toBe(true);
    const list = (): Promise<KeptBlocks[]> => world.json('w', 'mirror', 'divergence', disk, 'list');
    const offset = 16 * 2 ** 20;
    expect(await list()).toContainEqual(expect.objectContaining({ offset, from: owner, kept: false }));
    await world.cluster.must('w', 'mirror', 'resync', disk, '--target', owner);
    await inStep(world, owner, 60_000);
    await alike(world, stepMs);
    expect(await list()).toMatchObject([{ offset, length: 8_192, from: owner, kept: true }]);
    await world.cluster.must('w', 'mirror', 'divergence', disk, 'discard', '--all');
  });

  story('has a copy for other uses while that is paused', 90_000, async (scene) => {
    const { world, owner, standby } = scene;
    const { socket } = await ready(scene);
    const open = (...more: readonly string[]): Promise<{ readonly export: string }> =>
      world.json('w', 'mirror', 'open', disk, '--target', standby, ...more);
    await expect(open()).rejects.toThrow(/its source is connected/);
    await world.cluster.must('w', 'mirror', 'pause', disk, '--target', standby);
    const paused = (status: Status): boolean =>
      status.groups['d3']?.mirrors['disk']?.targets[standby]?.state === 'paused';
    await world.until('w', 'it is paused', stepMs, paused);
    const before = imageOf(world, standby);
    const writer = new Writer(world, owner, socket);
    await writer.wrote(100, stepMs);
    const { export: uri } = await open();
    await sh(world, standby, `nbdcopy '${uri}' /srv/taken && cmp /srv/taken /srv/disk.img`);
    await expect(sh(world, standby, `qemu-io -f raw -c 'write 0 4k' '${uri}'`)).rejects.toThrow();
    await world.cluster.must('w', 'mirror', 'close', disk, '--target', standby);
    const other = await open('--writable');
    await sh(world, standby, `qemu-io -f raw -c 'write -P 5 0 1M' -c 'read -P 5 0 1M' '${other.export}'`);
    expect(imageOf(world, standby).equals(before)).toBe(true);
    writer.stop();
    // What is sent has precedence, and is what changed and nothing else.
    await world.cluster.must('w', 'mirror', 'resume', disk, '--target', standby);
    await inStep(world, standby, stepMs);
    await alike(world, stepMs);
    await expect(sh(world, standby, `nbdinfo '${other.export}'`)).rejects.toThrow();
  });

  story('goes on where it was when the mirror process dies', 180_000, async (scene) => {
    const { world, owner, standby } = scene;
    const { socket } = await ready(scene);
    const writer = new Writer(world, owner, socket);
    const qemu = qemuWrites(world, owner, socket);
    await writer.wrote(200, stepMs);
    for (let i = 0; i < 3; i += 1) {
      await world.lab.host(owner).killProcess(world.mustPid(owner, 'mirror'));
      await writer.wrote(200, stepMs);
      await inStep(world, standby, stepMs);
    }
    expect(writer.error).toBeNull();
    expect(await qemu.end()).not.toContain('failed');
    expect((await world.status('w')).groups['d3']).toMatchObject({ owner, phase: 'active' });
    writer.stop();
    expect(writer.missing(imageOf(world, owner))).toEqual([]);
    await inStep(world, standby, stepMs);
    await alike(world, stepMs);
    // A start of the process, and targetLoss until the writes go on alone; much more on a busy machine.
    expect(writer.longestMs).toBeLessThan(8_000);
  });

  story('becomes larger under whoever writes to it, and never smaller', 120_000, async (scene) => {
    const { world, owner, standby } = scene;
    const { socket, uri } = await ready(scene);
    const writer = new Writer(world, owner, socket);
    await writer.wrote(200, stepMs);
    const more = (mib: number): string =>
      clusterYaml(group({ more: volumeLines(', mode: sync, targetLoss: 1s', mib) }));
    await world.mustApply('w', more(2 * volumeMiB));
    const bytes = 2 * volumeMiB * 2 ** 20;
    const large = async (): Promise<true | undefined> =>
      Number(await sh(world, owner, `nbdinfo --size '${uri}'`)) === bytes || undefined;
    await until('whoever comes finds it larger', stepMs, large);
    await inStep(world, standby, stepMs);
    await writer.wrote(200, stepMs);
    expect(writer.error).toBeNull();
    const end = `${String(2 * volumeMiB - 1)}M 1M`;
    await sh(world, owner, `qemu-io -f raw -c 'write -P 9 ${end}' -c flush '${uri}'`);
    writer.stop();
    expect(writer.missing(imageOf(world, owner))).toEqual([]);
    expect(imageOf(world, standby).length).toBe(bytes);
    await alike(world, stepMs);
    const { status, stderr } = await world.apply('w', more(volumeMiB));
    expect(status).not.toBe(0);
    expect(stderr).toMatch(/can't become smaller/);
    // Whoever takes over has it as large.
    await world.operate('w', 'switchover', 'd3', '--to', standby);
    const taken = await exportAt(world, 'w');
    await sh(world, standby, `qemu-io -f raw -c 'read -P 9 ${end}' '${taken.uri}'`);
    // The next story's is another one.
    await world.mustApply('w', clusterYaml(group({})));
  });
});

describe('a file system on a volume', () => {
  const story = stories({
    config: (points) =>
      clusterYaml(
        group({
          more: volumeLines(', mode: sync, targetLoss: 1s, attach: nbdfuse'),
          resources: fileSystem(points),
        }),
      ),
    targets: [`udp:${virtualAddress}`],
  });

  const loops = new Loops();
  // After the lab is gone.
  afterAll(() => loops.detach());

  /** One file after the other, each synced, until the power goes. */
  async function write(world: World, host: string, from: number, count: number): Promise<void> {
    await sh(
      world,
      host,
      `cd /srv/db && for i in $(seq ${String(from)} ${String(from + count - 1)}); do
         seq $i 500 >new && sync new && mv new file-$i && sync . ; done`,
    );
  }

  const lost = (world: World, host: string, count: number): Promise<string> =>
    sh(
      world,
      host,
      `cd /srv/db && for i in $(seq 1 ${String(count)}); do seq $i 500 | cmp -s - file-$i || echo $i; done`,
    );

  story('survives power cuts, with everything that was synced', 180_000, async (scene) => {
    const { world } = scene;
    let { owner, standby } = scene;
    await sh(world, owner, 'rm -rf /srv/db/file-*');
    for (let cut = 0; cut < 3; cut += 1) {
      await inStep(world, standby, 60_000);
      await write(world, owner, cut * 20 + 1, 20);
      const busy = sh(
        world,
        owner,
        'cd /srv/db && while :; do dd if=/dev/urandom of=noise bs=64k count=50 2>&1; done',
      );
      busy.catch(() => undefined);
      loops.note(world.lab, world.cluster.servers);
      await world.lab.host(owner).powerOff();
      await loops.detach();
      await world.active('d3', standby, outageMs + 2 * takeoverMs);
      expect(await lost(world, standby, (cut + 1) * 20)).toBe('');
      await world.boot(owner);
      [owner, standby] = [standby, owner];
    }
    await inStep(world, standby, 60_000);
    // A planned move unmounts it: what is left must need no mending.
    const { ended } = await world.operate('w', 'switchover', 'd3', '--to', standby);
    expect(ended).toMatchObject({ outcome: 'done' });
    expect(await lost(world, standby, 60)).toBe('');
    await inStep(world, owner, 60_000);
    await sh(world, standby, 'sync -f /srv/db');
    await until(
      'the copy is the same',
      stepMs,
      () => imageOf(world, 'a').equals(imageOf(world, 'b')) || undefined,
    );
    await sh(
      world,
      owner,
      'cp /srv/disk.img /srv/check.img && e2fsck -fp /srv/check.img; e2fsck -fn /srv/check.img',
    );
  });

  story('is freed of whoever holds it, and it is said who that was', 90_000, async (scene) => {
    const { world, owner, standby, beganWallMs } = scene;
    await inStep(world, standby, 60_000);
    const work = 'cd /srv/db && echo there && exec sleep 60';
    const holder = world.lab.host(owner).spawn(['sh', '-c', work], { stdio: ['ignore', 'pipe', 'inherit'] });
    await new Promise((resolve) => holder.stdout?.once('data', resolve));
    const gone = new Promise((resolve) => holder.once('exit', resolve));
    await world.operate('w', 'switchover', 'd3', '--to', standby);
    await world.active('d3', standby, 30_000);
    await world.event('w', 10_000, beganWallMs, ({ reason }) =>
      /db is held by sleep \(process \d+/.test(reason),
    );
    await gone;
    await expect(sh(world, owner, 'mountpoint /srv/db')).rejects.toThrow();
    loops.note(world.lab, world.cluster.servers);
  });
});
