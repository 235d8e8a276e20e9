/** What a volume remembers beside its blocks: nothing of it is lost, or believed of something else, whatever ends when. */
import { randomBytes } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { noStamp } from '../src/volumes/bitmap/peer-bitmap.ts';
import { Slots } from '../src/volumes/bitmap/slots.ts';
import { KeptBlocks, type KeptContents } from '../src/volumes/divergence/kept-blocks.ts';
import { VolumeGround } from '../src/volumes/ground.ts';
import { FileStore } from '../src/volumes/store/file-store.ts';
import { PowerCutDisk } from './power-cut-disk.ts';
import { Chance } from './random-files.ts';
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
