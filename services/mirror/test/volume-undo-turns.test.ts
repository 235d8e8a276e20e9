/** Going back is as long as what was overwritten, in the event loop of all mirrors of the member. */
import { setImmediate as turn } from 'node:timers/promises';
import { KeptBlocks } from '../src/volumes/divergence/kept-blocks.ts';
import { VolumeGround } from '../src/volumes/ground.ts';
import type { Disk, Store } from '../src/volumes/store/store.ts';
import { Overwriting } from '../src/volumes/target/overwriting.ts';
import { PowerCutDisk } from './power-cut-disk.ts';
import { chunkBytes, heat, volumeBytes } from './volume-hosts.ts';

const blockBytes = 4_096;
const entries = 60;
const accessMs = 3;
/** One in three accesses, at most. */
const turnsMin = entries / 3;

/** A disk that takes its time for each access, and the thread waits. */
function slowed(store: Store): Store {
  const slowly = <T>(access: () => T): T => {
    for (const endMs = performance.now() + accessMs; performance.now() < endMs;);
    return access();
  };
  return {
    get sizeBytes() {
      return store.sizeBytes;
    },
    read: (into, offset) => slowly(() => store.read(into, offset)),
    write: (from, offset) => slowly(() => store.write(from, offset)),
    zero: (offset, length, hole) => slowly(() => store.zero(offset, length, hole)),
    sync: () => store.sync(),
    segments: (offset, length) => store.segments(offset, length),
    resize: (bytes) => store.resize(bytes),
    close: () => store.close(),
  };
}

/** How many turns others got while it ran. */
async function turnsOf(work: Promise<unknown>): Promise<number> {
  const running = { is: true };
  const ended = work.finally(() => (running.is = false));
  let turns = 0;
  for (; running.is; turns += 1) await turn();
  await ended;
  return turns;
}

it('a long way back leaves turns to the other mirrors, when it is read and when it is gone', async () => {
  const disk = new PowerCutDisk();
  disk.format('volume', volumeBytes);
  const open = async (at: Disk, volume: Store): Promise<Overwriting> => {
    const ground = await VolumeGround.open(at, volume, volumeBytes, chunkBytes, heat);
    const kept = new KeptBlocks(at, 1 << 30);
    const room = { undoBytesMax: () => 1 << 30, nowMs: () => 0, says: () => undefined };
    if (ground.record.history.length === 0)
      await ground.save({ consistent: true, history: [{ epoch: 1n, sequence: 5 }] });
    const overwriting = await Overwriting.open({ ground, store: volume, snapshots: null, kept, ...room });
    if (!overwriting.active) await overwriting.begin(await ground.peer('anna'), 5);
    return overwriting;
  };
  const first = await open(disk, disk.open('volume'));
  const apart = Array.from({ length: entries }, (_, i) => ({
    offset: i * 2 * blockBytes,
    length: blockBytes,
  }));
  expect(await first.save(apart)).toBe('');
  first.close();

  const slow: Disk = {
    open: (name) => (name === 'undo' ? slowed(disk.open(name)) : disk.open(name)),
    exists: (name) => disk.exists(name),
    remove: (name) => disk.remove(name),
  };
  const next = open(slow, slowed(disk.open('volume')));
  expect(await turnsOf(next)).toBeGreaterThan(turnsMin);
  expect(await turnsOf((await next).rollBack())).toBeGreaterThan(turnsMin);
});
