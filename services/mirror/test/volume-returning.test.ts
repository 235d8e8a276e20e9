/** An owner that comes back as a target: what it wrote itself is kept, and nothing else is, in bounded room. */
import { randomBytes } from 'node:crypto';
import { HotExtents } from '../src/volumes/bitmap/hot-extents.ts';
import { KeptBlocks } from '../src/volumes/divergence/kept-blocks.ts';
import { VolumeGround } from '../src/volumes/ground.ts';
import { Overwriting } from '../src/volumes/target/overwriting.ts';
import {
  chunkBytes,
  heat,
  inStep,
  submit,
  until,
  VolumeHost,
  volumeBytes,
  writeOf,
  type HostTerms,
} from './volume-hosts.ts';

const lostAt = 300_000;
let anna: VolumeHost;
let bert: VolumeHost;
let lost: Buffer;
afterEach(async () => {
  await anna.close();
  await bert.close();
});

/** Anna wrote what nobody has, and was killed; bert has written everything anew. */
async function bertGoesOn(terms: HostTerms): Promise<void> {
  anna = new VolumeHost('anna', terms);
  bert = new VolumeHost('bert');
  lost = randomBytes(5_000);
  anna.disk.open('volume').write(randomBytes(volumeBytes), 0);
  await bert.openTarget();
  const source = await anna.openSource(1n, [bert]);
  await inStep(anna, bert);
  bert.cut();
  await submit(source, writeOf(lostAt, lost));
  await anna.kill(null);
  bert.mend();
  const successor = await bert.takeOver(2n, [anna]);
  await submit(successor, writeOf(0, randomBytes(volumeBytes)));
}

function contentsOf(kept: KeptBlocks): Buffer {
  const bytes = Buffer.alloc(volumeBytes);
  for (const range of kept.list())
    for (const piece of kept.contentsOf(range)) piece.contents?.copy(bytes, piece.offset);
  return bytes;
}

function keptAt(host: VolumeHost, offset: number, length: number): Buffer {
  if (host.target === null) throw new Error(`${host.name} is no target`);
  return contentsOf(host.target.kept).subarray(offset, offset + length);
}

it('gives up the way back where that outgrows its room, and keeps what is its own all the same', async () => {
  await bertGoesOn({ undoBytesMax: 100_000 });
  await anna.openTarget();
  await inStep(bert, anna);
  expect(anna.says.join()).toMatch(/the way back is given up/);
  expect(keptAt(anna, lostAt, lost.length).equals(lost)).toBe(true);
  expect(anna.contents().equals(bert.contents())).toBe(true);
});

it('does so, too, where the disk of the way back is full', async () => {
  await bertGoesOn({});
  anna.disk.refuse('undo', 'ENOSPC');
  await anna.openTarget();
  await inStep(bert, anna);
  expect(anna.says.join()).toMatch(/the way back is given up/);
  expect(keptAt(anna, lostAt, lost.length).equals(lost)).toBe(true);
});

it('says that it is its own disk for what it keeps that is full, and overwrites nothing', async () => {
  await bertGoesOn({});
  anna.disk.refuse('own', 'ENOSPC');
  await anna.openTarget();
  const failed = (): boolean => anna.target?.state().phase === 'failed';
  await anna.keepOpen(failed);
  expect(anna.target?.state().says).toMatch(/what it overwrites can not be saved first: ENOSPC/);
  expect(
    anna
      .contents()
      .subarray(lostAt, lostAt + lost.length)
      .equals(lost),
  ).toBe(true);
  anna.disk.refuse('own', null);
  await anna.keepOpen(() => anna.target?.state().phase === 'replicating');
  expect(keptAt(anna, lostAt, lost.length).equals(lost)).toBe(true);
});

it('keeps its own when a person opens it by force in the middle of that', async () => {
  await bertGoesOn({});
  const store = anna.disk.open('volume');
  const ground = await VolumeGround.open(anna.disk, store, volumeBytes, chunkBytes, heat);
  const kept = new KeptBlocks(anna.disk, 1 << 30);
  const says = (): undefined => undefined;
  const ports = { ground, store, kept, snapshots: null, undoBytesMax: () => 0, nowMs: () => 0, says };
  const overwriting = await Overwriting.open(ports);
  await overwriting.begin(await ground.peer('bert'), ground.sequence);
  expect(await overwriting.save([{ offset: lostAt, length: lost.length }])).toBe('');
  // More than the way back has room for.
  expect(await overwriting.save([{ offset: 0, length: 65_536 }])).toBe('');
  store.write(Buffer.alloc(lost.length), lostAt);
  expect(ground.record.consistent).toBe(false);
  await overwriting.rollBack();
  expect(
    contentsOf(kept)
      .subarray(lostAt, lostAt + lost.length)
      .equals(lost),
  ).toBe(true);
  ground.close();
});

it('is not held up by what is kept of former lives, though that is more than may be kept by now', async () => {
  await bertGoesOn({});
  await anna.openTarget();
  await inStep(bert, anna);
  expect(anna.target?.kept.count).toBeGreaterThan(0);
  anna.cut();
  await until('it is missed', () => bert.source?.rows()[0]?.state === 'disconnected');
  anna.target?.setRoom(1);
  if (bert.source === null) throw new Error('bert is no source');
  await submit(bert.source, writeOf(0, randomBytes(4_096)));
  anna.mend();
  await inStep(bert, anna);
  expect(anna.contents().equals(bert.contents())).toBe(true);
});

it('lists nothing when it was in step, and died before its bits were cleared', async () => {
  await bertGoesOn({});
  await anna.openTarget();
  await inStep(bert, anna);
  await anna.target?.kept.discard(null);
  await anna.kill(null);
  const ground = await VolumeGround.open(anna.disk, anna.disk.open('volume'), volumeBytes, chunkBytes, heat);
  const bits = await ground.peer('bert');
  bits.add(3);
  await bits.save();
  ground.close();
  if (bert.source === null) throw new Error('bert is no source');
  await submit(bert.source, writeOf(3 * chunkBytes, randomBytes(4_096)));
  await anna.openTarget();
  await inStep(bert, anna);
  expect(anna.target?.kept.list()).toEqual([]);
});

it('that was killed at rest has nothing of its own', async () => {
  anna = new VolumeHost('anna');
  bert = new VolumeHost('bert');
  await bert.openTarget();
  const source = await anna.openSource(1n, [bert]);
  await inStep(anna, bert);
  for (let offset = 0; offset < 5 * heat.extentBytes; offset += heat.extentBytes)
    await submit(source, writeOf(offset, randomBytes(512)));
  await submit(source, { kind: 'flush' });
  const isHot = (): boolean => [...HotExtents.open(anna.disk, volumeBytes, heat).hot()].length > 0;
  await until('everything is cold', () => !isHot());
  await anna.kill(null);
  const ground = await VolumeGround.open(anna.disk, anna.disk.open('volume'), volumeBytes, chunkBytes, heat);
  expect(ground.peers().map(([peer, bits]) => [peer, bits.count])).toEqual([['bert', 0]]);
  ground.close();
});
