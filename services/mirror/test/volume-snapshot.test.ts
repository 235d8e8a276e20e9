/** The way back by a snapshot: a copy that was overwritten out of order is what it was again, whatever happened when. */
import { randomBytes } from 'node:crypto';
import { KeptBlocks } from '../src/volumes/divergence/kept-blocks.ts';
import { VolumeGround } from '../src/volumes/ground.ts';
import type { Store } from '../src/volumes/store/store.ts';
import { settleWayBack } from '../src/volumes/target/found-way-back.ts';
import { marksName } from '../src/volumes/target/marks.ts';
import { Overwriting } from '../src/volumes/target/overwriting.ts';
import { undoLogName } from '../src/volumes/target/undo-log.ts';
import { PowerCutDisk } from './power-cut-disk.ts';
import { Chance } from './random-files.ts';
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

describe('between two members', () => {
  let anna: VolumeHost;
  let bert: VolumeHost;
  let before: Buffer;
  afterEach(async () => {
    await anna.close();
    await bert.close();
  });

  /** Bert was in step, and everything has changed at anna since. */
  async function apart(terms: HostTerms = {}): Promise<void> {
    anna = new VolumeHost('anna');
    bert = new VolumeHost('bert', { snapshots: true, ...terms });
    anna.disk.open('volume').write(randomBytes(volumeBytes), 0);
    await bert.openTarget();
    const source = await anna.openSource(1n, [bert]);
    await inStep(anna, bert);
    before = bert.contents();
    bert.cut();
    await until('it is missed', () => source.rows()[0]?.state === 'disconnected');
    await submit(source, writeOf(0, randomBytes(volumeBytes)));
  }

  /** Bert is killed, or loses its power, in the middle of its resync. */
  async function halfway(random: ((below: number) => number) | null): Promise<void> {
    // The sync with which a resync begins ends, and no other.
    const go = bert.disk.stall('volume', 1);
    bert.mend();
    await until('something is overwritten', () => !bert.contents().equals(before));
    await bert.kill(random);
    go();
  }

  const says = (): string => bert.says.join('; ');

  it('goes back by it, and nothing of it stays', async () => {
    await apart();
    await halfway(null);
    expect(bert.disk.exists('volume.before')).toBe(true);
    expect(bert.contents().equals(before)).toBe(false);
    await anna.kill(null);
    await bert.openTarget();
    await bert.takeOver(2n, []);
    expect(bert.contents().equals(before)).toBe(true);
    expect(says()).toMatch(/the way back is a snapshot of the image.*were taken back/);
    expect(bert.disk.syncs(undoLogName)).toBe(0);
    expect([bert.disk.exists('volume.before'), bert.disk.exists(marksName)]).toEqual([false, false]);
  });

  it('goes back after a power cut in the middle, on the disk too', async () => {
    await apart();
    await halfway(() => 1);
    expect(bert.contents().equals(before)).toBe(false);
    await anna.kill(null);
    await bert.openTarget();
    expect(bert.target?.state()).toMatchObject({ consistent: true });
    await bert.takeOver(2n, []);
    await bert.kill(() => 0);
    expect(bert.contents().equals(before)).toBe(true);
  });

  it('comes into step, and keeps no snapshot', async () => {
    await apart();
    bert.mend();
    await inStep(anna, bert);
    expect(bert.contents().equals(anna.contents())).toBe(true);
    expect([bert.disk.snapshotsMade, bert.disk.exists('volume.before')]).toEqual([1, false]);
  });

  it.each<[string, HostTerms, () => void]>([
    ['it outgrows its room', { undoBytesMax: 100_000 }, () => undefined],
    ['its file system has little room left', {}, () => void (bert.disk.roomBytes = 67_108_864 + 65_536)],
    ['it takes the room of a write', {}, () => void (bert.disk.crowded = true)],
  ])('is given up where %s, and the copy is complete when it is in step', async (_, terms, cramp) => {
    await apart(terms);
    cramp();
    bert.mend();
    await inStep(anna, bert);
    expect(says()).toMatch(/the way back is a snapshot of the image.*the way back is given up/);
    expect(bert.contents().equals(anna.contents())).toBe(true);
    expect(bert.disk.exists('volume.before')).toBe(false);
    expect(bert.target?.state().consistent).toBe(true);
  });

  it.each<[string, () => void, RegExp]>([
    ['its file system makes none', () => void (bert.disk.noSnapshots = 'ENOTSUP'), /an undo log \(.*ENOTSUP/],
    ['there is no room for one', () => void (bert.disk.roomBytes = 1_000), /an undo log \(.*no room/],
  ])('is a log where %s', async (_, lack, why) => {
    await apart();
    lack();
    await halfway(null);
    await anna.kill(null);
    expect(says()).toMatch(why);
    expect(bert.disk.exists('volume.before')).toBe(false);
    await bert.openTarget();
    await bert.takeOver(2n, []);
    expect(bert.contents().equals(before)).toBe(true);
  });

  it('that somebody took away is none: the copy is incomplete, and says so', async () => {
    await apart();
    await halfway(null);
    await anna.kill(null);
    bert.disk.remove('volume.before');
    await bert.openTarget();
    expect(says()).toMatch(/the snapshot of before the resync is gone/);
    expect(bert.target?.state()).toMatchObject({ consistent: false });
  });
});

describe('whenever its host loses power', () => {
  const blockBytes = 4_096;
  const overwritten = [5, 6, 90, 130].map((block) => ({ offset: block * blockBytes, length: blockBytes }));
  const open = async (disk: PowerCutDisk) => {
    const store = disk.open('volume');
    const ground = await VolumeGround.open(disk, store, volumeBytes, chunkBytes, heat);
    const snapshots = disk.snapshotsOf('volume');
    await settleWayBack(ground, snapshots);
    const says = (): undefined => undefined;
    const ports = { ground, store, snapshots, undoBytesMax: () => Infinity, nowMs: () => 0, says };
    const overwriting = await Overwriting.open({ ...ports, kept: new KeptBlocks(disk, 1 << 30) });
    return { store, ground, overwriting };
  };

  type Ending = 'finish' | 'roll back' | 'give up';
  async function story(disk: PowerCutDisk, after: Buffer, ending: Ending): Promise<void> {
    const { store, ground, overwriting } = await open(disk);
    const peer = await ground.peer('anna');
    await overwriting.begin(peer, 7);
    for (const [i, range] of overwritten.entries()) {
      await overwriting.save([range]);
      if (ending === 'give up' && i === 2) expect(await overwriting.makeRoom()).toBe(true);
      store.write(after.subarray(range.offset, range.offset + range.length), range.offset);
    }
    await store.sync();
    if (ending === 'finish') await overwriting.finish({});
    if (ending === 'roll back') await overwriting.rollBack();
  }

  /** Consistent, and in step with anna. */
  async function begun(disk: PowerCutDisk, store: Store): Promise<void> {
    const ground = await VolumeGround.open(disk, store, volumeBytes, chunkBytes, heat);
    await ground.save({ consistent: true, history: [{ epoch: 1n, sequence: 7 }] });
    const peer = await ground.peer('anna');
    peer.clear();
    await peer.save('stamp');
  }

  function changedChunks(disk: PowerCutDisk, before: Buffer): number[] {
    const contents = Buffer.alloc(volumeBytes);
    disk.open('volume').read(contents, 0);
    const changed = overwritten.filter(
      ({ offset, length }) =>
        contents.compare(before, offset, offset + length, offset, offset + length) !== 0,
    );
    return changed.map(({ offset }) => Math.floor(offset / chunkBytes));
  }

  it.each<Ending>(['finish', 'roll back', 'give up'])(
    '%s: it is what it was, what it became, or incomplete',
    async (ending) => {
      const before = randomBytes(volumeBytes);
      const after = Buffer.from(before);
      for (const { offset, length } of overwritten) randomBytes(length).copy(after, offset);
      const told = { ended: false };
      const ended = (): boolean => told.ended;
      let turns = 0;
      for (; !ended(); turns += 1) {
        const chance = new Chance(turns + 1);
        const disk = new PowerCutDisk();
        disk.format('volume', volumeBytes);
        const store = disk.open('volume');
        store.write(before, 0);
        await store.sync();
        await begun(disk, store);
        void story(disk, after, ending).then(() => (told.ended = true));
        for (let turn = 0; turn < turns; turn += 1) await new Promise((next) => setImmediate(next));
        disk.powerCut((below) => chance.below(below));
        const changed = changedChunks(disk, before);
        // In the life after it the power is cut as well, some time in going back.
        const { overwriting, ground } = await open(disk);
        const wasDone = ground.record.undoTo === null && ended() && ending === 'finish';
        void overwriting.rollBack();
        for (let turn = 0; turn < chance.below(8); turn += 1) await new Promise((next) => setImmediate(next));
        disk.powerCut((below) => chance.below(below));
        const last = await open(disk);
        await last.overwriting.rollBack();
        const contents = Buffer.alloc(volumeBytes);
        last.store.read(contents, 0);
        const came = contents.equals(before) ? 'before' : contents.equals(after) ? 'after' : 'a mixture';
        const { consistent, undoTo } = last.ground.record;
        expect(undoTo).toBeNull();
        if (!consistent) expect(ending).toBe('give up');
        else if (came !== 'before') expect([turns, ending, came]).toEqual([turns, 'finish', 'after']);
        if (wasDone) expect(came).toBe('after');
        expect([disk.exists('volume.before'), disk.exists(marksName)]).toEqual([false, false]);
        const peer = await last.ground.peer('anna');
        if (came === 'before') expect(changed.filter((chunk) => !peer.has(chunk))).toEqual([]);
      }
      expect(turns).toBeGreaterThan(8);
    },
  );
});
