/** How a resync ends, and what counts from then on. */
import { randomBytes } from 'node:crypto';
import type { Connection, Frame } from '../src/transport/types.ts';
import type { VolumeAck } from '../src/transport/volume-frames.ts';
import { outcome } from '../src/volumes/nbd/protocol.ts';
import { VolumeLine } from '../src/volumes/source/volume-line.ts';
import type { VolumeSource } from '../src/volumes/source/volume-source.ts';
import { Applying } from '../src/volumes/target/applying.ts';
import { Overwriting } from '../src/volumes/target/overwriting.ts';
import { KeptBlocks } from '../src/volumes/divergence/kept-blocks.ts';
import { VolumeGround } from '../src/volumes/ground.ts';
import { PowerCutDisk } from './power-cut-disk.ts';
import { ResyncOfCopy } from './volume-copy.ts';
import { chunkBytes, heat, inStep, submit, until, VolumeHost, volumeBytes, writeOf } from './volume-hosts.ts';

const dataBytes = 65_536;
const flush = { kind: 'flush' } as const;
const quietMs = 150;
const later = (): Promise<'waits'> => new Promise((next) => setTimeout(() => next('waits'), quietMs));

const isAck = (frame: Frame): frame is VolumeAck => frame.kind === 'volume-ack';

it('a target tells of the mark as durable when it is on record, and not with the sync before that', async () => {
  const disk = new PowerCutDisk();
  disk.format('volume', volumeBytes);
  const store = disk.open('volume');
  const ground = await VolumeGround.open(disk, store, volumeBytes, chunkBytes, heat);
  const kept = new KeptBlocks(disk, 1 << 30);
  const says = (): undefined => undefined;
  const ports = { ground, store, snapshots: null, kept, undoBytesMax: () => 1 << 30, nowMs: () => 0, says };
  const overwriting = await Overwriting.open(ports);
  await ground.save({ epoch: 1n });
  const recorded = disk.syncs('record');
  const go = disk.stall('record');
  const sent: Frame[] = [];
  let take: (frame: Frame) => void = () => undefined;
  const connection = {
    onFrame: (listener: (frame: Frame) => void) => (take = listener),
    send: (frame: Frame) => sent.push(frame) > 0,
    hold: () => undefined,
    close: () => undefined,
  } as unknown as Connection;
  const applying = new Applying(connection, {
    ...{ store, sizeBytes: volumeBytes, overwriting },
    begin: () => Promise.resolve(''),
    inStep: (sequence) => overwriting.finish({ history: ground.historyAt(1n, sequence) }),
    consistent: () => ground.record.consistent,
    suspect: () => false,
    durable: () => undefined,
    failed: (kind, why) => {
      throw new Error(`${kind}: ${why}`);
    },
  });
  const acks = (): readonly VolumeAck[] => sent.filter(isAck);
  // So much that it is told of as received a little later, when the mark behind it has come.
  const contents = Buffer.alloc(200_000, 1);
  const flags = { sequence: 7, barrier: false, inStep: false, resync: false };
  take({ kind: 'volume-writes', number: 1, ...flags, changes: [{ kind: 'write', offset: 0, contents }] });
  take({ kind: 'volume-writes', number: 2, ...flags, barrier: true, inStep: true, changes: [] });
  await until('the mark is being recorded', () => disk.syncs('record') > recorded);
  await until('it tells that it has it', () => acks().some(({ received }) => received === 2));
  expect(acks().every(({ durable }) => durable < 2)).toBe(true);
  go();
  await until('it tells that it is durable', () => acks().at(-1)?.durable === 2);
  expect(ground.record.consistent).toBe(true);
  await applying.stop('the test is over');
});

it('a comparison does not overtake what was forwarded to its range before', async () => {
  const disk = new PowerCutDisk();
  disk.format('volume', volumeBytes);
  const store = disk.open('volume');
  const before = randomBytes(volumeBytes);
  store.write(before, 0);
  const resync = new ResyncOfCopy({ disk, store, before, dirty: [5], compareRanges: 1, dataBytes });
  const { copy, forwarding, resyncing } = resync;
  // Over the end of a chunk that is the same on both sides, so that it is forwarded as a whole.
  const offset = 5 * chunkBytes - 512;
  const contents = randomBytes(1_024);
  store.write(contents, offset);
  forwarding.add(1, { kind: 'write', offset, contents }, 4, 5);
  // Then what lies in the chunk that differs becomes what it was. It is dirty anyway, and not forwarded.
  store.write(before.subarray(5 * chunkBytes, 5 * chunkBytes + 512), 5 * chunkBytes);
  resyncing.pump();
  resync.answer();
  await until('everything is compared', () => resync.isDone);
  forwarding.flush();
  const now = Buffer.alloc(volumeBytes);
  store.read(now, 0);
  expect(copy.bytes.equals(now)).toBe(true);
});

describe('two members', () => {
  let anna: VolumeHost;
  let bert: VolumeHost;
  afterEach(async () => {
    await anna.close();
    await bert.close();
  });

  it('a line forwards already when it asks for contents, so that nobody else says that they are not wanted', async () => {
    anna = new VolumeHost('anna');
    bert = new VolumeHost('bert');
    await bert.openTarget();
    const store = anna.disk.open('volume');
    const ground = await VolumeGround.open(anna.disk, store, volumeBytes, chunkBytes, heat);
    const { sizeBytes } = ground;
    const asked: boolean[] = [];
    const line: VolumeLine = new VolumeLine(anna.way(bert), await ground.peer('bert'), {
      ...{ ground, store },
      greeting: (target) => ({
        ...{ cluster: 'acme', mirror: 'd3/disk', self: 'anna', target, epoch: 1n, history: [], sequence: 0 },
        ...{ sizeBytes, rangesMax: sizeBytes / chunkBytes },
      }),
      sequence: () => 0,
      wantContents: () => asked.push(line.forwarding),
      catchUp: () => undefined,
      still: (work) => work(),
      urgent: () => false,
      lossMs: () => Infinity,
      progressed: () => undefined,
      says: () => undefined,
    });
    await until('it is in step', () => line.inStep);
    expect(asked).toEqual([true]);
    await line.close('the test is over');
    ground.close();
  });

  /** In step until the line is cut; the target has applied the last write, and its disk holds up the sync of it. */
  async function cutBeforeItsSync(): Promise<{ readonly go: () => void; readonly source: VolumeSource }> {
    anna = new VolumeHost('anna');
    bert = new VolumeHost('bert');
    await bert.openTarget();
    const source = await anna.openSource(1n, [bert]);
    await inStep(anna, bert);
    const go = bert.disk.stall('volume');
    const bytes = randomBytes(4_096);
    await submit(source, writeOf(8_192, bytes));
    await until('it is there', () => bert.contents().subarray(8_192, 12_288).equals(bytes));
    bert.cut();
    await until('it is missed', () => bert.target?.state().phase === 'disconnected');
    return { go, source };
  }

  it('in sync mode a flush waits for a target whose mark is under way, though it was gone on without before', async () => {
    anna = new VolumeHost('anna', { mode: 'sync', onTargetLoss: 'continue', targetLossMs: 0 });
    bert = new VolumeHost('bert');
    await bert.openTarget();
    const source = await anna.openSource(1n, [bert]);
    await inStep(anna, bert);
    bert.cut();
    await until('it is missed', () => source.rows()[0]?.state === 'disconnected');
    expect(await submit(source, writeOf(0, randomBytes(512)))).toBe(outcome.done);
    bert.mend();
    while (source.line('bert')?.isMarked !== true) await new Promise((next) => setImmediate(next));
    // It has not come yet, and its answer is held back.
    const go = bert.disk.stall('record');
    const flushed = submit(source, flush);
    expect(await Promise.race([flushed, later()])).toBe('waits');
    go();
    expect(await flushed).toBe(outcome.done);
    await inStep(anna, bert);
  });

  it('a copy is at rest when it is on the disk: whoever reads it is not to be told instead of it that it is not', async () => {
    const { go } = await cutBeforeItsSync();
    bert.disk.fail('volume', 'EIO', 1);
    go();
    expect(await bert.target?.atRest()).toMatch(/EIO/);
    expect(bert.target?.state()).toMatchObject({ phase: 'failed', consistent: false });
  });

  it('what came just before the line was cut belongs to the position that is taken over to', async () => {
    const { go, source } = await cutBeforeItsSync();
    go();
    const promoted = await bert.target?.promote();
    expect(promoted?.position).toMatchObject({ epoch: 1n, sequence: source.sequence });
  });
});
