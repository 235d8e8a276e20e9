/** Whether there is room where a takeover writes: what counts as little, and a file system that does not answer. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseConfig, type AgentState } from '@holdfast/core';
import { Space, writtenPlaces, type Room } from '../src/space.ts';

const MiB = 1_024 * 1_024;
const GiB = 1_024 * MiB;

function room(bytesFree: number, bytesAll: number, told: Partial<Room> = {}): Room {
  return { device: 1, bytesFree, bytesAll, filesFree: 1e6, filesAll: 1e7, ...told };
}

const found = (one: Room | null) => new Space(() => Promise.resolve(one)).shortages(['/srv/d3']);

describe('the room in a file system', () => {
  it.each([
    ['a large disk with a gigabyte left', room(GiB, 1_000 * GiB)],
    ['a large disk with what etcd needs, and little more', room(129 * MiB, 1_000 * GiB)],
    ['the disk of a test machine', room(100 * MiB, GiB)],
    ['a folder in memory of a container', room(4 * MiB, 64 * MiB)],
    ['one that does not count its files', room(GiB, 10 * GiB, { filesFree: 0, filesAll: 0 })],
    ['nothing that grows', null],
  ])('is enough: %s', async (_, one) => {
    expect(await found(one)).toEqual([]);
  });

  it('is too little, and the words stay the same while it is', async () => {
    const [shortage] = await found(room(127 * MiB, 1_000 * GiB));
    expect(shortage).toEqual({
      says: 'less than 128 MiB are free in the file system of /srv/d3',
      fix: 'make room there before it is full: df -h /srv/d3 shows how much is left',
    });
    expect(await found(room(3 * MiB, 1_000 * GiB))).toEqual([shortage]);
    expect((await found(room(3 * MiB, 64 * MiB)))[0]?.says).toContain('less than 3.2 MiB');
  });

  it('is too little without numbers for more files', async () => {
    const [shortage] = await found(room(GiB, 10 * GiB, { filesFree: 20 }));
    expect(shortage?.says).toBe('the file system of /srv/d3 takes less than 1000 files more');
  });

  it('is told once for each file system, and by its reason where it is not known', async () => {
    const space = new Space((path) =>
      path === '/broken' ? Promise.reject(new Error('EIO: i/o error')) : Promise.resolve(room(0, GiB)),
    );
    const says = (await space.shortages(['/dir', '/dir/etcd', '/broken'])).map((s) => s.says);
    expect(says).toEqual([
      'less than 51 MiB are free in the file system of /dir',
      "whether there is room at /broken can't be found out: EIO: i/o error",
    ]);
  });

  it('is asked for by one thread at a time: one that hangs is not asked again, nor any other', async () => {
    const asked: string[] = [];
    let answer: (one: Room | null) => void = () => undefined;
    const space = new Space((path) => {
      asked.push(path);
      return new Promise((resolve) => (answer = resolve));
    });
    const silent = [
      {
        says: 'the file system of /srv/nfs does not answer',
        fix: 'look at its disk, or at the server that it is mounted from',
      },
    ];
    expect(await space.shortages(['/srv/nfs', '/srv/d3'])).toEqual(silent);
    expect(await space.shortages(['/srv/d3', '/srv/nfs'])).toEqual(silent);
    expect(asked).toEqual(['/srv/nfs']);
    answer(null);
    await new Promise((resolve) => setImmediate(resolve));
    const again = space.shortages(['/srv/d3']);
    answer(null);
    expect(await again).toEqual([]);
  }, 15_000);

  it('is looked at in fact: of a folder and of a file with holes, not of a device or of what is missing', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'holdfast-space-'));
    try {
      await writeFile(join(folder, 'file'), 'x');
      const paths = [folder, join(folder, 'missing'), join(folder, 'file', 'below'), '/dev/null'];
      // Whatever this disk has left: no path is one that can't be looked at.
      const says = (await new Space().shortages(paths)).map((s) => s.says);
      expect(says.filter((text) => !text.includes(`the file system of ${folder}`))).toEqual([]);
    } finally {
      await rm(folder, { recursive: true, force: true });
    }
  });
});

describe('the places that are looked at', () => {
  it("are the member's own, and the roots of the mirrors that it has a part in", () => {
    const members = ['a', 'b', 'c'].map((id, index) => ({
      ...{ id, role: 'server' as const, addresses: [`10.77.0.1${index}`], voter: true },
    }));
    const group = (servers: string[], host: number, root: string) => ({
      servers,
      identity: { mode: 'add', addresses: [`10.77.0.10${host}/24`] },
      mirrors: { data: { files: { root } } },
    });
    const yaml = {
      groups: { d3: group(['a', 'b'], 0, '/srv/d3'), other: group(['b', 'c'], 1, '/srv/other') },
      mirrors: { offsite: { from: { group: 'd3', mirror: 'data' }, to: ['c'], root: '/srv/copies' } },
    };
    const parsed = parseConfig(yaml, 'cluster.yaml', members);
    if (parsed.kind === 'invalid') throw new Error(parsed.errors.join('\n'));
    const places = (self: string) =>
      writtenPlaces('/var/lib/holdfast', { self, config: parsed.config } as AgentState).slice(3);
    expect(places('a')).toEqual(['/srv/d3']);
    expect(places('c')).toEqual(['/srv/other', '/srv/copies']);
    expect(writtenPlaces('/dir', { self: 'a', config: null } as AgentState)).toEqual([
      '/dir',
      '/dir/etcd',
      '/dir/mirror',
    ]);
  });
});
