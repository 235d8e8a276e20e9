/** What a volume brings to its owner: commands, devices and mounts, as far as no kernel is needed. */
import { spawn, type ChildProcess } from 'node:child_process';
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  realpathSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { ResourceConfig } from '@holdfast/core';
import { attach, attachedState, detach, deviceOf } from '../src/volumes/attaching.ts';
import { commandsOf } from '../src/volumes/commands.ts';
import { Limit } from '../src/volumes/ended.ts';
import { holdersOf, holdersText } from '../src/volumes/holders.ts';
import { fenceMount, unmount } from '../src/volumes/mounting.ts';
import { parseMounts } from '../src/volumes/mounts.ts';
import { attachByNbdClient, detachFromNbd, isNbdAttached } from '../src/volumes/nbd-client.ts';
import { lacksOf } from '../src/volumes/needs.ts';
import { volumePlaces } from '../src/volumes/places.ts';

let dir: string;
const path = process.env['PATH'];
beforeEach(() => {
  dir = realpathSync(mkdtempSync(join(tmpdir(), 'holdfast-volumes-')));
});
afterEach(() => {
  process.env['PATH'] = path;
  rmSync(dir, { recursive: true, force: true });
});

const limits = { monitor: { everyMs: 10_000, timeoutMs: 5_000, restarts: 3 }, startTimeoutMs: 60_000 };
const resource = <R extends ResourceConfig['runs']>(runs: R) => ({
  name: 'db',
  runs,
  ...limits,
  stopTimeoutMs: 30_000,
});

describe('the commands of a resource', () => {
  it('are those of the file, and its stop is also its fence', () => {
    const runs = { kind: 'command' as const, start: ['/bin/a'], stop: ['/bin/b'], status: null };
    expect(commandsOf('/d', 'd3', resource(runs))).toMatchObject({ stop: ['/bin/b'], fence: ['/bin/b'] });
  });

  it('of a mount are a program that says why before its own limit, and sooner when it is fenced', () => {
    const runs = {
      kind: 'mount' as const,
      mirror: 'disk',
      at: '/srv/db',
      type: 'ext4',
      options: null,
      fsck: 'preen' as const,
    };
    const { start, stop, fence } = commandsOf('/d', 'd3', resource(runs));
    expect(start.slice(2)).toEqual([
      ...['mount', 'start', '--dir', '/d', '--mirror', 'd3/disk'],
      ...['--at', '/srv/db', '--type', 'ext4', '--options', '', '--fsck', 'preen', '--limit-ms', '59500'],
    ]);
    expect(stop.at(-1)).toBe('29500');
    expect(fence.at(-1)).toBe('2000');
    expect(fence[3]).toBe('fence');
  });
});

describe('what is mounted', () => {
  it('is read with its device, its options, and spaces in its name', () => {
    const line = '36 35 7:3 / /srv/my\\040db rw,noatime shared:1 - ext4 /dev/loop3 ro,errors=remount-ro';
    expect(parseMounts(`${line}\nnonsense\n`)).toEqual([
      { at: '/srv/my db', device: '7:3', type: 'ext4', source: '/dev/loop3', isReadOnly: true },
    ]);
  });

  it('is held by whoever works in it', async () => {
    const child = spawn('sleep', ['60'], { cwd: dir, stdio: 'ignore' });
    await new Promise((resolve) => child.once('spawn', resolve));
    try {
      const holders = holdersOf(dir, '0:0');
      expect(holders).toEqual([{ pid: child.pid, name: 'sleep', path: dir }]);
      expect(holdersText(holders)).toBe(`sleep (process ${String(child.pid)}, ${dir})`);
      expect(holdersOf(join(dir, 'elsewhere'), '0:0')).toEqual([]);
    } finally {
      child.kill('SIGKILL');
    }
  });
});

/** A kernel with two devices, of which the first is taken, and an nbd-client that does as it is told. */
function fakeNbd(): string {
  const sys = join(dir, 'sys');
  for (const [name, size] of [
    ['nbd0', '8'],
    ['nbd1', '0'],
  ] as const) {
    mkdirSync(join(sys, name), { recursive: true });
    writeFileSync(join(sys, name, 'size'), `${size}\n`);
  }
  writeFileSync(join(sys, 'nbd0', 'pid'), '1\n');
  const bin = join(dir, 'bin');
  mkdirSync(bin);
  const program = [
    '#!/bin/sh',
    `echo "$@" >> ${dir}/asked`,
    `if [ "$1" = -d ]; then rm ${sys}/nbd1/pid; echo 0 > ${sys}/nbd1/size; exit 0; fi`,
    `echo 2048 > ${sys}/nbd1/size; echo 7 > ${sys}/nbd1/pid`,
  ];
  writeFileSync(join(bin, 'nbd-client'), `${program.join('\n')}\n`);
  chmodSync(join(bin, 'nbd-client'), 0o755);
  process.env['PATH'] = `${bin}:${path ?? ''}`;
  return sys;
}

describe('a device of the nbd driver', () => {
  it('is the first that is free, connects again by itself, and is given back', async () => {
    const sys = fakeNbd();
    const places = volumePlaces(dir, 'd3/disk');
    const attached = await attachByNbdClient(places, new Limit(5_000), { sys, proc: '/proc' });
    expect(attached).toEqual({ device: '/dev/nbd1', pid: null });
    expect(await attachByNbdClient(places, new Limit(5_000), { sys, proc: '/proc' })).toContain(
      'every nbd device is in use',
    );
    expect(await detachFromNbd('/dev/nbd1', places, new Limit(5_000), { sys, proc: '/proc' })).toEqual({
      kind: 'done',
    });
    expect(readFileSync(join(dir, 'asked'), 'utf8').split('\n')).toEqual([
      `-unix ${dir}/run/nbd-d3.disk.sock /dev/nbd1 -name disk -persist -nonetlink -timeout 30`,
      '-d /dev/nbd1',
      '',
    ]);
  });

  it('that another volume got meanwhile is neither taken for ours nor taken away', async () => {
    const by = { sys: fakeNbd(), proc: join(dir, 'proc') };
    const [ours, theirs] = [volumePlaces(dir, 'd3/disk'), volumePlaces(dir, 'd3/other')];
    // Both saw that it is free, and theirs was faster.
    mkdirSync(join(by.proc, '7'), { recursive: true });
    writeFileSync(join(by.proc, '7', 'cmdline'), `nbd-client\0-unix\0${theirs.socket}\0/dev/nbd1\0`);
    expect(await attachByNbdClient(ours, new Limit(5_000), by)).toContain('every nbd device is in use');
    expect(isNbdAttached('/dev/nbd1', ours, by)).toBe(false);
    expect(isNbdAttached('/dev/nbd1', theirs, by)).toBe(true);
    mkdirSync(join(by.sys, 'nbd2'));
    writeFileSync(join(by.sys, 'nbd2', 'size'), '0\n');
    writeFileSync(
      join(dir, 'bin', 'nbd-client'),
      `#!/bin/sh\necho 2048 > ${by.sys}/nbd2/size; echo 8 > ${by.sys}/nbd2/pid\n`,
    );
    expect(await attachByNbdClient(ours, new Limit(5_000), by)).toEqual({ device: '/dev/nbd2', pid: null });
  });

  it('needs a driver, and a volume that is exported', async () => {
    mkdirSync(join(dir, 'sys'));
    const places = volumePlaces(dir, 'd3/disk');
    expect(
      await attachByNbdClient(places, new Limit(5_000), { sys: join(dir, 'sys'), proc: '/proc' }),
    ).toContain('has no nbd driver');
    const refused = await attach(places, 'nbd-client', new Limit(200));
    expect(refused).toMatchObject({ kind: 'failed' });
    expect(JSON.stringify(refused)).toContain('the mirror process does not export d3/disk at');
  });

  it('that is not attached is stopped already, and a torn record changes nothing', async () => {
    const places = volumePlaces(dir, 'd3/disk');
    mkdirSync(join(dir, 'run'));
    writeFileSync(places.record, '{"device":');
    expect(attachedState(places)).toEqual({ kind: 'failed', says: 'd3/disk is not attached' });
    expect(await detach(places, new Limit(1_000))).toEqual({ kind: 'done' });
  });
});

describe('a mount at the folder of a group', () => {
  const ours = 'ext4 /dev/nbd99 rw';
  const foreign = 'ext4 /dev/sda1 rw';
  let table: string;
  let user: ChildProcess;

  /** A kernel that has these mounted at the folder, and an umount that takes the topmost away, or finds it in use. */
  async function mounted(mounts: readonly string[], inUse = false): Promise<void> {
    table = join(dir, 'mountinfo');
    const lines = mounts.map(
      (what, i) => `${String(i)} 1 ${what === ours ? '43:99' : '8:1'} / ${dir} rw - ${what}`,
    );
    writeFileSync(table, lines.map((line) => `${line}\n`).join(''));
    const program = [
      '#!/bin/sh',
      `echo "$@" >> ${dir}/asked`,
      ...(inUse ? ['if [ "$1" != --lazy ]; then echo "target is busy" >&2; exit 32; fi'] : []),
      `sed -i '$d' ${table}`,
    ];
    mkdirSync(join(dir, 'bin'));
    writeFileSync(join(dir, 'bin', 'umount'), `${program.join('\n')}\n`);
    chmodSync(join(dir, 'bin', 'umount'), 0o755);
    process.env['PATH'] = `${dir}/bin:${path ?? ''}`;
    user = spawn('sleep', ['60'], { cwd: dir, stdio: 'ignore' });
    await new Promise((resolve) => user.once('spawn', resolve));
  }

  function recorded(more: object = {}): ReturnType<typeof volumePlaces> {
    const places = volumePlaces(dir, 'd3/disk');
    mkdirSync(join(dir, 'run'));
    const record = { device: '/dev/nbd99', pid: null, method: 'nbd-client', ...more };
    writeFileSync(places.record, JSON.stringify(record));
    return places;
  }

  function linked(): string {
    const link = join(dir, 'link');
    symlinkSync(dir, link);
    return link;
  }

  const order = () => ({ at: dir, type: '', options: '', fsck: 'none' as const });
  const asked = () => (existsSync(join(dir, 'asked')) ? readFileSync(join(dir, 'asked'), 'utf8').trim() : '');
  const left = () => parseMounts(readFileSync(table, 'utf8')).map(({ source }) => source);

  afterEach(() => user.kill('SIGKILL'));

  it.each([
    ['nothing is attached', () => volumePlaces(dir, 'd3/disk')],
    ['another device is', () => recorded()],
    [
      'that was attached in another boot of the host',
      () => recorded({ device: '/dev/sda1', boot: 'before' }),
    ],
  ])('that is of somebody else stays, and so does whoever uses it, where %s', async (_, places) => {
    await mounted([foreign]);
    const there = places();
    expect(await unmount(there, order(), new Limit(1_000), table)).toEqual({ kind: 'done' });
    expect(await fenceMount(there, order(), new Limit(1_000), table)).toEqual({ kind: 'done' });
    expect([asked(), user.exitCode, user.signalCode]).toEqual(['', null, null]);
  });

  it('that is ours goes, and what somebody mounted over it; what was there before stays', async () => {
    await mounted([foreign, ours, foreign]);
    expect(await unmount(recorded(), order(), new Limit(1_000), table)).toEqual({ kind: 'done' });
    expect(left()).toEqual(['/dev/sda1']);
  });

  it.each([
    ['by its own path', () => dir],
    ['by a path with a link in it, which the kernel does not tell', () => linked()],
  ])(
    'that is ours is taken away in a fence from whoever uses it, though its device is gone, %s',
    async (_, at) => {
      await mounted([ours], true);
      const places = recorded();
      const gone = new Promise((resolve) => user.once('exit', resolve));
      const named = { ...order(), at: at() };
      expect(await fenceMount(places, named, new Limit(8_000), table)).toEqual({ kind: 'done' });
      await gone;
      expect(user.signalCode).toBe('SIGKILL');
      expect(left()).toEqual([]);
      // One that was killed before this would have to know it again.
      expect(deviceOf(places)).toBe('/dev/nbd99');
    },
    30_000,
  );
});

it('a host is told what it lacks, and how to get it', () => {
  process.env['PATH'] = dir;
  const runs = {
    kind: 'mount' as const,
    mirror: 'disk',
    at: '/srv/db',
    type: 'nosuchfs',
    options: null,
    fsck: 'preen' as const,
  };
  expect(lacksOf(runs)).toEqual([
    {
      says: 'fsck.nosuchfs is not installed',
      fix: 'install it on this server (Debian package of that file system)',
    },
  ]);
});
