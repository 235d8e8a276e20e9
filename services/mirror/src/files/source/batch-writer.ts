/**
 * Carries out a plan: reads what it names and hands the frames on, in the order of the wire contract.
 *
 * B1. What is not there any more is left out, with the links that lead to it, and counted among what moved. It gets a
 *     new number (sending.ts), because it need not be gone: where a folder above it got another name, the number of
 *     that folder alone is higher. Folders are never left out, because others need them.
 * B2. The source never sends more inside of operations, and never more streams at once, than the target's limits.
 * B3. What is noted of a file's blocks is the version that was sent last: a version that is not noted ends the record.
 * B4. So it is with the digest of a small one: of a file that did not hold still nobody knows what was sent, and it may be
 *     again what it was before.
 */

import { closeSync } from 'node:fs';
import type { Catalog, Entry } from '../../catalog/types.ts';
import { statOpen } from '../../os/stat.ts';
import type { Tree } from '../../os/tree.ts';
import type { Segment } from '../../os/types.ts';
import type { Attributes, PartFile } from '../../transport/types.ts';
import { SpareBuffers } from '../../transport/spare-buffers.ts';
import type { BlockRecords } from '../../catalog/blocks.ts';
import { laterThan, type Noting } from '../../catalog/noting.ts';
import type { BlockSent, SentBlocks } from '../../catalog/sent-blocks.ts';
import { batchLimits } from '../batch-limits.ts';
import type { AheadOfBatch } from './ahead.ts';
import type { BatchOutlet } from './outlet.ts';
import type { Confirmation } from './confirming.ts';
import { keyOf } from './path.ts';
import type { BatchPlan, Made, SetFolder } from './plan.ts';
import { patchBytesMin } from './plan-changes.ts';
import {
  attributesOf,
  digestOf,
  isGone,
  isSame,
  readAttributes,
  readSmall,
  readWhole,
  standInAttributes,
  versionOf,
  type SmallFile,
} from './reading.ts';
import type { Slice } from './slice.ts';

/** Contents that travel inside of an operation. */
export const inlineBytesMax = 64 << 10;
const dataBytes = 512 << 10;
/** Below this, knowing the digest of contents saves less than it costs. */
const digestBytesMin = 4_097;
const empty = Buffer.alloc(0);
const spares = new SpareBuffers(dataBytes);
const spare = (contents: Buffer) => (): void => {
  spares.give(contents);
};

/** What earlier readings of the same batch found, by id: used again when the entry did not change. */
export type Readings = Map<number, { readonly sequence: number; readonly file: SmallFile }>;

export interface WriterOptions {
  readonly tree: Tree;
  readonly catalog: Catalog;
  readonly blocks: BlockRecords;
  readonly outlet: BatchOutlet;
  readonly slice: Slice;
  readonly readings: Readings;
  /** Null: the target's number tells nothing of blocks. */
  readonly ahead: AheadOfBatch | null;
  /** Files of which the target holds the beginning, by key of their path. */
  readonly parts: ReadonlyMap<string, PartFile>;
  /** Where an entry is on the disk now; null: nowhere. */
  readonly placeOf: (made: { readonly path: Buffer; readonly entry: Entry }) => Buffer | null;
  /** Number of the next stream. */
  readonly nextStream: () => number;
  /** Bytes of contents that were read. */
  readonly sent: (bytes: number) => void;
}

export class BatchWriter {
  readonly #options: WriterOptions;
  /** Places on the disk of what did not hold still, or was not there. */
  readonly moving: Buffer[] = [];
  readonly confirmed: Confirmation[] = [];
  /** B1: ids. */
  readonly leftOut: number[] = [];
  /** B4: ids. */
  readonly unstill: number[] = [];
  /** What was sent of each entry is what the catalog said when the batch was planned. */
  isExact = true;
  readonly #left = new Set<string>();
  #inlineBytes = 0;

  constructor(options: WriterOptions) {
    this.#options = options;
  }

  /** Throws SessionOver, and what the disk says that is no mere absence. */
  async write(plan: BatchPlan): Promise<void> {
    const { outlet, slice } = this.#options;
    for (const operation of plan.taken) await outlet.add(operation);
    for (const made of plan.made) {
      if (slice.isOver) await slice.turn();
      await this.#make(made);
    }
    for (const set of plan.set) {
      if (slice.isOver) await slice.turn();
      await this.#set(set);
    }
  }

  async #make(made: Made): Promise<void> {
    const { outlet } = this.#options;
    switch (made.kind) {
      case 'place':
        await outlet.add({ kind: 'place', slot: made.slot, to: made.path });
        return;
      case 'stand-in':
        await this.#putEmpty(made.path, standInAttributes);
        return;
      case 'hard-link':
        this.#options.blocks.forget(made.entry.id);
        this.#options.ahead?.replaced(made.entry.id);
        if (this.#left.has(keyOf(made.to))) this.#leave(made, made.path);
        else await outlet.add({ kind: 'hard-link', path: made.path, to: made.to });
        return;
      case 'put':
        await this.#present(made, (place) => this.#put(made.path, place, made.entry));
        return;
      case 'patch':
      case 'ranges':
        await this.#present(made, (place) => this.#patch(made, place));
    }
  }

  /** B1. */
  async #present(made: { path: Buffer; entry: Entry }, use: (place: Buffer) => Promise<void>): Promise<void> {
    const { kind } = made.entry.attributes;
    const place = this.#options.placeOf(made);
    try {
      if (place !== null) {
        await use(place);
        return;
      }
    } catch (error) {
      if (!isGone(error)) throw error;
    }
    if (kind === 'folder') await this.#putEmpty(made.path, attributesOf(made.entry, empty, []));
    else this.#leave(made, place ?? made.path);
  }

  #leave({ path, entry }: { path: Buffer; entry: Entry }, place: Buffer): void {
    this.leftOut.push(entry.id);
    this.isExact = false;
    this.#left.add(keyOf(path));
    this.moving.push(place);
  }

  async #putEmpty(path: Buffer, attributes: Attributes): Promise<void> {
    await this.#options.outlet.add({
      kind: 'put',
      path,
      attributes,
      contents: empty,
      stream: 0,
      version: empty,
    });
  }

  async #put(path: Buffer, place: Buffer, entry: Entry): Promise<void> {
    const { tree, blocks, ahead } = this.#options;
    ahead?.replaced(entry.id);
    // B3.
    if (entry.attributes.size < patchBytesMin) blocks.forget(entry.id);
    if (entry.attributes.kind !== 'file') {
      const attributes = readAttributes(tree, place, entry);
      // Another link got its name.
      if (attributes.size !== entry.attributes.size) this.isExact = false;
      await this.#putEmpty(path, attributes);
    } else if (entry.attributes.size > inlineBytesMax) {
      await this.#stream(path, place, entry);
    } else {
      await this.#small(path, place, entry);
    }
  }

  async #small(path: Buffer, place: Buffer, entry: Entry): Promise<void> {
    const { outlet, readings, tree } = this.#options;
    const known = readings.get(entry.id);
    const file = known?.sequence === entry.sequence ? known.file : readSmall(tree, place, entry);
    const { contents, attributes } = file;
    if (!file.heldStill) this.#moved(entry, place);
    else {
      if (outlet.isHeld) readings.set(entry.id, { sequence: entry.sequence, file });
      if (entry.racy || entry.suspect || contents.length >= digestBytesMin) {
        this.#confirm(entry, digestOf(contents), file.readAtMs, null);
      }
    }
    this.#options.sent(contents.length);
    const inline = contents.length === 0 || this.#inlineBytes + contents.length <= batchLimits.inlineBytes;
    if (inline) {
      this.#inlineBytes += contents.length;
      await outlet.add({ kind: 'put', path, attributes, contents, stream: 0, version: empty });
      return;
    }
    const stream = this.#options.nextStream();
    await outlet.add({ kind: 'put', path, attributes, contents: empty, stream, version: empty });
    await outlet.frame({ kind: 'data', stream, offset: 0, contents }, contents.length);
    await outlet.frame({ kind: 'stream-end', stream, bytes: contents.length }, 16);
  }

  /** A large file as a whole, from where the target's part of it ends. */
  async #stream(path: Buffer, place: Buffer, entry: Entry): Promise<void> {
    const { tree, blocks, outlet, parts } = this.#options;
    const { size } = entry.attributes;
    const readAtMs = Date.now();
    const fd = tree.openRead(place);
    try {
      const attributes = attributesOf(entry, empty, tree.extended(fd));
      const version = versionOf(entry);
      const part = parts.get(keyOf(path));
      const from = part?.version.equals(version) === true ? Math.min(part.bytes, size) : 0;
      const number = (): number => this.#numberOf(entry, fd, place);
      const noting = from === 0 && size >= patchBytesMin ? this.#noting(entry, fd, number) : null;
      // Before anything is read that is sent (blocks.ts, X1).
      if (noting === null && size >= patchBytesMin) await blocks.note(entry, fd, number);
      const stream = this.#options.nextStream();
      await outlet.add({ kind: 'put', path, attributes, contents: empty, stream, version });
      const rest = [{ offset: from, length: size - from }];
      const bytes =
        size < patchBytesMin
          ? await this.#ranges(fd, stream, rest, null)
          : await (noting === null
              ? this.#compared(entry, fd, stream, rest)
              : this.#noted(entry, noting, fd, stream));
      await outlet.frame({ kind: 'stream-end', stream, bytes }, 16);
      const heldStill = isSame(entry, statOpen(fd, place));
      if (!heldStill) this.#moved(entry, place);
      if (heldStill) this.#confirm(entry, null, readAtMs, true);
    } finally {
      closeSync(fd);
    }
  }

  /** One that gets what is sent as it is read; null: the file has holes, or somebody else notes it now. */
  #noting(entry: Entry, fd: number, number: () => number): Noting | null {
    const [first] = this.#options.tree.dataSegments(fd, 0, 1);
    const isDense = first?.offset === 0 && first.length >= entry.attributes.size;
    return isDense ? this.#options.blocks.begin(entry, number) : null;
  }

  /** Of what is noted of an open file (noting.ts, N1). */
  #numberOf(entry: Entry, fd: number, place: Buffer): number {
    return isSame(entry, statOpen(fd, place))
      ? entry.sequence
      : laterThan(this.#options.catalog.lastSequence);
  }

  /** B3: what was sent without being noted ends the record. */
  async #noted(entry: Entry, noting: Noting, fd: number, stream: number): Promise<number> {
    const { size } = entry.attributes;
    try {
      const sent = await this.#ranges(fd, stream, [{ offset: 0, length: size }], {
        data: (offset, bytes) => {
          if (noting.next === offset) noting.take(offset, bytes);
        },
        hole: () => undefined,
      });
      if (noting.next === size) noting.end();
      if (!noting.isWhole) this.#options.blocks.forget(entry.id);
      return sent;
    } finally {
      noting.giveUp();
    }
  }

  /** B3: what was noted before, and may have changed since. */
  async #compared(
    entry: Entry,
    fd: number,
    stream: number,
    ranges: readonly Segment[],
    told: BlockSent | null = null,
  ): Promise<number> {
    const { blocks, catalog } = this.#options;
    const sent = blocks.sent(entry, () => laterThan(catalog.lastSequence), told);
    try {
      return await this.#ranges(fd, stream, ranges, sent);
    } finally {
      if (sent?.end() !== true) blocks.forget(entry.id);
    }
  }

  /** Only what changed. */
  async #patch(made: Extract<Made, { kind: 'patch' | 'ranges' }>, place: Buffer): Promise<void> {
    const { tree, blocks, outlet, ahead } = this.#options;
    const { entry, path } = made;
    const readAtMs = Date.now();
    const fd = tree.openRead(place);
    try {
      const attributes = attributesOf(entry, empty, tree.extended(fd));
      await blocks.note(entry, fd, () => this.#numberOf(entry, fd, place));
      const holds = ahead?.holds(entry.id) ?? null;
      const ranges = made.kind === 'patch' ? blocks.changedSince(entry, made.since, holds) : made.ranges;
      const stream = this.#options.nextStream();
      await outlet.add({ kind: 'patch', path, attributes, stream });
      const told = ahead?.patched(entry.id, ranges, entry.attributes.size) ?? null;
      const bytes = await this.#compared(entry, fd, stream, ranges, told);
      await outlet.frame({ kind: 'stream-end', stream, bytes }, 16);
      if (!isSame(entry, statOpen(fd, place))) this.#moved(entry, place);
      else this.#confirm(entry, null, readAtMs, ranges.length > 0);
    } finally {
      closeSync(fd);
    }
  }

  /** Data and holes of these ranges, in order. Answers the bytes that were described. */
  async #ranges(
    fd: number,
    stream: number,
    ranges: readonly Segment[],
    record: Sent | null,
  ): Promise<number> {
    let bytes = 0;
    for (const { offset, length } of ranges) {
      for (const piece of pieces(this.#options.tree, fd, offset, offset + length)) {
        if (piece.isHole) {
          record?.hole(piece.offset, piece.length);
          await this.#options.outlet.frame(
            { kind: 'hole', stream, offset: piece.offset, length: piece.length },
            32,
          );
        } else {
          await this.#data(fd, stream, piece, record);
        }
        bytes += piece.length;
      }
    }
    return bytes;
  }

  async #data(fd: number, stream: number, { offset, length }: Segment, record: Sent | null): Promise<void> {
    const { outlet, slice } = this.#options;
    for (let done = 0; done < length;) {
      if (slice.isOver) await slice.turn();
      const contents = spares.take(Math.min(dataBytes, length - done));
      readWhole(fd, contents, offset + done);
      const bytes = contents.length;
      record?.data(offset + done, contents);
      await outlet.frame(
        { kind: 'data', stream, offset: offset + done, contents, done: spare(contents) },
        bytes,
      );
      done += bytes;
      this.#options.sent(bytes);
    }
  }

  async #set({ path, entry }: SetFolder): Promise<void> {
    const { outlet, tree, placeOf } = this.#options;
    if (this.#left.has(keyOf(path))) return;
    const place = placeOf({ path, entry });
    let attributes = attributesOf(entry, empty, []);
    try {
      if (place !== null) attributes = readAttributes(tree, place, entry);
    } catch (error) {
      if (!isGone(error)) throw error;
      this.moving.push(path);
    }
    await outlet.add({ kind: 'set', path, attributes });
  }

  #moved({ id }: Entry, place: Buffer): void {
    this.moving.push(place);
    this.unstill.push(id);
  }

  #confirm(entry: Entry, digest: Buffer | null, readAtMs: number, changed: boolean | null): void {
    if (!entry.racy && !entry.suspect && digest === null) return;
    this.confirmed.push({ entry, digest, readAtMs, changed });
  }
}

/** Gets what is sent, before it is. */
type Sent = Pick<SentBlocks, 'data' | 'hole'>;

interface Piece extends Segment {
  readonly isHole: boolean;
}

/** A range cut into data and holes. */
function* pieces(tree: Tree, fd: number, from: number, end: number): Generator<Piece> {
  let at = from;
  while (at < end) {
    const segments = tree.dataSegments(fd, at, 1_024);
    if (segments.length === 0) break;
    for (const { offset, length } of segments) {
      if (offset >= end) break;
      if (offset > at) yield { offset: at, length: offset - at, isHole: true };
      const stop = Math.min(end, offset + length);
      const start = Math.max(at, offset);
      if (stop > start) yield { offset: start, length: stop - start, isHole: false };
      at = Math.max(at, stop);
    }
    if ((segments.at(-1)?.offset ?? end) >= end) break;
  }
  if (at < end) yield { offset: at, length: end - at, isHole: true };
}
