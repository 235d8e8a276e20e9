/** A volume that becomes larger while clients are connected. */
import { randomBytes } from 'node:crypto';
import { PeerBitmap } from '../src/volumes/bitmap/peer-bitmap.ts';
import { VolumeGround } from '../src/volumes/ground.ts';
import { outcome } from '../src/volumes/nbd/protocol.ts';
import { PowerCutDisk } from './power-cut-disk.ts';
import {
  chunkBytes,
  exportedBy,
  inStep,
  submit,
  until,
  VolumeHost,
  volumeBytes,
  writeOf,
} from './volume-hosts.ts';

/** A part of a chunk, so that the last one grows as well. */
const before = volumeBytes + 4_096;
const after = 2 * volumeBytes;

describe('a volume that becomes larger', () => {
  let anna: VolumeHost;
  let bert: VolumeHost;
  beforeEach(async () => {
    anna = new VolumeHost('anna');
    bert = new VolumeHost('bert');
    for (const host of [anna, bert]) {
      host.sizeBytes = before;
      host.disk.open('volume').resize(before);
    }
    await bert.openTarget();
  });
  afterEach(async () => {
    await anna.close();
    await bert.close();
  });

  const larger = async (): Promise<void> => {
    await bert.target?.close();
    bert.cut();
    bert.mend();
    bert.sizeBytes = after;
    // A device may hold anything there.
    bert.disk.open('volume').resize(after);
    bert.disk.open('volume').write(randomBytes(after - before), before);
    await bert.openTarget();
  };

  it('goes on with the clients that it has, and its target gets what is new', async () => {
    const source = await anna.openSource(1n, [bert]);
    await inStep(anna, bert);
    expect(exportedBy(source).sizeBytes).toBe(before);
    source.setSize(after);
    await until('it is larger', () => exportedBy(source).sizeBytes === after);
    const bytes = randomBytes(50_000);
    expect(await submit(source, writeOf(before - 1_000, bytes, true))).toBe(outcome.done);
    // The target is too small still, and says so.
    await until('it says so', () => /make it larger/.test(source.rows()[0]?.says ?? ''));
    await larger();
    await inStep(anna, bert);
    expect(anna.contents().length).toBe(after);
    expect(bert.contents().equals(anna.contents())).toBe(true);
    expect(
      anna
        .contents()
        .subarray(before - 1_000, before - 1_000 + bytes.length)
        .equals(bytes),
    ).toBe(true);
  });

  it('is as large durably when it is said to be', async () => {
    const source = await anna.openSource(1n, [bert]);
    await inStep(anna, bert);
    const recorded = anna.disk.syncs('record');
    const go = anna.disk.stall('record');
    source.setSize(after);
    await until('its record is being written', () => anna.disk.syncs('record') > recorded);
    expect(anna.disk.unsynced('volume')).toBe(false);
    go();
    await until('it is larger', () => exportedBy(source).sizeBytes === after);
  });

  it('is written to while it grows, and loses nothing', async () => {
    const source = await anna.openSource(1n, [bert]);
    await inStep(anna, bert);
    const written: { readonly offset: number; readonly bytes: Buffer }[] = [];
    const writing = (async () => {
      for (let i = 0; i < 300; i += 1) {
        const offset = ((i * 37) % 250) * 4_096;
        const bytes = randomBytes(4_096);
        expect(await submit(source, writeOf(offset, bytes))).toBe(outcome.done);
        written.push({ offset, bytes });
        if (i === 100) source.setSize(after);
        if (i === 150) await larger();
      }
    })();
    await writing;
    await inStep(anna, bert);
    expect(bert.contents().equals(anna.contents())).toBe(true);
    for (const { offset, bytes } of new Map(written.map((one) => [one.offset, one])).values())
      expect(
        bert
          .contents()
          .subarray(offset, offset + 4_096)
          .equals(bytes),
      ).toBe(true);
  });

  it('stays as it is, and says why, while its device is not larger', async () => {
    const source = await anna.openSource(1n, [bert]);
    await inStep(anna, bert);
    anna.disk.limit('volume', after - 4_096);
    source.setSize(after);
    await until('it says so', () => /it stays at .* bytes/.test(source.rows()[0]?.says ?? ''));
    expect(exportedBy(source).sizeBytes).toBe(before);
    anna.disk.limit('volume', Infinity);
    source.setSize(after);
    await until('it is larger', () => exportedBy(source).sizeBytes === after);
    expect(source.rows()[0]?.says).not.toMatch(/it stays/);
  });

  it('is not larger, now or later, when that could not be made durable', async () => {
    const source = await anna.openSource(1n, [bert]);
    await inStep(anna, bert);
    anna.disk.fail('volume', 'EIO', 1);
    source.setSize(after);
    await until('it says so', () => anna.says.some((says) => /it stays at .* bytes/.test(says)));
    source.setSize(after);
    await source.close();
    anna.source = null;
    expect(VolumeGround.sizeOf(anna.disk)).toBe(before);
  });

  it('stays as it is after a restart, too', async () => {
    const first = await anna.openSource(1n, [bert]);
    await inStep(anna, bert);
    const bytes = randomBytes(4_096);
    expect(await submit(first, writeOf(before - 4_096, bytes, true))).toBe(outcome.done);
    await anna.source?.close();
    anna.disk.limit('volume', after - 4_096);
    for (const host of [anna, bert]) host.sizeBytes = after;
    const source = await anna.openSource(1n, [bert]);
    source.setSize(after);
    await until('it says so', () => /it stays at .* bytes/.test(source.rows()[0]?.says ?? ''));
    expect(exportedBy(source).sizeBytes).toBe(before);
    // A target that is opened anew is one, and may be taken over to.
    await bert.target?.close();
    await bert.openTarget();
    await inStep(anna, bert);
    expect(bert.contents().equals(anna.contents())).toBe(true);
    expect(bert.contents().subarray(-4_096).equals(bytes)).toBe(true);
  });

  it('a smaller size is none', async () => {
    const source = await anna.openSource(1n, [bert]);
    source.setSize(4_096);
    expect(exportedBy(source).sizeBytes).toBe(before);
    expect(anna.contents().length).toBe(before);
  });
});

describe('the bitmap of a volume that grew', () => {
  const bits = (bitmap: PeerBitmap): number[] =>
    Array.from({ length: bitmap.chunks }, (_, chunk) => chunk).filter((chunk) => bitmap.has(chunk));
  const clean = async (disk: PowerCutDisk, bytes: number): Promise<void> => {
    const bitmap = new PeerBitmap(disk, 'bert', bytes, chunkBytes);
    bitmap.clear();
    await bitmap.save('stamp');
    bitmap.close();
  };

  it('has what is new, and the chunk that was a part', async () => {
    const disk = new PowerCutDisk();
    await clean(disk, 3 * chunkBytes + 1);
    const grown = new PeerBitmap(disk, 'bert', 6 * chunkBytes, chunkBytes);
    expect([grown.stamp, bits(grown)]).toEqual(['stamp', [3, 4, 5]]);
  });

  it('has it in every life until it is on disk, and then from there', async () => {
    const disk = new PowerCutDisk();
    await clean(disk, 4 * chunkBytes);
    for (let life = 0; life < 2; life += 1) {
      new PeerBitmap(disk, 'bert', 6 * chunkBytes, chunkBytes);
      // The process dies before anything is saved; what it wrote without a sync is there.
      disk.kill();
    }
    const grown = new PeerBitmap(disk, 'bert', 6 * chunkBytes, chunkBytes);
    expect(bits(grown)).toEqual([3, 4, 5]);
    await grown.save();
    disk.kill();
    expect(bits(new PeerBitmap(disk, 'bert', 6 * chunkBytes, chunkBytes))).toEqual([3, 4, 5]);
  });

  it('grows while it is open', async () => {
    const disk = new PowerCutDisk();
    await clean(disk, 3 * chunkBytes + 1);
    const bitmap = new PeerBitmap(disk, 'bert', 3 * chunkBytes + 1, chunkBytes);
    await bitmap.grow(5 * chunkBytes);
    expect(bits(bitmap)).toEqual([3, 4]);
    disk.kill();
    expect(bits(new PeerBitmap(disk, 'bert', 5 * chunkBytes, chunkBytes))).toEqual([3, 4]);
  });
});
