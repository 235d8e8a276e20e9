/** How writes lie in frames. */
import type { BlockChange } from '../src/transport/volume-frames.ts';
import { Batch } from '../src/volumes/source/batch.ts';

const frameBytes = 262_144;
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

it('one that no frame can hold is, and counts where it ends', () => {
  expect(framesOf(write(0, 4_096), write(8_192, 600_000))).toEqual([
    { count: 2, sequence: 1, bytes: frameBytes },
    { count: 1, sequence: 1, bytes: frameBytes },
    { count: 1, sequence: 2, bytes: 604_096 - 2 * frameBytes },
  ]);
});
