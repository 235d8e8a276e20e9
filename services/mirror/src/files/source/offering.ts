/**
 * Compares paths with a target: tells what they are here, with hashes of the contents, and hears what differs there.
 *
 * E1. One hash for a small file; blocks of a big one, so that only those that differ have to be sent. Blocks are so large
 *     that the hashes of a file fit into a quarter of a frame.
 */

import { closeSync } from 'node:fs';
import type { Entry } from '../../catalog/types.ts';
import { statOpen } from '../../os/stat.ts';
import type { Tree } from '../../os/tree.ts';
import type { Segment } from '../../os/types.ts';
import type { OfferedEntry, WantedEntry } from '../../transport/types.ts';
import type { Link } from './link.ts';
import { keyOf } from './path.ts';
import { patchBytesMin, type Wanted } from './plan-changes.ts';
import { attributesOf, digestOf, isGone, isSame, readAttributes, readWhole } from './reading.ts';
import type { Slice } from './slice.ts';

const hashBytes = 16;
const blockBytesMin = 4_096;
const blockBytesMax = 1 << 20;
const hashesBytesMax = 256 << 10;
const offerEntries = 1_000;
const offerBytes = 384 << 10;
const empty = Buffer.alloc(0);

/** `entry` null: it is not at the source. `place`: where it is on the disk; null: nowhere any more. */
export interface Offered {
  readonly path: Buffer;
  readonly entry: Entry | null;
  readonly place: Buffer | null;
}

export class Offering {
  readonly #link: Link;
  readonly #tree: Tree;
  readonly #slice: Slice;
  #number = 0;

  constructor(link: Link, tree: Tree, slice: Slice) {
    this.#link = link;
    this.#tree = tree;
    this.#slice = slice;
  }

  /** What the target wants of these, by key of the path. Throws SessionOver. */
  async offer(offered: Iterable<Offered>): Promise<Map<string, Wanted>> {
    const wanted = new Map<string, Wanted>();
    let entries: OfferedEntry[] = [];
    let bytes = 0;
    for (const one of offered) {
      if (this.#slice.isOver) await this.#slice.turn();
      const entry = await this.#entry(one);
      entries.push(entry);
      bytes += entry.path.length + entry.hashes.length + extendedBytes(entry) + 64;
      if (entries.length < offerEntries && bytes < offerBytes) continue;
      await this.#exchange(entries, wanted);
      [entries, bytes] = [[], 0];
    }
    if (entries.length > 0) await this.#exchange(entries, wanted);
    return wanted;
  }

  async #exchange(entries: readonly OfferedEntry[], wanted: Map<string, Wanted>): Promise<void> {
    this.#number += 1;
    await this.#link.outlet.send({ kind: 'offer', number: this.#number, entries });
    const answer = await this.#link.wants(this.#number);
    const byPath = new Map(entries.map((entry) => [keyOf(entry.path), entry]));
    for (const want of answer.entries) {
      const entry = byPath.get(keyOf(want.path));
      if (entry === undefined) this.#link.close('the target wants something that it was not offered');
      else wanted.set(keyOf(want.path), asked(want, entry));
    }
    this.#link.outlet.check();
  }

  async #entry({ path, entry, place }: Offered): Promise<OfferedEntry> {
    const nothing = { path, attributes: null, blockBytes: 0, hashes: empty };
    if (entry === null) return nothing;
    try {
      if (place !== null) {
        if (entry.attributes.kind === 'file') return await this.#file(path, place, entry);
        return { path, attributes: readAttributes(this.#tree, place, entry), blockBytes: 0, hashes: empty };
      }
    } catch (error) {
      if (!isGone(error)) throw error;
    }
    // It is known, and on its way out or elsewhere: whatever the target has is compared by its attributes alone.
    return { path, attributes: attributesOf(entry, empty, []), blockBytes: 0, hashes: empty };
  }

  async #file(path: Buffer, place: Buffer, entry: Entry): Promise<OfferedEntry> {
    const fd = this.#tree.openRead(place);
    try {
      const attributes = attributesOf(entry, empty, this.#tree.extended(fd));
      const blockBytes = blockBytesOf(attributes.size);
      const count = Math.ceil(attributes.size / blockBytes);
      if (count * hashBytes > hashesBytesMax || !isSame(entry, statOpen(fd, place))) {
        return { path, attributes, blockBytes: 0, hashes: empty };
      }
      const hashes = Buffer.alloc(count * hashBytes);
      const space = Buffer.allocUnsafe(Math.min(blockBytes, attributes.size));
      for (let block = 0; block < count; block += 1) {
        if (this.#slice.isOver) await this.#slice.turn();
        const part = space.subarray(0, Math.min(blockBytes, attributes.size - block * blockBytes));
        readWhole(fd, part, block * blockBytes);
        digestOf(part).copy(hashes, block * hashBytes);
      }
      return { path, attributes, blockBytes, hashes };
    } finally {
      closeSync(fd);
    }
  }
}

/** E1. */
function blockBytesOf(size: number): number {
  let bytes = blockBytesMin;
  const most = size < patchBytesMin ? 1 : hashesBytesMax / hashBytes;
  while (bytes < blockBytesMax && Math.ceil(size / bytes) > most) bytes *= 2;
  return bytes;
}

function asked({ path, whole, blocks }: WantedEntry, { blockBytes, attributes }: OfferedEntry): Wanted {
  const size = attributes?.size ?? 0;
  const ranges: Segment[] = [];
  for (const block of [...blocks].sort((a, b) => a - b)) {
    const offset = block * blockBytes;
    if (offset >= size) continue;
    const length = Math.min(blockBytes, size - offset);
    const last = ranges.at(-1);
    if (last !== undefined && last.offset + last.length >= offset) {
      ranges[ranges.length - 1] = { offset: last.offset, length: offset + length - last.offset };
    } else {
      ranges.push({ offset, length });
    }
  }
  return { path, whole: whole || (blockBytes === 0 && blocks.length > 0), ranges };
}

function extendedBytes({ attributes }: OfferedEntry): number {
  let bytes = 0;
  for (const [name, value] of attributes?.extended ?? []) bytes += name.length + value.length + 16;
  return bytes;
}
