/** An owner that comes back as a target: what it wrote itself is kept, and nothing else is, in bounded room. */
import { randomBytes } from 'node:crypto';
import { VolumeGround } from '../src/volumes/ground.ts';
import {
  chunkBytes,
  inStep,
  submit,
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

function keptAt(host: VolumeHost, offset: number, length: number): Buffer {
  const bytes = Buffer.alloc(volumeBytes);
  const kept = host.target?.kept;
  for (const range of kept?.list() ?? [])
    for (const piece of kept?.contentsOf(range) ?? []) piece.contents?.copy(bytes, piece.offset);
  return bytes.subarray(offset, offset + length);
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
  await bertGoesOn({ undoBytesMax: 0 });
  const before = anna.contents();
  await anna.openTarget();
  while (
    anna
      .contents()
      .subarray(lostAt, lostAt + 100)
      .equals(before.subarray(lostAt, lostAt + 100))
  )
    await new Promise((next) => setImmediate(next));
  await bert.kill(null);
  expect(anna.target?.state().consistent).toBe(false);
  await anna.target?.promote();
  expect(keptAt(anna, lostAt, lost.length).equals(lost)).toBe(true);
});

it('lists nothing when it was in step, and died before its bits were cleared', async () => {
  await bertGoesOn({});
  await anna.openTarget();
  await inStep(bert, anna);
  await anna.target?.kept.discard(null);
  await anna.kill(null);
  const ground = await VolumeGround.open(anna.disk, anna.disk.open('volume'), volumeBytes, chunkBytes);
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
