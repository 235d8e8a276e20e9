/**
 * The batch that is being received: its operations in order, the streams that belong to them, and the checks that need
 * nothing but the batch itself. What makes no sense is answered as a sentence; the session then refuses the source.
 *
 * Invariants:
 * O1  Nothing of a batch touches the tree before its commit is durable: contents go to memory or to the staging folder.
 * O2  A slot is filled once and placed at most once, after it was filled; moves and removals come, in the source's
 *     order, before whatever is made, as the wire contract says. Redoing a batch relies on that order.
 * O3  A name is made once in a batch, so that doing an operation again can't destroy what a later one made.
 * O4  A commit with a stream that did not end is refused.
 * O5  What a batch keeps in memory is what its limits count: operations are views of what came on the line, and let go of it
 *     where it is mostly something else.
 */

import type {
  Begin,
  Commit,
  Data,
  FileOperation,
  Hole,
  Operations,
  StreamAbort,
  StreamEnd,
} from '../../transport/types.ts';
import { batchLimits, namedBytes } from '../batch-limits.ts';
import { holdsMuchElse, ownBytes } from './own-bytes.ts';
import type { Batch, Redo } from './redo.ts';
import type { Staging } from './staging.ts';
import { Stream } from './stream.ts';

/** Of a batch with nothing in it. */
const batchBytes = 4_096;
/** Contents on their way to the disk: as much as keeps the threads that write them busy. */
const unwrittenBytesMax = 8 << 20;

/** Null: it is right so. Else what is wrong with it. */
export type Nonsense = string | null;

const phases = { move: 0, remove: 0, place: 2, put: 2, 'hard-link': 2, patch: 2, set: 3 } as const;

export interface StagedBatch {
  readonly number: number;
  readonly batch: Batch;
  /** Of the files in the staging folder. */
  readonly staged: readonly number[];
}

export class OpenBatch {
  readonly number: number;
  readonly #staging: Staging;
  readonly #operations: FileOperation[] = [];
  readonly #streams = new Map<number, Stream>();
  /** Those that may have contents on their way. */
  readonly #writing = new Set<Stream>();
  readonly #slots = new Map<number, 'filled' | 'placed'>();
  readonly #made = new Set<string>();
  readonly #placed = new Set<string>();
  #addedOfFrame = 0;
  #phase = 0;
  #openStreams = 0;
  #unwrittenBytes = 0;
  #inlineBytes = 0;
  #redoBytes = 0;
  #receivedBytes = 0;

  constructor(begin: Begin, staging: Staging) {
    this.number = begin.number;
    this.#staging = staging;
  }

  get receivedBytes(): number {
    return this.#receivedBytes;
  }

  /** What it takes until it is applied, and never nothing. */
  get weight(): number {
    return this.#receivedBytes + this.#redoBytes + batchBytes;
  }

  /** Throws what the file system says when a staging file can't be made; repeated, it goes on with the same frame. */
  addAll(frame: Operations): Nonsense {
    const isLoose = holdsMuchElse(frame.operations);
    for (; this.#addedOfFrame < frame.operations.length; this.#addedOfFrame += 1) {
      const received = frame.operations[this.#addedOfFrame];
      if (received === undefined) break;
      const operation = isLoose ? ownBytes(received) : received;
      const wrong = this.#add(operation);
      if (wrong !== null) return wrong;
    }
    this.#addedOfFrame = 0;
    return null;
  }

  #add(operation: FileOperation): Nonsense {
    const phase = phases[operation.kind];
    // Folders of the initial copy come with their attributes last; O2.
    if (phase < this.#phase) return `${operation.kind} comes too late in its batch`;
    if (this.#operations.length >= batchLimits.operations) return 'a batch has too many operations';
    const wrong = this.#check(operation);
    if (wrong !== null) return wrong;
    if ((operation.kind === 'put' || operation.kind === 'patch') && operation.stream !== 0) {
      if (this.#streams.has(operation.stream)) return 'a stream is used twice';
      if (this.#openStreams >= batchLimits.streams) return 'too many streams are open at once';
      this.#streams.set(operation.stream, Stream.begin(operation, this.#staging));
      this.#openStreams += 1;
    }
    this.#phase = phase;
    this.#operations.push(operation);
    this.#note(operation);
    return null;
  }

  data(frame: Data | Hole): Nonsense {
    const stream = this.#streams.get(frame.stream);
    if (stream === undefined) return 'contents came for a stream that is not open';
    // A hole is written, too: its place in a list of changed blocks.
    this.#writing.add(stream);
    if (frame.kind === 'hole') return stream.hole(frame);
    const { offset, contents, done } = frame;
    const { length } = contents;
    const wrong = stream.write(offset, contents, () => {
      this.#unwrittenBytes -= length;
      done?.();
    });
    if (wrong !== null) return wrong;
    this.#receivedBytes += length;
    this.#unwrittenBytes += length;
    return null;
  }

  /** Throws what the file system says, and can then be repeated. */
  end(frame: StreamEnd): Nonsense {
    const stream = this.#streams.get(frame.stream);
    if (stream?.state !== 'open') return 'a stream ends that is not open';
    const wrong = stream.end(frame.bytes);
    if (wrong === null) this.#openStreams -= 1;
    return wrong;
  }

  /** Contents have to be written before this frame can be handled. */
  mustWait(frame: Data | Hole | Commit): boolean {
    if (frame.kind !== 'commit')
      return this.#unwrittenBytes > unwrittenBytesMax || this.#staging.flushing.isBehind;
    // All of it: the places of changed blocks as well, which only their streams count.
    for (const stream of this.#writing) {
      if (stream.unwritten > 0) return true;
      this.#writing.delete(stream);
    }
    return false;
  }

  /** Resolves when more is written, or on the disk. Throws what the file system says when nothing is being written any more. */
  async progress(): Promise<void> {
    if (this.#unwrittenBytes <= unwrittenBytesMax && this.#staging.flushing.isBehind) {
      await this.#staging.flushing.progress();
      return;
    }
    for (const stream of this.#writing) {
      if (stream.isWriting) {
        await stream.progress();
        return;
      }
      if (stream.unwritten === 0) this.#writing.delete(stream);
    }
    for (const stream of this.#writing) stream.finish();
  }

  abort(frame: StreamAbort): Nonsense {
    const stream = this.#streams.get(frame.stream);
    if (stream?.state !== 'open') return 'a stream is given up that is not open';
    stream.discard();
    this.#openStreams -= 1;
    return null;
  }

  close(commit: Commit, epoch: bigint): StagedBatch | { readonly nonsense: string } {
    if (commit.number !== this.number) return { nonsense: 'a commit is for another batch' };
    if (this.#openStreams > 0) return { nonsense: 'a batch was committed before its streams ended' };
    for (const state of this.#slots.values()) {
      if (state === 'filled') return { nonsense: 'an entry was moved away and never placed' };
    }
    const operations: Redo[] = [];
    const staged: number[] = [];
    for (const operation of this.#operations) {
      if ((operation.kind !== 'put' && operation.kind !== 'patch') || operation.stream === 0) {
        const redo = withoutStream(operation);
        if (redo !== null) operations.push(redo);
        continue;
      }
      const stream = this.#streams.get(operation.stream);
      if (stream?.state !== 'complete') continue;
      staged.push(stream.id);
      const { kind, path, attributes } = operation;
      if (kind === 'put') operations.push({ kind, path, attributes, contents: empty, staged: stream.id });
      else operations.push({ kind, path, attributes, staged: stream.id });
    }
    const { sequence, checksum, consistent, history } = commit;
    return {
      number: this.number,
      batch: { epoch, sequence, checksum, consistent, history, operations },
      staged,
    };
  }

  /** The connection is over: what big files had so far is kept as parts, everything else is forgotten. */
  async giveUp(): Promise<void> {
    await Promise.all([...this.#streams.values()].map((stream) => stream.keepPart()));
  }

  #check(operation: FileOperation): Nonsense {
    switch (operation.kind) {
      case 'move':
        if (operation.from.length === 0) return 'the root itself would be moved';
        if (this.#slots.has(operation.slot)) return 'a slot is filled twice';
        return this.#slots.size >= batchLimits.slots ? 'a batch has too many slots' : null;
      case 'remove':
        return operation.path.length === 0 ? 'the root itself would be removed' : null;
      case 'place':
        if (this.#slots.get(operation.slot) !== 'filled') return 'a slot is placed that is not filled';
        return this.#checkName(operation.to);
      case 'put':
        return this.#checkName(operation.path) ?? checkContents(operation.attributes.kind, operation);
      case 'hard-link':
        if (operation.to.length === 0) return 'a hard link to the root';
        return this.#checkName(operation.path);
      case 'patch':
        if (operation.attributes.kind !== 'file') return 'a patch of what is no file';
        if (operation.stream === 0) return 'a patch without a stream';
        // Of a file that was moved here: doing both again comes to the same.
        return this.#placed.has(operation.path.toString('latin1')) ? null : this.#checkName(operation.path);
      case 'set':
        return null;
    }
  }

  #checkName(path: Buffer): Nonsense {
    if (path.length === 0) return 'the root itself would be replaced';
    return this.#made.has(path.toString('latin1')) ? 'a name is made twice in a batch' : null;
  }

  #note(operation: FileOperation): void {
    if (operation.kind === 'move') this.#slots.set(operation.slot, 'filled');
    if (operation.kind === 'place') {
      this.#slots.set(operation.slot, 'placed');
      this.#made.add(operation.to.toString('latin1'));
      this.#placed.add(operation.to.toString('latin1'));
    }
    if (operation.kind === 'hard-link' || operation.kind === 'put' || operation.kind === 'patch') {
      this.#made.add(operation.path.toString('latin1'));
    }
    if (operation.kind === 'put' && operation.stream === 0) {
      this.#inlineBytes += operation.contents.length;
      this.#receivedBytes += operation.contents.length;
    }
    this.#redoBytes += namedBytes(operation);
  }

  /** Null while the batch is within its limits. */
  get tooLarge(): Nonsense {
    if (this.#inlineBytes > batchLimits.inlineBytes + (2 << 20))
      return 'a batch has too many contents inside';
    return this.#redoBytes > batchLimits.redoBytes ? 'a batch has too many names and attributes' : null;
  }
}

const empty = Buffer.alloc(0);

function checkContents(kind: string, operation: Extract<FileOperation, { kind: 'put' }>): Nonsense {
  const { contents, stream, attributes } = operation;
  if (kind !== 'file')
    return contents.length > 0 || stream !== 0 ? 'contents came for what is no file' : null;
  if (stream !== 0) return contents.length > 0 ? 'contents came twice' : null;
  return contents.length === attributes.size ? null : 'contents are not as long as their file';
}

function withoutStream(operation: FileOperation): Redo | null {
  switch (operation.kind) {
    case 'patch':
      return null;
    case 'put':
      return {
        kind: 'put',
        path: operation.path,
        attributes: operation.attributes,
        contents: operation.contents,
        staged: 0,
      };
    case 'move':
    case 'remove':
    case 'place':
    case 'hard-link':
    case 'set':
      return operation;
  }
}
