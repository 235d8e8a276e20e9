/**
 * One stream of data frames, on its way into a file of the staging folder. The contents of a whole file go to where they
 * belong in it; the changed blocks of a file go one behind the other, each with its place, and are applied later.
 *
 * Invariants:
 * F1  Frames come in rising order without overlap, and nothing reaches beyond the size that the attributes tell.
 * F2  A whole file is complete only when every byte of it was sent or described as a hole.
 * F3  What the disk refuses is kept, and tried again before the stream ends (Writes).
 */

import { closeSync, fstatSync, ftruncateSync, openSync, readSync } from 'node:fs';
import type { Hole, Patch, Put } from '../../transport/types.ts';
import type { NotedPart, Staging } from './staging.ts';
import { Writes } from './writes.ts';

/** Written in the background after so many bytes; also how often a part is written down. */
const flushBytes = 16 << 20;
/** Below this, the beginning of a file is not worth keeping. */
const partBytesMin = 4 << 20;
/** Of a block in a list of changed blocks: offset f64, length f64, kind u8. */
const blockHeaderBytes = 17;
/** Every file system takes files up to this size. */
const sizeProbedMin = 2 ** 31;
const kindData = 1;
const kindHole = 2;

export class Stream {
  readonly id: number;
  readonly #staging: Staging;
  readonly #operation: Put | Patch;
  #fd: number;
  #state: 'open' | 'complete' | 'discarded' = 'open';
  /** Of a whole file: what a former connection left. Until the first frame tells whether the source goes on there. */
  #resumeAt: number;
  #started = false;
  /** The file may be longer or shorter than what was sent: it was begun before, or has a hole. */
  #mayDiffer: boolean;
  /** The end of the last frame, in the file. */
  #position = 0;
  /** Where the next changed block goes in the list. */
  #listEnd = 0;
  #unflushed = 0;
  #flushing = 0;
  #closing = false;
  /** The descriptor. */
  #isOpen = true;
  readonly #writes: Writes;

  private constructor(operation: Put | Patch, staging: Staging, id: number, fd: number, resumeAt: number) {
    this.#operation = operation;
    this.#staging = staging;
    this.id = id;
    this.#fd = fd;
    this.#resumeAt = resumeAt;
    this.#mayDiffer = resumeAt > 0 || operation.attributes.size === 0;
    this.#writes = new Writes(fd, () => {
      this.#closeWhenIdle();
    });
  }

  /** Throws what the file system says. */
  static begin(operation: Put | Patch, staging: Staging): Stream {
    if (operation.kind === 'put') {
      const part = staging.takePart(operation.path, operation.version);
      if (part !== null) {
        const fd = openSync(staging.pathOf(part.id), 'r+');
        const bytes = Math.min(part.bytes, fstatSync(fd).size, operation.attributes.size);
        return new Stream(operation, staging, part.id, fd, bytes);
      }
    }
    const { id, fd } = staging.create();
    try {
      // What is durable is applied whatever it takes: a size that no file can have here is refused before that.
      if (operation.kind === 'patch' && operation.attributes.size >= sizeProbedMin) {
        ftruncateSync(fd, operation.attributes.size);
        ftruncateSync(fd, 0);
      }
    } catch (error) {
      closeSync(fd);
      staging.remove(id);
      throw error;
    }
    return new Stream(operation, staging, id, fd, 0);
  }

  get state(): 'open' | 'complete' | 'discarded' {
    return this.#state;
  }

  /** Of contents that are not written yet. */
  get unwritten(): number {
    return this.#writes.bytes;
  }

  get isWriting(): boolean {
    return this.#writes.running;
  }

  /** Resolves when more of it is written, or was refused. */
  progress(): Promise<void> {
    return this.#writes.progress();
  }

  /** While nothing is being written: what the disk refused. Throws what the file system says, and can be repeated. */
  finish(): void {
    this.#writes.finish();
    this.#closeWhenIdle();
  }

  /** Null, or what is wrong with the frame. `done`: the contents are not needed any more. */
  write(offset: number, contents: Buffer, done: () => void): string | null {
    const wrong = this.#advance(offset, contents.length);
    if (wrong !== null) return wrong;
    if (this.#operation.kind === 'put') {
      this.#writes.begin(contents, offset, done);
    } else {
      this.#appendBlock(offset, contents.length, kindData);
      this.#writes.begin(contents, this.#listEnd, done);
      this.#listEnd += contents.length;
    }
    this.#position = offset + contents.length;
    this.#unflushed += contents.length;
    this.#staging.flushing.wrote(contents.length);
    if (this.#unflushed >= flushBytes && this.#flushing === 0) this.#flush(this.#partSoFar());
    return null;
  }

  hole(frame: Hole): string | null {
    const wrong = this.#advance(frame.offset, frame.length);
    if (wrong !== null) return wrong;
    if (this.#operation.kind === 'patch') this.#appendBlock(frame.offset, frame.length, kindHole);
    this.#position = frame.offset + frame.length;
    this.#mayDiffer = true;
    return null;
  }

  /** `bytes` as StreamEnd tells them: what this connection carried, or the whole of the file. */
  end(bytes: number): string | null {
    const { size } = this.#operation.attributes;
    if (this.#operation.kind === 'put') {
      if (!this.#started) this.#position = this.#resumeAt === size ? size : 0;
      if (this.#position !== size || bytes > size) return 'a stream ended before its file was whole';
      if (this.#mayDiffer) ftruncateSync(this.#fd, size);
    }
    this.#letGo();
    this.#state = 'complete';
    this.#close();
    return null;
  }

  /** What is left is the batch's to sync. */
  #letGo(): void {
    this.#staging.flushing.wrote(-this.#unflushed);
    this.#unflushed = 0;
  }

  discard(): void {
    this.#letGo();
    this.#state = 'discarded';
    this.#writes.forget();
    this.#close();
    this.#staging.remove(this.id);
  }

  /** After a break: keeps the beginning of a whole file when it is worth it. Resolves when it is known how much there is. */
  async keepPart(): Promise<void> {
    while (this.isWriting) await this.progress();
    if (this.#state === 'discarded') return;
    const { path } = this.#operation;
    const version = this.#operation.kind === 'put' ? this.#operation.version : null;
    const sent = this.#started || this.#state === 'complete' ? this.#position : this.#resumeAt;
    const bytes = Math.min(sent, this.#writes.lowest);
    this.#writes.forget();
    if (version === null || version.length === 0 || bytes < partBytesMin) {
      this.discard();
      return;
    }
    const part = { id: this.id, path: Buffer.from(path), version: Buffer.from(version), bytes };
    this.#staging.keepPart(part);
    if (this.#closing && !this.#isOpen) this.#fd = openSync(this.#staging.pathOf(this.id), 'r');
    this.#isOpen = true;
    this.#state = 'complete';
    this.#closing = true;
    this.#flush(part);
  }

  /** F1. */
  #advance(offset: number, length: number): string | null {
    if (this.#state !== 'open') return 'contents came for a stream that is not open';
    if (length <= 0 || offset + length > this.#operation.attributes.size)
      return 'contents reach beyond their file';
    if (this.#operation.kind === 'patch') {
      return offset < this.#position ? 'changed blocks came out of order' : null;
    }
    if (!this.#started) {
      if (offset !== 0 && offset !== this.#resumeAt) return 'contents do not go on where they ended';
      if (offset === 0 && this.#resumeAt > 0) ftruncateSync(this.#fd, 0);
      this.#position = offset;
      this.#resumeAt = offset;
      this.#started = true;
    }
    return offset === this.#position ? null : 'contents do not go on where they ended';
  }

  #appendBlock(offset: number, length: number, kind: number): void {
    const header = Buffer.alloc(blockHeaderBytes);
    header.writeDoubleBE(offset, 0);
    header.writeDoubleBE(length, 8);
    header.writeUInt8(kind, 16);
    this.#writes.begin(header, this.#listEnd, () => undefined);
    this.#listEnd += blockHeaderBytes;
  }

  /** Syncs in the background and then writes the part down. */
  #flush(part: NotedPart | null): void {
    const bytes = this.#unflushed;
    this.#flushing += 1;
    this.#unflushed = 0;
    this.#staging.flushing.begin(this.#fd, bytes, (ok) => {
      this.#flushing -= 1;
      // A part of which a batch made a file meanwhile is none any more.
      const wanted = this.#state === 'open' || (part !== null && this.#staging.hasPart(part));
      if (ok && part !== null && wanted) this.#staging.notePart(part);
      this.#closeWhenIdle();
    });
  }

  #partSoFar(): NotedPart | null {
    if (this.#operation.kind !== 'put' || this.#operation.version.length === 0) return null;
    const { path, version } = this.#operation;
    return { id: this.id, path, version, bytes: Math.min(this.#position, this.#writes.lowest) };
  }

  #close(): void {
    if (this.#closing) return;
    this.#closing = true;
    this.#closeWhenIdle();
  }

  /** A flush or a write still needs the descriptor. */
  #closeWhenIdle(): void {
    if (!this.#closing || !this.#isOpen || this.#flushing > 0 || this.#writes.bytes > 0) return;
    this.#isOpen = false;
    closeSync(this.#fd);
  }
}

export interface ChangedBlock {
  readonly offset: number;
  readonly length: number;
  /** Null: a hole. */
  readonly contents: Buffer | null;
}

/** Reads a list of changed blocks, at most 1 MiB of contents at a time; the buffer is used again for the next. */
export function* changedBlocks(fd: number): Generator<ChangedBlock> {
  const header = Buffer.alloc(blockHeaderBytes);
  const space = Buffer.allocUnsafe(1 << 20);
  let at = 0;
  while (readSync(fd, header, 0, blockHeaderBytes, at) === blockHeaderBytes) {
    const offset = header.readDoubleBE(0);
    const length = header.readDoubleBE(8);
    at += blockHeaderBytes;
    if (header.readUInt8(16) === kindHole) {
      yield { offset, length, contents: null };
      continue;
    }
    for (let done = 0; done < length;) {
      const read = readSync(fd, space, 0, Math.min(space.length, length - done), at + done);
      if (read === 0) throw new Error('a list of changed blocks ends too early');
      yield { offset: offset + done, length: read, contents: space.subarray(0, read) };
      done += read;
    }
    at += length;
  }
}
