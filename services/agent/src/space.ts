/**
 * Whether there is room in the file systems that a takeover writes to: the member's own directory (what it promised and
 * took over, etcd's log, what mirrors remember), and the roots of its mirrors.
 *
 *   F1  one look at a time: a file system that does not answer holds one of the threads that files need, never a second
 *   F2  the words stay the same while it is so: what is reported is written to the store when it changes
 */

import type { Stats } from 'node:fs';
import { stat, statfs } from 'node:fs/promises';
import { join } from 'node:path';
import type { AgentState, CopyConfig, DatasetConfig } from '@holdfast/core';
import { errorCode, errorText } from '@holdfast/wire/directory';
import { withinMs } from './within.ts';

const lookMs = 2_000;
const MiB = 1_024 * 1_024;
/** stat(2) st_blocks. */
const blockBytes = 512;
/**
 * etcd makes each file of its log whole, 64 MiB, before it writes to it, and ends when it can't: two of them. On the small
 * disk of a test machine or of a container that would be most of it, and every check would fail: there a part of it counts.
 */
const lowBytesMax = 128 * MiB;
const lowPart = 0.05;
/** Of a file system that counts its files: ENOSPC comes from there, too. */
const lowFilesMax = 1_000;

export interface Room {
  /** Which file system it is, stat(2) st_dev. */
  readonly device: number;
  readonly bytesFree: number;
  readonly bytesAll: number;
  readonly filesFree: number;
  /** 0: it does not count them. */
  readonly filesAll: number;
}

export interface Shortage {
  readonly says: string;
  readonly fix: string;
}

/** Null: there is nothing, or nothing that grows. Rejects with the system's error. */
export type LookAt = (path: string) => Promise<Room | null>;

type Looked =
  | { readonly kind: 'room'; readonly room: Room | null }
  | { readonly kind: 'failed'; readonly says: string }
  | { readonly kind: 'silent' };

export class Space {
  readonly #lookAt: LookAt;
  /** What was asked for and has not answered. */
  #asked: string | null = null;

  constructor(lookAt: LookAt = roomAt) {
    this.#lookAt = lookAt;
  }

  /** One for each file system, named by the first of the paths that is there. */
  async shortages(paths: readonly string[]): Promise<readonly Shortage[]> {
    const found: Shortage[] = [];
    const known = new Set<number>();
    for (const path of paths) {
      const looked = await this.#look(path);
      if (looked.kind === 'silent') return [...found, silent(this.#asked ?? path)];
      if (looked.kind === 'failed') found.push(failed(path, looked.says));
      else if (looked.room !== null && !known.has(looked.room.device)) {
        known.add(looked.room.device);
        found.push(...shortageOf(path, looked.room));
      }
    }
    return found;
  }

  async #look(path: string): Promise<Looked> {
    if (this.#asked !== null) return { kind: 'silent' }; // F1
    this.#asked = path;
    const look = this.#lookAt(path)
      .then(
        (room): Looked => ({ kind: 'room', room }),
        (error: unknown): Looked => ({ kind: 'failed', says: errorText(error) }),
      )
      .finally(() => {
        this.#asked = null;
      });
    return (await withinMs(look, lookMs)) ? look : { kind: 'silent' };
  }
}

/** Where this member writes. */
export function writtenPlaces(directory: string, { self, config }: AgentState): readonly string[] {
  const own = [directory, join(directory, 'etcd'), join(directory, 'mirror')];
  const ofGroups = [...(config?.groups.values() ?? [])]
    .filter((g) => g.servers.includes(self))
    .flatMap((g) => g.mirrors.map((m) => placeOf(m.dataset)));
  const copies = [...(config?.mirrors.values() ?? [])].flatMap((copy) => copyPlaces(copy, self));
  return [...new Set([...own, ...ofGroups, ...copies])];
}

function copyPlaces({ from, to, root }: CopyConfig, self: string): readonly string[] {
  const source = from.kind === 'server' && from.server === self ? [placeOf(from.dataset)] : [];
  return to.includes(self) ? [...source, root] : source;
}

const placeOf = (dataset: DatasetConfig): string => (dataset.kind === 'files' ? dataset.root : dataset.path);

/** F2. */
function shortageOf(path: string, room: Room): readonly Shortage[] {
  const lowBytes = Math.min(lowBytesMax, lowPart * room.bytesAll);
  const lowFiles = Math.min(lowFilesMax, lowPart * room.filesAll);
  if (room.bytesFree < lowBytes) {
    const says = `less than ${mebibytes(lowBytes)} are free in the file system of ${path}`;
    return [{ says, fix: `make room there before it is full: df -h ${path} shows how much is left` }];
  }
  if (room.filesFree >= lowFiles) return [];
  const says = `the file system of ${path} takes less than ${Math.ceil(lowFiles)} files more`;
  return [{ says, fix: `remove files there before it is full: df -i ${path} shows how many are left` }];
}

function mebibytes(bytes: number): string {
  return `${bytes < 10 * MiB ? (bytes / MiB).toFixed(1) : Math.round(bytes / MiB)} MiB`;
}

function silent(path: string): Shortage {
  const says = `the file system of ${path} does not answer`;
  return { says, fix: 'look at its disk, or at the server that it is mounted from' };
}

function failed(path: string, why: string): Shortage {
  return {
    says: `whether there is room at ${path} can't be found out: ${why}`,
    fix: 'look at its disk and its permissions',
  };
}

/** Null where nothing grows: a device has its size, and so has an image file with all its blocks. */
async function roomAt(path: string): Promise<Room | null> {
  const entry = await entryAt(path);
  if (entry === null || !(entry.isFile() || entry.isDirectory())) return null;
  if (entry.isFile() && blockBytes * entry.blocks >= entry.size) return null;
  const { bsize, bavail, blocks, ffree, files } = await statfs(path);
  return {
    device: entry.dev,
    bytesFree: bavail * bsize,
    bytesAll: blocks * bsize,
    filesFree: ffree,
    filesAll: files,
  };
}

/** Null: it is missing, which the mirror tells whose root it is. */
async function entryAt(path: string): Promise<Stats | null> {
  try {
    return await stat(path);
  } catch (error) {
    if (['ENOENT', 'ENOTDIR'].includes(errorCode(error))) return null;
    throw error;
  }
}
