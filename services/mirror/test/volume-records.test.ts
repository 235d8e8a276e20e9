/** What a volume remembers beside its blocks: nothing of it is lost, or believed of something else, whatever ends when. */
import { randomBytes } from 'node:crypto';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { MirrorRunRow } from '@holdfast/wire/mirror';
import { noStamp } from '../src/volumes/bitmap/peer-bitmap.ts';
import { Slots } from '../src/volumes/bitmap/slots.ts';
import { runBlocks } from '../src/process/volume-divergence-runs.ts';
import { KeptBlocks, type KeptContents } from '../src/volumes/divergence/kept-blocks.ts';
import { VolumeGround } from '../src/volumes/ground.ts';
import { FileStore, FolderDisk } from '../src/volumes/store/file-store.ts';
import { Overwriting } from '../src/volumes/target/overwriting.ts';
import { portsTo } from './run-ports.ts';
import { PowerCutDisk } from './power-cut-disk.ts';
import { Chance } from './random-files.ts';
import { turns } from './turns.ts';
import { chunkBytes, heat, until, volumeBytes } from './volume-hosts.ts';

const cuts = 40;
const roomBytes = 1 << 30;
const blockBytes = 4_096;

function cut(disk: PowerCutDisk, seed: number): void {
  const chance = new Chance(seed);
  disk.powerCut((below) => chance.below(below));
}

describe('a small record', () => {
  const recordOf = (letter: string): Buffer => Buffer.from(letter.repeat(3_000));

  it('is the last one or the one before, after a write that failed and a power cut in the next', async () => {
    for (let seed = 0; seed < cuts; seed += 1) {
      const disk = new PowerCutDisk();
      const slots = new Slots(disk.open('record'), blockBytes);
      await slots.replace(recordOf('a'));
      await slots.replace(recordOf('b'));
      disk.refuse('record', 'ENOSPC');
      await expect(slots.replace(recordOf('c'))).rejects.toThrow('ENOSPC');
      disk.refuse('record', null);
      void slots.replace(recordOf('d'));
      cut(disk, seed);
      const found = new Slots(disk.open('record'), blockBytes).read();
      expect(['b', 'd']).toContain(found?.toString()[0]);
    }
  });

  it('is so after a sync that failed, too', async () => {
    for (let seed = 0; seed < cuts; seed += 1) {
      const disk = new PowerCutDisk();
      const slots = new Slots(disk.open('record'), blockBytes);
      await slots.replace(recordOf('a'));
      disk.fail('record', 'EIO', 1);
      await expect(slots.replace(recordOf('b'))).rejects.toThrow('EIO');
      void slots.replace(recordOf('c'));
      cut(disk, seed);
      const found = new Slots(disk.open('record'), blockBytes).read();
      expect(['a', 'c']).toContain(found?.toString()[0]);
    }
  });
});

describe('what is known of another copy', () => {
  let disk: PowerCutDisk;
  beforeEach(() => {
    disk = new PowerCutDisk();
    disk.format('volume', volumeBytes);
  });

  const ground = (): Promise<VolumeGround> =>
    VolumeGround.open(disk, disk.open('volume'), volumeBytes, chunkBytes, heat);

  /** A relation in which nothing differs; then its files can't be removed, as when the process ends just before that. */
  async function related(): Promise<VolumeGround> {
    const before = await ground();
    const bits = await before.peer('bert');
    bits.clear();
    await bits.save('stamp');
    disk.remove = () => {
      throw Object.assign(new Error('it ended'), { code: 'EIO' });
    };
    return before;
  }

  async function isForgotten(): Promise<void> {
    Reflect.deleteProperty(disk, 'remove');
    const next = await ground();
    expect(next.peers()).toEqual([]);
    const bits = await next.peer('bert');
    expect(bits.stamp).toBe(noStamp);
    expect(bits.count).toBe(volumeBytes / chunkBytes);
  }

  it('is forgotten with it, also by a life that ended before the bitmap was removed', async () => {
    await expect((await related()).drop('bert')).rejects.toThrow('it ended');
    await isForgotten();
  });

  it('is forgotten with the disk that was replaced, also by such a life', async () => {
    const likeness = { name: 'another', blocks: [] };
    await expect((await related()).forgetWhatWas(likeness)).rejects.toThrow('it ended');
    await isForgotten();
  });
});

describe('what was kept aside', () => {
  const piece = (block: number): KeptContents => ({
    offset: block * 2 * blockBytes,
    length: blockBytes,
    contents: Buffer.alloc(blockBytes, block + 1),
  });

  function isThere(kept: KeptBlocks, block: number): boolean {
    const { offset, contents } = piece(block);
    const range = kept.list().find((one) => one.offset === offset);
    if (range === undefined) return false;
    return [...kept.contentsOf(range)].every((one) => contents?.equals(one.contents ?? Buffer.alloc(0)));
  }

  /** `syncs`: of the discarding, that end before the power goes. */
  async function cutInDiscarding(seed: number, syncs: number): Promise<KeptBlocks> {
    const disk = new PowerCutDisk();
    const kept = new KeptBlocks(disk, roomBytes);
    await kept.keep([piece(0), piece(1), piece(2)], 1n, 0);
    const [first] = kept.list();
    if (first === undefined) throw new Error('nothing is kept');
    const before = disk.syncs('kept');
    let go = disk.stall('kept');
    void kept.discard(first);
    for (let i = 0; i < syncs; i += 1) {
      await until('it is synced', () => disk.syncs('kept') > before + i);
      // It waits there by then.
      await new Promise((next) => setImmediate(next));
      go();
      go = disk.stall('kept');
    }
    await until('it is synced once more', () => disk.syncs('kept') > before + syncs);
    cut(disk, seed);
    return new KeptBlocks(disk, roomBytes);
  }

  it.each([0, 1])(
    'is there after a power cut in discarding something else, in the sync after %d others',
    async (syncs) => {
      for (let seed = 0; seed < cuts; seed += 1) {
        const kept = await cutInDiscarding(seed, syncs);
        expect([seed, isThere(kept, 1), isThere(kept, 2)]).toEqual([seed, true, true]);
      }
    },
  );

  describe('and is damaged', () => {
    const entryBytes = 48 + blockBytes;
    let disk: PowerCutDisk;
    beforeEach(async () => {
      disk = new PowerCutDisk();
      await new KeptBlocks(disk, roomBytes).keep([piece(0), piece(1), piece(2)], 1n, 0);
    });
    const list = async (kept: KeptBlocks): Promise<string> => {
      const run = { kind: 'list', mirror: 'd3/disk', target: '', repair: false, path: '', to: '' } as const;
      const answered = await runBlocks(kept, run, 'anna', portsTo());
      return answered.kind === 'done' ? answered.says : JSON.stringify(answered);
    };

    it.each([
      ['its contents', entryBytes + 100, /4096 bytes at 8192 of epoch 1/],
      ['its length', entryBytes + 18, /bytes at 8192 of epoch 1/],
      ['its header', entryBytes, /4144 bytes from 4144 of the file/],
    ])('%s: it is named, and what lies behind it is there', async (_what, at, named) => {
      disk.open('kept').write(Buffer.from([7]), at);
      const kept = new KeptBlocks(disk, roomBytes);
      expect([0, 1, 2].map((block) => isThere(kept, block))).toEqual([true, false, true]);
      expect(await list(kept)).toMatch(/^damaged on anna/);
      expect(await list(kept)).toMatch(named);
      // It goes when it is discarded, and nothing else does; what is added is found.
      await kept.keep([piece(3)], 2n, 0);
      await kept.discardDamaged(kept.damaged);
      const next = new KeptBlocks(disk, roomBytes);
      expect([0, 1, 2, 3].map((block) => isThere(next, block))).toEqual([true, false, true, true]);
      expect(await list(next)).toBe('');
    });

    it('the last one: it is named, until what is added lies there', async () => {
      disk.open('kept').write(Buffer.from([7]), 2 * entryBytes + 100);
      const kept = new KeptBlocks(disk, roomBytes);
      expect(await list(kept)).toMatch(/4096 bytes at 16384 of epoch 1/);
      await kept.keep([piece(3)], 2n, 0);
      const next = new KeptBlocks(disk, roomBytes);
      expect([isThere(next, 1), isThere(next, 3), await list(next)]).toEqual([true, true, '']);
    });

    it('it is discarded by its offset, and by --all', async () => {
      disk.open('kept').write(Buffer.from([7]), entryBytes + 100);
      const kept = new KeptBlocks(disk, roomBytes);
      const terms = { mirror: 'd3/disk', target: '', repair: false, to: '' };
      const ports = portsTo();
      const restored = await runBlocks(kept, { ...terms, kind: 'restore', path: '8192' }, 'anna', ports);
      expect(restored).toMatchObject({ kind: 'failed', says: expect.stringMatching(/is damaged/) as string });
      await runBlocks(kept, { ...terms, kind: 'discard', path: '8192' }, 'anna', ports);
      expect(await list(new KeptBlocks(disk, roomBytes))).toBe('');
      await runBlocks(kept, { ...terms, kind: 'discard', path: '' }, 'anna', ports);
      expect(disk.exists('kept')).toBe(false);
    });
  });

  it('is found among many, and nobody else has to wait for that', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'holdfast-kept-'));
    const kept = new KeptBlocks(new FolderDisk(folder), roomBytes);
    const many = Array.from({ length: 60_000 }, (_, i) => ({ ...piece(i), contents: null }));
    let [longestMs, lastMs] = [0, performance.now()];
    const timer = setInterval(() => {
      longestMs = Math.max(longestMs, performance.now() - lastMs);
      lastMs = performance.now();
    }, 1);
    try {
      await kept.keep(many, 1n, 0);
      await kept.keep([...many, piece(60_000)], 1n, 0);
      expect(kept.count).toBe(60_001);
      await kept.discard({ offset: 0, length: piece(60_000).offset, epoch: 1n, modifiedMs: 0 });
      expect(kept.count).toBe(1);
      // Looking through all of them for each took many seconds.
      expect(longestMs).toBeLessThan(2_000);
    } finally {
      clearInterval(timer);
      kept.close();
      rmSync(folder, { recursive: true, force: true });
    }
  }, 60_000);

  describe('and is restored', () => {
    const restore = { mirror: 'd3/disk', target: '', repair: false, kind: 'restore', path: '0' } as const;
    let folder: string;
    let kept: KeptBlocks;
    beforeEach(async () => {
      folder = mkdtempSync(join(tmpdir(), 'holdfast-restored-'));
      kept = new KeptBlocks(new PowerCutDisk(), roomBytes);
      const blocks = [0, 1, 2, 3].map((block) => ({ ...piece(block), offset: block * blockBytes }));
      await kept.keep(blocks, 1n, 0);
    });
    afterEach(() => rmSync(folder, { recursive: true, force: true }));

    it('is a file of its blocks, told how far it is, and everything else has its turn meanwhile', async () => {
      const others = turns();
      const rows: MirrorRunRow[] = [];
      const restoring = runBlocks(kept, { ...restore, to: folder }, 'anna', portsTo(rows));
      const answered = await restoring.finally(others.stop);
      const file = join(folder, '0-16384-epoch-1');
      expect(answered).toEqual({ kind: 'done', says: `${file} on anna` });
      expect([...new Set(readFileSync(file))]).toEqual([1, 2, 3, 4]);
      expect(rows[0]).toMatchObject({ kind: 'progress', target: 'anna', done: 4_096, total: 16_384 });
      expect(others.count()).toBeGreaterThanOrEqual(4);
    });

    it('leaves no part of a file behind when nobody wants it any more', async () => {
      const answered = await runBlocks(
        kept,
        { ...restore, to: folder },
        'anna',
        portsTo([], AbortSignal.abort()),
      );
      expect(answered).toMatchObject({ kind: 'failed' });
      expect(readdirSync(folder)).toEqual([]);
      expect(kept.list()).toHaveLength(1);
    });
  });

  it('is there when everything before it is discarded while it is added', async () => {
    const disk = new PowerCutDisk();
    const kept = new KeptBlocks(disk, roomBytes);
    await kept.keep([piece(0)], 1n, 0);
    const go = disk.stall('kept');
    const added = kept.keep([piece(1)], 2n, 0);
    const discarded = kept.discard(null);
    go();
    await Promise.all([added, discarded]);
    const next = new KeptBlocks(disk, roomBytes);
    expect([isThere(next, 0), isThere(next, 1)]).toEqual([false, true]);
  });
});

describe('what a sync that failed left in the cache', () => {
  const ranges = [{ offset: 8 * blockBytes, length: 2 * blockBytes }];

  /** With a record of the failure, as a target opens its disk anew. */
  async function reopened(disk: PowerCutDisk, failed: boolean): Promise<Overwriting> {
    const store = disk.open('volume');
    const ground = await VolumeGround.open(disk, store, volumeBytes, chunkBytes, heat);
    if (failed) await ground.save({ failures: ground.record.failures + 1 });
    const kept = new KeptBlocks(disk, roomBytes);
    const room = { undoBytesMax: () => roomBytes, nowMs: () => 0, says: () => undefined };
    const overwriting = await Overwriting.open({ ground, store, snapshots: null, kept, ...room });
    if (overwriting.active) return overwriting;
    const history = [{ epoch: 1n, sequence: 5 }];
    await ground.save({ epoch: 1n, history, consistent: true });
    await overwriting.begin(await ground.peer('anna'), 5);
    return overwriting;
  }

  it('is no way back before it is durable', async () => {
    const disk = new PowerCutDisk();
    disk.format('volume', volumeBytes);
    const before = randomBytes(volumeBytes);
    const volume = disk.open('volume');
    volume.write(before, 0);
    await volume.sync();
    const first = await reopened(disk, false);
    disk.fail('undo', 'EIO', 1);
    await expect(first.save(ranges)).rejects.toThrow('EIO');
    first.close();
    const second = await reopened(disk, true);
    expect(await second.save(ranges)).toBe('');
    volume.write(randomBytes(2 * blockBytes), 8 * blockBytes);
    await volume.sync();
    disk.powerCut(() => 0);
    await (await reopened(disk, false)).rollBack();
    const after = Buffer.alloc(volumeBytes);
    disk.open('volume').read(after, 0);
    expect(after.equals(before)).toBe(true);
  });

  it('is not what was kept aside', async () => {
    const disk = new PowerCutDisk();
    const one = { offset: 0, length: blockBytes, contents: randomBytes(blockBytes) };
    const two = { ...one, offset: 4 * blockBytes };
    const kept = new KeptBlocks(disk, roomBytes);
    await kept.keep([one], 1n, 0);
    disk.fail('kept', 'EIO', 1);
    await expect(kept.keep([two], 1n, 0)).rejects.toThrow('EIO');
    kept.close();
    await new KeptBlocks(disk, roomBytes).keep([two], 1n, 0);
    disk.powerCut(() => 0);
    expect(new KeptBlocks(disk, roomBytes).list().map(({ offset }) => offset)).toEqual([0, two.offset]);
  });
});

it('a store that was closed touches no file that was opened since', () => {
  const folder = mkdtempSync(join(tmpdir(), 'holdfast-records-'));
  try {
    const store = FileStore.open(join(folder, 'one'), true);
    store.close();
    const other = FileStore.open(join(folder, 'other'), true);
    expect(() => store.write(randomBytes(512), 0)).toThrow('EBADF');
    store.close();
    other.write(Buffer.from('as it was'), 0);
    other.close();
    expect(readFileSync(join(folder, 'other'), 'utf8')).toBe('as it was');
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});
