/** How writes lie in frames. */
import type { BlockChange } from '../src/transport/volume-frames.ts';
import { Batch } from '../src/volumes/source/batch.ts';

const frameBytes = 262_144;
const mib = 1_048_576;
const write = (offset: number, length: number): BlockChange => ({
  kind: 'write',
  offset,
  contents: Buffer.alloc(length, 1),
});

function framesOf(...writes: readonly BlockChange[]) {
  const batch = new Batch(0);
  writes.forEach((change, i) => batch.add(i + 1, change, frameBytes));
  return batch.take().map(({ changes, sequence, bytes }) => ({ count: changes.length, sequence, bytes }));
}

it('a write that a frame can hold is not cut', () => {
  expect(framesOf(write(0, 200_000), write(300_000, 100_000), write(500_000, 4_096))).toEqual([
    { count: 1, sequence: 1, bytes: 200_000 },
    { count: 2, sequence: 3, bytes: 104_096 },
  ]);
});

it('zeros are of several frames where they cover much', () => {
  const zero = (at: number): BlockChange => ({ kind: 'zero', offset: at * mib, length: 4 * mib, hole: true });
  const batch = new Batch(0);
  const zeros = Array.from({ length: 6 }, (_, i) => zero(4 * i));
  zeros.forEach((change, i) => batch.add(i + 1, change, frameBytes));
  expect([batch.bytes, batch.zeroBytes]).toEqual([0, 24 * mib]);
  expect(batch.take().map(({ sequence, zeroBytes }) => [sequence, zeroBytes / mib])).toEqual([
    [4, 16],
    [6, 8],
  ]);
});

it('one that no frame can hold is, and counts where it ends', () => {
  expect(framesOf(write(0, 4_096), write(8_192, 600_000))).toEqual([
    { count: 2, sequence: 1, bytes: frameBytes },
    { count: 1, sequence: 1, bytes: frameBytes },
    { count: 1, sequence: 2, bytes: 604_096 - 2 * frameBytes },
  ]);
});
