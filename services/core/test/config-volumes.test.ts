/** Volumes in the file: what is accepted, what is refused and in which words, and what they bring to their group. */

import { configFromJson, configToJson, diffConfig, withEpochs } from '../src/index.ts';
import { accepted, errorsOf, errorsOfFile, group, type Raw } from './config-file.ts';

const volume = { path: '/dev/vg0/d3', size: '20GiB' };
const disk = { volume };
const file = (changes: Raw, copies: Raw = {}) => ({
  groups: { d3: group(changes) },
  ...(Object.keys(copies).length === 0 ? {} : { mirrors: copies }),
});
const configOf = (changes: Raw) => accepted(file(changes)).config;
const groupOf = (changes: Raw) => configOf(changes).groups.get('d3');

describe('a volume of a group', () => {
  it('has everything that its file leaves out', () => {
    expect(groupOf({ mirrors: { disk } })?.mirrors[0]).toMatchObject({
      name: 'disk',
      compress: 'auto',
      encrypt: 'always',
      dataset: {
        kind: 'volume',
        path: '/dev/vg0/d3',
        sizeBytes: 20 * 2 ** 30,
        mode: 'async',
        onTargetLoss: 'continue',
        targetLossMs: 5_000,
        granularityBytes: 65_536,
        attach: 'none',
      },
    });
  });

  it('may be an image file, and synchronous', () => {
    const image = { path: '/srv/images/d3.img', size: '1GiB', mode: 'sync', onTargetLoss: 'block' };
    expect(errorsOf({ mirrors: { disk: { volume: { ...image, targetLoss: '10s' } } } })).toEqual([]);
  });

  it.each([
    ['no size', { path: '/dev/vg0/d3' }, 'size: is missing; write a size such as 20GiB'],
    ['a size without a unit', { ...volume, size: 20 }, '"20" has no unit; write 20MiB'],
    ['a size of half a block', { ...volume, size: '1025KB' }, 'size: "1025KB" is out of range'],
    ['a size that is no whole number of blocks', { ...volume, size: '20GB' }, 'write 19531248KiB'],
    ['a relative path', { ...volume, path: 'vg0/d3' }, 'path: "vg0/d3" is not an absolute path'],
    ['a path that goes up', { ...volume, path: '/dev/vg0/../sda' }, 'write /dev/sda'],
    ['the system', { ...volume, path: '/usr/lib/d3.img' }, 'write an image file of data'],
    ['another mode', { ...volume, mode: 'asink' }, 'did you mean async?'],
    ['another key', { ...volume, attatch: 'none' }, '"attatch" is an unknown key; did you mean attach?'],
    ['an odd granularity', { ...volume, granularity: '100KiB' }, 'is not a power of two from 4KiB to 1MiB'],
  ])('is refused with %s', (_, written, says) => {
    const errors = errorsOf({ mirrors: { disk: { volume: written } } });
    expect(errors).toHaveLength(1);
    expect(errors[0]).toContain('cluster.yaml: groups.d3.mirrors.disk.volume');
    expect(errors[0]).toContain(says);
  });

  it('is not scanned, and is no file set as well', () => {
    expect(errorsOf({ mirrors: { disk: { ...disk, scanEvery: '1h' } } })[0]).toContain(
      'mirrors.disk.scanEvery: belongs to files',
    );
    const both = { ...disk, files: { root: '/srv/d3' } };
    expect(errorsOf({ mirrors: { disk: both } })[0]).toContain('has both files and a volume');
  });

  it('warns of what its mode never needs', () => {
    const { warnings } = accepted(
      file({ mirrors: { disk: { volume: { ...volume, onTargetLoss: 'block' } } } }),
    );
    expect(warnings).toEqual([
      'cluster.yaml: groups.d3.mirrors.disk.volume.onTargetLoss: has no effect in mode async, where no write waits ' +
        'for a target',
    ]);
  });

  it('shares its path with no other mirror on any of its servers', () => {
    expect(errorsOf({ mirrors: { disk, other: disk } })).toEqual([
      'cluster.yaml: groups.d3.mirrors.other: "/dev/vg0/d3" on a already belongs to d3/disk; give each mirror a place ' +
        'of its own',
    ]);
    const inside = { volume: { path: '/srv/d3/disk.img', size: '1GiB' } };
    const errors = errorsOf({ mirrors: { data: { files: { root: '/srv/d3' } }, inside } });
    expect(errors.join()).toContain('lie one inside the other');
  });
});

describe('a device of a volume', () => {
  const attached = { disk: { volume: { ...volume, attach: 'nbd-client' } } };
  const mount = { name: 'db', mount: { mirror: 'disk', at: '/srv/db', type: 'ext4' } };

  it('is the first of the resources, and a mount one of them', () => {
    const app = { name: 'app', systemd: 'd3' };
    const resources = groupOf({ mirrors: attached, resources: [mount, app] })?.resources;
    expect(resources?.map(({ name, runs }) => [name, runs.kind])).toEqual([
      ['attach-disk', 'attach'],
      ['db', 'mount'],
      ['app', 'systemd'],
    ]);
    expect(resources?.[1]?.runs).toEqual({
      kind: 'mount',
      mirror: 'disk',
      at: '/srv/db',
      type: 'ext4',
      options: null,
      fsck: 'preen',
    });
  });

  it('is not made of a volume whose clients speak NBD', () => {
    expect(groupOf({ mirrors: { disk } })?.resources).toEqual([]);
    expect(errorsOf({ mirrors: { disk }, resources: [mount] })).toEqual([
      'cluster.yaml: groups.d3.resources[0].mount.mirror: "disk" is attached to no device; write attach: nbd-client in ' +
        'its volume',
    ]);
  });

  it.each([
    ['a volume that is not there', { mirror: 'dist', at: '/srv/db' }, 'did you mean disk?'],
    ['the system', { mirror: 'disk', at: '/etc' }, 'part of the system'],
    ['a wrong policy', { mirror: 'disk', at: '/srv/db', fsck: 'prean' }, 'did you mean preen?'],
    [
      'options with a space',
      { mirror: 'disk', at: '/srv/db', options: 'ro, noatime' },
      'no space, as in fstab',
    ],
    ['an option of mount(8)', { mirror: 'disk', at: '/srv/db', options: '--bind' }, 'are not options'],
  ])('is not mounted with %s', (_, written, says) => {
    const errors = errorsOf({ mirrors: attached, resources: [{ name: 'db', mount: written }] });
    expect(errors).toHaveLength(1);
    expect(errors[0]).toContain(says);
  });

  it('leaves its name and its folder to nobody else', () => {
    const taken = { name: 'attach-disk', systemd: 'd3' };
    expect(errorsOf({ mirrors: attached, resources: [taken] })[0]).toContain('is the name of two resources');
    const twice = [mount, { ...mount, name: 'again' }];
    expect(errorsOf({ mirrors: attached, resources: twice })[0]).toContain(
      'the folder "/srv/db" on a is already used',
    );
  });
});

describe('a copy of a volume', () => {
  it('lies where the volume lies, or at a path of its own', () => {
    const from = { group: 'd3', mirror: 'disk' };
    const { config } = accepted(
      file(
        { mirrors: { disk } },
        { same: { from, to: ['c'] }, other: { from, to: ['c'], path: '/dev/vg1/d3' } },
      ),
    );
    expect([...config.mirrors.values()].map(({ root }) => root)).toEqual(['/dev/vg0/d3', '/dev/vg1/d3']);
  });

  it.each([
    ['a folder', { from: { group: 'd3', mirror: 'disk' }, to: ['c'], root: '/srv/x' }, 'write path:'],
    [
      'a device of nobody',
      { from: { server: 'c', volume: { ...volume, attach: 'nbd-client' } }, to: ['a'] },
      "belongs to a group's volume",
    ],
    [
      'a volume of its own',
      { from: { group: 'd3', mirror: 'disk', volume }, to: ['c'] },
      "that of the group's mirror",
    ],
  ])('is refused with %s', (_, copy, says) => {
    const errors = errorsOfFile(file({ mirrors: { disk } }, { offsite: copy }));
    expect(errors.join('\n')).toContain(says);
  });

  it('gets another epoch when its device changes', () => {
    const copy = (path: string) => ({ x: { from: { server: 'c', volume: { ...volume, path } }, to: ['a'] } });
    const first = withEpochs(null, accepted(file({}, copy('/dev/vg0/x'))).config, 7n);
    const other = withEpochs(first, accepted(file({}, copy('/dev/vg0/y'))).config, 30n);
    expect(other.mirrors.get('x')).toMatchObject({ from: { epoch: 31n } });
  });
});

it('shows what changes of a volume', () => {
  const before = configOf({ mirrors: { disk } });
  const after = configOf({ mirrors: { disk: { volume: { ...volume, size: '40GiB', mode: 'sync' } } } });
  expect(diffConfig(before, after)).toEqual([
    'groups.d3.mirrors.disk.volume.size: 20GiB -> 40GiB',
    'groups.d3.mirrors.disk.volume.mode: async -> sync',
  ]);
});

it('comes back from the store as it was', () => {
  const mirrors = {
    disk: { volume: { ...volume, attach: 'nbd-client' } },
    data: { files: { root: '/srv/d3' } },
  };
  const resources = [{ name: 'db', mount: { mirror: 'disk', at: '/srv/db' } }];
  const x = { from: { server: 'c', volume: { ...volume, path: '/dev/vg0/x' } }, to: ['a'] };
  const config = withEpochs(null, accepted(file({ mirrors, resources }, { x })).config, 3n);
  const back = configFromJson(JSON.parse(JSON.stringify(configToJson(config))));
  expect(back).toEqual({ kind: 'ok', config });
});
