/** Trees to copy, always the same for the same words: sizes come from a small generator, contents from one random pool. */
import { randomFillSync } from 'node:crypto';
import { closeSync, mkdirSync, openSync, writeSync } from 'node:fs';
import { join } from 'node:path';

export interface Tree {
  readonly root: string;
  readonly files: number;
  readonly bytes: number;
  /** Relative to the root, with how many files are in each. */
  readonly folders: readonly { readonly path: string; readonly files: number }[];
}

export const blockBytes = 4096;

const poolBytes = 8 * 1024 * 1024;
const pool = randomFillSync(Buffer.alloc(poolBytes));

/** The linear congruential generator of Numerical Recipes: from 0 to 1, 1 left out. */
export function* numbers(seed: number): Generator<number, never> {
  let state = seed >>> 0;
  for (;;) {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    yield state / 2 ** 32;
  }
}

/** Random contents; at most 8 MiB. A view of the pool: not to be written to. */
export function contents(bytes: number, where: number): Buffer {
  const from = Math.floor(where * (poolBytes - bytes));
  return pool.subarray(from, from + bytes);
}

function writeFile(file: string, bytes: Buffer): void {
  const fd = openSync(file, 'w');
  try {
    if (bytes.length > 0) writeSync(fd, bytes);
  } finally {
    closeSync(fd);
  }
}

const inFolder = 100;

/** `count` files, 100 in a folder, with the sizes that `size` makes of a random number. */
export function plantMany(root: string, count: number, size: (random: number) => number): Tree {
  const random = numbers(1);
  const folders: { path: string; files: number }[] = [];
  let bytes = 0;
  for (let number = 0; number < count; number += 1) {
    const path = folderName(number);
    if (number % inFolder === 0) {
      mkdirSync(join(root, path), { recursive: true });
      folders.push({ path, files: Math.min(inFolder, count - number) });
    }
    const length = size(random.next().value);
    writeFile(join(root, path, fileName(number)), contents(length, random.next().value));
    bytes += length;
  }
  return { root, files: count, bytes, folders };
}

export const fileName = (number: number): string => `f${String(number).padStart(6, '0')}`;

const folderName = (number: number): string => String(Math.floor(number / inFolder)).padStart(3, '0');

/** Of a file that plantMany() made, relative to its root. */
export const pathOfFile = (number: number): string => join(folderName(number), fileName(number));

/** 4 KiB each. */
export const plantSmall = (root: string, count: number): Tree => plantMany(root, count, () => blockBytes);

/** 1 KiB to 4 MiB, as many between 1 and 4 KiB as between 1 and 4 MiB: 0.5 MB on average. */
export const plantMixed = (root: string, count: number): Tree =>
  plantMany(root, count, (random) => Math.floor(1024 * 4096 ** random));

/** One file of so many MiB. */
export function plantBig(root: string, mebibytes: number): Tree {
  mkdirSync(root, { recursive: true });
  const fd = openSync(join(root, fileName(0)), 'w');
  const part = Buffer.alloc(1024 * 1024);
  try {
    for (let number = 0; number < mebibytes; number += 1) writeSync(fd, randomFillSync(part));
  } finally {
    closeSync(fd);
  }
  return { root, files: 1, bytes: mebibytes * part.length, folders: [{ path: '', files: 1 }] };
}
