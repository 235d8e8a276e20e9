/**
 * What a store is recognised by in its next life, so that records of one disk are never believed of another: who it is,
 * as far as the system knows, and some of its blocks. A mark in the blocks themselves is not possible: all of them are the client's.
 *
 *   L1  two stores that are known by different names are different ones
 *   L2  one without a name, or that has one only now, is another when every block that was noted has changed
 *   L3  one with the same name is another (emptied) when every block that was noted is zeros
 *   L4  fewer blocks than `notedMin` say nothing. Blocks of zeros are not noted
 */

import { xxh3 } from '@node-rs/xxhash';
import * as z from 'zod';
import type { Store } from './store.ts';

const blockBytes = 4_096;
/** File systems have what they never change at the beginning. */
const firstBlocks = 16;
const spreadBlocks = 32;
const notedMin = 4;

/** `name` is empty where the system has none. */
export const likenessShape = z.strictObject({
  name: z.string(),
  blocks: z.array(z.strictObject({ offset: z.number(), hash: z.string() })),
});
export type Likeness = z.output<typeof likenessShape>;

/** Throws what the disk says. `sizeBytes`: of the volume. */
export function likenessOf(store: Store, sizeBytes: number, name: string): Likeness {
  const blocks = [...placesOf(sizeBytes)]
    .sort((a, b) => a - b)
    .flatMap((offset) => {
      const hash = blockAt(store, offset);
      return hash === zeros ? [] : [{ offset, hash }];
    });
  return { name, blocks };
}

/** Why it is not the store that was noted; empty when it is, as far as can be told. Throws what the disk says. */
export function strangerSays(noted: Likeness, store: Store, name: string): string {
  if (noted.name !== '' && name !== '' && noted.name !== name) return `it is ${name}, and was ${noted.name}`; // L1
  const { blocks } = noted;
  if (blocks.length < notedMin) return ''; // L4
  const named = noted.name !== '' && name !== '';
  for (const { offset, hash } of blocks) {
    const now = blockAt(store, offset);
    if (now === hash || (named && now !== zeros)) return ''; // L2, L3
  }
  return `of ${blocks.length} blocks that were looked at ${named ? 'every one is empty' : 'none is as it was'}`;
}

function placesOf(sizeBytes: number): Set<number> {
  const count = Math.floor(sizeBytes / blockBytes);
  const places = new Set<number>();
  for (let block = 0; block < Math.min(firstBlocks, count); block += 1) places.add(block * blockBytes);
  for (let i = 0; i < spreadBlocks; i += 1) places.add(Math.floor((i * count) / spreadBlocks) * blockBytes);
  return places;
}

const buffer = Buffer.alloc(blockBytes);
const zeros = hashOf(buffer);

/** What lies behind the end is empty. */
function blockAt(store: Store, offset: number): string {
  if (offset + blockBytes > store.sizeBytes) return zeros;
  store.read(buffer, offset);
  return hashOf(buffer);
}

function hashOf(bytes: Buffer): string {
  return xxh3.xxh64(bytes).toString(16);
}
