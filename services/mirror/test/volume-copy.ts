/** The other end of a line, at once and in order; when it answers is for the test. */
import type { Connection, Frame } from '../src/transport/types.ts';
import type { BlockChange, VolumeCompare, VolumeWrites } from '../src/transport/volume-frames.ts';
import { PeerBitmap } from '../src/volumes/bitmap/peer-bitmap.ts';
import { hashesOf } from '../src/volumes/hashing.ts';
import { Comparing } from '../src/volumes/source/comparing.ts';
import { Forwarding } from '../src/volumes/source/forwarding.ts';
import { Resyncing } from '../src/volumes/source/resyncing.ts';
import type { Store } from '../src/volumes/store/store.ts';
import type { PowerCutDisk } from './power-cut-disk.ts';
import { chunkBytes } from './volume-hosts.ts';

export class Copy {
  readonly bytes: Buffer;
  readonly asked: VolumeCompare[] = [];
  /** What carried changes. */
  readonly written: VolumeWrites[] = [];
  /** Answers that are held back, in order. */
  readonly answers: (() => void)[] = [];
  readonly connection: Connection;

  constructor(bytes: Buffer, dataBytes: number) {
    this.bytes = Buffer.from(bytes);
    const send = (frame: Frame): boolean => {
      if (frame.kind !== 'volume-writes') return true;
      this.written.push({ ...frame, changes: frame.changes.map(copied) });
      for (const change of frame.changes) this.#apply(change);
      return true;
    };
    this.connection = { dataBytes, send } as unknown as Connection;
  }

  /** Answered as of now. */
  compare(frame: VolumeCompare, answer: (hashes: Buffer) => void): void {
    this.asked.push(frame);
    const hashes = frame.ranges.map(({ offset, length }) =>
      hashesOf(this.bytes.subarray(offset, offset + length)),
    );
    this.answers.push(() => answer(Buffer.concat(hashes)));
  }

  #apply(change: BlockChange): void {
    if (change.kind === 'write') change.contents.copy(this.bytes, change.offset);
    else this.bytes.fill(0, change.offset, change.offset + change.length);
  }
}

const copied = (change: BlockChange): BlockChange =>
  change.kind === 'write' ? { ...change, contents: Buffer.from(change.contents) } : change;

export interface CopyTerms {
  readonly disk: PowerCutDisk;
  readonly store: Store;
  /** Of the copy. */
  readonly before: Buffer;
  readonly dirty: readonly number[];
  /** As its hello says. */
  readonly compareRanges: number;
  /** Of contents in a frame. */
  readonly dataBytes: number;
  /** Of contents, that answers may bring. Default: any amount. */
  readonly roomBytes?: number;
}

/** A source's resync of a copy: everything of one line, without the line. */
export class ResyncOfCopy {
  readonly copy: Copy;
  readonly bitmap: PeerBitmap;
  readonly comparing: Comparing;
  readonly forwarding: Forwarding;
  readonly resyncing: Resyncing;
  isDone = false;
  unread = '';

  constructor({ disk, store, before, dirty, compareRanges, dataBytes, roomBytes = Infinity }: CopyTerms) {
    this.copy = new Copy(before, dataBytes);
    this.bitmap = new PeerBitmap(disk, 'bert', before.length, chunkBytes);
    this.bitmap.clear();
    for (const chunk of dirty) this.bitmap.add(chunk);
    this.forwarding = new Forwarding(this.copy.connection, 0, () => false);
    this.comparing = new Comparing(compareRanges, (frame) => {
      this.copy.compare(frame, (hashes) => {
        this.comparing.answer({ kind: 'volume-hashes', number: frame.number, hashes });
      });
    });
    this.resyncing = new Resyncing({
      ...{
        store,
        sizeBytes: before.length,
        bitmap: this.bitmap,
        comparing: this.comparing,
        room: (bytes) => bytes < roomBytes,
      },
      flush: () => this.forwarding.flush(),
      send: (changes, chunks) => this.forwarding.addDifferences(changes, chunks),
      done: () => (this.isDone = true),
      unread: (says) => (this.unread = says),
    });
  }

  /** The copy answers what it was asked so far. */
  answer(): void {
    for (const answer of this.copy.answers.splice(0)) answer();
  }
}
