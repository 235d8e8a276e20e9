/**
 * One connection of a target: takes what the source sends, in order, and tells how far it came.
 *
 *   A1  frames are carried out one after the other; what comes behind a barrier waits until everything before it is durable
 *   A2  what waits is bounded: beyond `queueBytesMax` nothing is read from the connection
 *   A3  durable is told of only what was applied when the sync began
 *   A4  while what is read back may not be on the disk, no hash of it is told that could match: it is sent again
 *   A5  a frame beyond the volume, out of its number, or that a source does not send, ends the connection
 *   A6  the mark that ends a resync is told of when it is on record, and not with the sync before that: what the source counts
 *       on from then on must not be taken back
 *   A7  this is the event loop of all mirrors of the member: zeros, of which a frame may have any amount and which some disks have to
 *       write, are cut, and others get their turn; so does what is saved aside, and so do the ranges of a comparison, which may lie
 *       anywhere on a slow disk
 */

import { errorCode, errorText } from '@holdfast/wire/directory';
import type { Connection, Frame } from '../../transport/types.ts';
import type {
  BlockChange,
  ByteRange,
  VolumeCompare,
  VolumeResync,
  VolumeWrites,
} from '../../transport/volume-frames.ts';
import { contentBytesOf } from '../../transport/volume-codec.ts';
import { compareBytesMax } from '../../transport/volume-frames.ts';
import { Slice } from '../../files/source/slice.ts';
import { hashesOf, readRange } from '../hashing.ts';
import { isNoRoom, type Store } from '../store/store.ts';
import type { Overwriting } from './overwriting.ts';

const queueBytesMax = 16_777_216;
const frameBytes = 256;
/** What a change or a range takes in memory, about. */
const entryBytes = 64;
/** Saved aside and synced together. */
const roundBytesMax = 16_777_216;
/** Carried out at once; a power of two. */
const zeroBytesMax = 4_194_304;
const syncEveryBytes = 33_554_432;
const syncEveryMs = 250;
/** A frame as full as this is one of many: they are acknowledged together, so often or so much later. */
const fullBytes = 131_072;
const ackEveryBytes = 1_048_576;
const ackLaterMs = 2;

export interface ApplyingPorts {
  readonly store: Store;
  readonly sizeBytes: number;
  readonly overwriting: Overwriting;
  /** A resync begins. Empty, or why it can't. */
  readonly begin: (frame: VolumeResync) => Promise<string>;
  readonly inStep: (sequence: number) => Promise<void>;
  readonly consistent: () => boolean;
  /** A4. */
  readonly suspect: () => boolean;
  /** Everything up to it is durable here. */
  readonly durable: (sequence: number) => void;
  /** It can't go on: `own` writes that can't be kept, or the system's reason. */
  readonly failed: (kind: 'diverged' | 'failed', says: string) => void;
}

export class Applying {
  readonly #connection: Connection;
  readonly #ports: ApplyingPorts;
  readonly #timer: NodeJS.Timeout;
  readonly #buffer = Buffer.allocUnsafeSlow(compareBytesMax);
  /** Of several comparisons. */
  readonly #hashing = new Slice();
  #queue: Frame[] = [];
  #queuedBytes = 0;
  #held = false;
  #busy: Promise<void> | null = null;
  #draining = false;
  #over = false;
  #stopping = false;
  #number = 0;
  #sequence = 0;
  #durable = 0;
  #durableSequence = 0;
  /** A6. The frame with the mark that is not on record yet; null: there is none. */
  #mark: number | null = null;
  #unsyncedBytes = 0;
  #syncing = false;
  #ackDue = false;
  #unackedBytes = 0;
  #ackLate: NodeJS.Timeout | null = null;

  constructor(connection: Connection, ports: ApplyingPorts) {
    this.#connection = connection;
    this.#ports = ports;
    this.#timer = setInterval(() => this.#syncSometimes(1), syncEveryMs);
    connection.onFrame((frame) => this.#take(frame));
  }

  /** Of the last write that was applied. */
  get sequence(): number {
    return this.#sequence;
  }

  /** Nothing is carried out any more when it resolves. What was taken before is applied. */
  async stop(says: string): Promise<void> {
    clearInterval(this.#timer);
    this.#stopping = true;
    this.#connection.hold();
    while (this.#busy !== null) await this.#busy;
    this.#over = true;
    this.#connection.close(says);
  }

  #take(frame: Frame): void {
    if (this.#over || frame.kind === 'beat') return;
    this.#queue.push(frame);
    this.#queuedBytes += sizeOf(frame);
    if (this.#queuedBytes > queueBytesMax && !this.#held) {
      this.#held = true; // A2
      this.#connection.hold();
    }
    this.#drain();
  }

  /** A1. */
  #drain(): void {
    if (this.#draining) return;
    this.#draining = true;
    while (this.#busy === null && !this.#over) {
      const frame = this.#queue.shift();
      if (frame === undefined) break;
      this.#queuedBytes -= sizeOf(frame);
      const waits = this.#guarded(() => this.#carryOut(frame));
      if (waits !== null) this.#wait(waits);
    }
    this.#draining = false;
    const room = this.#held && this.#queuedBytes < queueBytesMax / 2;
    if (room && !this.#over && !this.#stopping) {
      this.#held = false;
      this.#connection.go();
    }
  }

  #wait(waits: Promise<void>): void {
    this.#busy = waits
      .catch((error: unknown) => this.#fail(error))
      .finally(() => {
        this.#busy = null;
        this.#drain();
      });
  }

  #guarded(work: () => Promise<void> | null): Promise<void> | null {
    try {
      return work();
    } catch (error) {
      this.#fail(error);
      return null;
    }
  }

  /** Null: it is done. */
  #carryOut(frame: Frame): Promise<void> | null {
    if (frame.kind === 'volume-writes') return this.#writes(frame);
    if (frame.kind === 'volume-resync') return this.#begin(frame);
    if (frame.kind === 'volume-compare') return this.#compare(frame);
    this.#end(`a source of a volume does not send ${frame.kind}`);
    return null;
  }

  async #begin(frame: VolumeResync): Promise<void> {
    const says = await this.#ports.begin(frame);
    if (says !== '') this.#end(says);
  }

  #writes(frame: VolumeWrites): Promise<void> | null {
    if (this.#ports.overwriting.active) return this.#overwrite(this.#round(frame));
    if (zeroBytesOf(frame) > zeroBytesMax) return this.#writesInTurns(frame);
    if (!this.#apply(frame)) return null;
    return frame.barrier ? this.#barrier(frame) : null;
  }

  async #writesInTurns(frame: VolumeWrites): Promise<void> {
    if ((await this.#applyInTurns(frame)) && frame.barrier) await this.#barrier(frame);
  }

  /** With what waits behind it, up to a barrier: one sync of the undo log for all of them. */
  #round(first: VolumeWrites): VolumeWrites[] {
    const round = [first];
    let bytes = sizeOf(first) + zeroBytesOf(first);
    while (round.at(-1)?.barrier === false && bytes < roundBytesMax) {
      const next = this.#queue[0];
      if (next?.kind !== 'volume-writes') break;
      this.#queue.shift();
      this.#queuedBytes -= sizeOf(next);
      bytes += sizeOf(next) + zeroBytesOf(next);
      round.push(next);
    }
    return round;
  }

  async #overwrite(round: readonly VolumeWrites[]): Promise<void> {
    const wrong = round.find(({ changes }) => !changes.every((change) => this.#within(rangeOf(change))));
    if (wrong !== undefined) {
      this.#end('a write beyond the end of the volume');
      return;
    }
    for (const ranges of partsOf(round)) {
      const says = await this.#saved(ranges);
      if (this.#over) return;
      if (says !== '') {
        this.#ports.failed('diverged', says);
        this.#end(says);
        return;
      }
    }
    for (const frame of round) if (!(await this.#applyOver(frame))) return;
    const last = round.at(-1);
    if (last?.barrier === true) await this.#barrier(last);
  }

  async #saved(ranges: readonly ByteRange[]): Promise<string> {
    try {
      return await this.#ports.overwriting.save(ranges);
    } catch (error) {
      this.#fail(error, 'what it overwrites can not be saved first');
      return '';
    }
  }

  /** Where the way back took the room for it, that is given up first. */
  async #applyOver(frame: VolumeWrites): Promise<boolean> {
    try {
      return await this.#applyInTurns(frame);
    } catch (error) {
      if (!isNoRoom(error) || !(await this.#ports.overwriting.makeRoom())) throw error;
      return !this.#over && (await this.#applyInTurns(frame));
    }
  }

  /** False: it is wrong, and nothing of it was done. Where it throws, a part may be; it can be done again. */
  #apply(frame: VolumeWrites): boolean {
    if (!this.#isNext(frame)) return false;
    for (const change of frame.changes) this.#change(change);
    this.#applied(frame);
    return true;
  }

  /** The same (A7); false also where it is over in the middle of it. */
  async #applyInTurns(frame: VolumeWrites): Promise<boolean> {
    if (!this.#isNext(frame)) return false;
    const slice = new Slice();
    for (const change of cut(frame.changes)) {
      if (slice.isOver) await slice.turn();
      if (this.#over) return false;
      this.#change(change);
    }
    this.#applied(frame);
    return true;
  }

  /** A5. */
  #isNext({ number, sequence, changes }: VolumeWrites): boolean {
    if (number !== this.#number + 1 || sequence < this.#sequence) this.#end('a frame is missing');
    else if (!changes.every((change) => this.#within(rangeOf(change))))
      this.#end('a write beyond the end of the volume');
    return !this.#over;
  }

  #change(change: BlockChange): void {
    const { store } = this.#ports;
    if (change.kind === 'write') store.write(change.contents, change.offset);
    else store.zero(change.offset, change.length, change.hole);
  }

  #applied(frame: VolumeWrites): void {
    frame.done?.();
    this.#number = frame.number;
    this.#sequence = frame.sequence;
    const bytes = contentBytesOf(frame);
    this.#unsyncedBytes += bytes;
    // A barrier is acknowledged with its sync, for which whoever waits for the writes in it waits as well.
    if (!frame.barrier) this.#acknowledge(bytes);
    if (this.#unsyncedBytes >= syncEveryBytes) this.#syncSometimes(syncEveryBytes);
  }

  async #barrier(frame: VolumeWrites): Promise<void> {
    if (frame.inStep) this.#mark = frame.number;
    if (this.#durable < frame.number) await this.#sync();
    if (frame.inStep) await this.#ports.inStep(frame.sequence);
    this.#mark = null;
    this.#ack();
  }

  #compare(frame: VolumeCompare): Promise<void> | null {
    if (frame.ranges.every((range) => this.#within(range))) return this.#hashed(frame);
    this.#end('a comparison beyond the end of the volume');
    return null;
  }

  /** A7. Nothing is applied meanwhile (A1). Whoever stops it, to take over, waits for what changes the copy and for no answer. */
  async #hashed({ number, ranges }: VolumeCompare): Promise<void> {
    const { store } = this.#ports;
    const hashes: Buffer[] = [];
    for (const { offset, length } of ranges) {
      if (this.#hashing.isOver) await this.#hashing.turn();
      if (this.#over || this.#stopping) return;
      hashes.push(hashesOf(readRange(store, offset, length, this.#buffer)));
    }
    const told = Buffer.concat(hashes);
    if (this.#ports.suspect()) for (let i = 0; i < told.length; i += 1) told[i] = ~(told[i] ?? 0) & 0xff; // A4
    this.#connection.send({ kind: 'volume-hashes', number, hashes: told });
  }

  /** A3. */
  async #sync(): Promise<void> {
    const [number, sequence] = [this.#number, this.#sequence];
    this.#unsyncedBytes = 0;
    await this.#ports.store.sync();
    if (number <= this.#durable) return;
    this.#durable = number;
    this.#durableSequence = sequence;
    this.#ports.durable(sequence);
  }

  #syncSometimes(bytes: number): void {
    if (this.#syncing || this.#over || this.#durable === this.#number) return;
    if (this.#unsyncedBytes < bytes && bytes > 1) return;
    this.#syncing = true;
    this.#sync()
      .then(() => this.#ack())
      .catch((error: unknown) => this.#fail(error))
      .finally(() => {
        this.#syncing = false;
      });
  }

  #acknowledge(bytes: number): void {
    this.#unackedBytes += bytes;
    if (bytes < fullBytes || this.#unackedBytes >= ackEveryBytes) this.#ackSoon();
    else this.#ackLate ??= setTimeout(() => this.#ack(), ackLaterMs);
  }

  #ackSoon(): void {
    if (this.#ackDue) return;
    this.#ackDue = true;
    setImmediate(() => this.#ack());
  }

  #ack(): void {
    this.#ackDue = false;
    this.#unackedBytes = 0;
    if (this.#ackLate !== null) clearTimeout(this.#ackLate);
    this.#ackLate = null;
    if (this.#over) return;
    this.#connection.send({
      kind: 'volume-ack',
      received: this.#number,
      durable: Math.min(this.#durable, (this.#mark ?? Infinity) - 1),
      sequence: this.#durableSequence,
      consistent: this.#ports.consistent(),
    });
  }

  #within({ offset, length }: ByteRange): boolean {
    return offset + length <= this.#ports.sizeBytes;
  }

  #fail(error: unknown, what = "the volume can't be written here"): void {
    if (errorCode(error) === '') throw error;
    const says = `${what}: ${errorText(error)}`;
    this.#ports.failed('failed', says);
    this.#end(says);
  }

  #end(says: string): void {
    if (this.#over) return;
    this.#over = true;
    clearInterval(this.#timer);
    this.#connection.send({ kind: 'refuse', code: 'shutdown', says, epoch: 0n });
    this.#connection.close(says);
  }
}

function rangeOf(change: BlockChange): ByteRange {
  const length = change.kind === 'write' ? change.contents.length : change.length;
  return { offset: change.offset, length };
}

/** Of the volume, that its zeros cover. */
function zeroBytesOf({ changes }: VolumeWrites): number {
  return changes.reduce((sum, change) => sum + (change.kind === 'zero' ? change.length : 0), 0);
}

/** A7. */
function* cut(changes: readonly BlockChange[]): Iterable<BlockChange> {
  for (const change of changes)
    if (change.kind === 'write') yield change;
    else for (const piece of piecesOf(change)) yield { ...change, ...piece };
}

/** What a round overwrites, in parts that are saved aside one after the other. */
function* partsOf(round: readonly VolumeWrites[]): Iterable<readonly ByteRange[]> {
  let part: ByteRange[] = [];
  let bytes = 0;
  for (const { changes } of round)
    for (const change of changes)
      for (const piece of piecesOf(rangeOf(change))) {
        if (bytes + piece.length > roundBytesMax) {
          yield part;
          part = [];
          bytes = 0;
        }
        part.push(piece);
        bytes += piece.length;
      }
  yield part;
}

/** Of a range; cut where no block is. */
function* piecesOf({ offset, length }: ByteRange): Iterable<ByteRange> {
  for (let at = offset; at < offset + length;) {
    const end = Math.min(offset + length, at - (at % zeroBytesMax) + zeroBytesMax);
    yield { offset: at, length: end - at };
    at = end;
  }
}

function sizeOf(frame: Frame): number {
  if (frame.kind === 'volume-compare') return frameBytes + frame.ranges.length * entryBytes;
  if (frame.kind !== 'volume-writes') return frameBytes;
  return frame.changes.reduce(
    (sum, change) => sum + entryBytes + (change.kind === 'write' ? change.contents.length : 0),
    frameBytes,
  );
}
