/**
 * The staging folder of a target, where a rename reaches its root (staging-place.ts), so that what is complete gets its place by a rename:
 *
 *   s-ID     contents of a big file, or the changed blocks of one (stream.ts)
 *   p-ID     says which version of which file s-ID is the beginning of, and how much of it is durable
 *   slots/   entries that the batch in progress took out of the tree
 *   gone/    folders that were removed, until their contents are
 *   at-N-P   one empty file: everything up to batch N was applied, and the first P steps of batch N + 1;
 *            at-N-0b: batch N + 1 was begun
 *
 * Invariants:
 * S1  The marker at-N-P changes by a rename after the step and before the next one. A file system with a journal keeps
 *     that order over a loss of power, so the marker never says more than what the tree holds.
 * S2  What no committed batch and no part names is removed at the start.
 * S3  The folder may be taken away when it holds nothing but a marker, everything up to that is durable in the catalog, and
 *     the log has nothing more: then the catalog's number says what the marker said. Whatever needs it makes it anew.
 */

import { openSync, readFileSync, readdirSync, renameSync, unlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { syncFileSystem, syncPath } from '../../os/contents.ts';
import type { Tree } from '../../os/tree.ts';
import type { PartFile } from '../../transport/types.ts';
import { Flushing } from './flushing.ts';
import { lastMarker, markerName, markerOfName } from './staging-place.ts';
import type { Marker, StagingPlace } from './staging-place.ts';
import { codeOf, waitingReason } from './trouble.ts';

/** Beginnings of files that are kept for going on; the oldest goes first. */
const partsMax = 64;

export interface NotedPart extends PartFile {
  readonly id: number;
}

export class Staging {
  readonly #place: StagingPlace;
  /** Null: the folder is not there (S3). */
  #tree: Tree | null = null;
  #usedMs = 0;
  #nextId = 1;
  #nextGone = 1;
  #marker: Marker | null;
  readonly #parts = new Map<string, NotedPart>();
  readonly flushing = new Flushing();

  /** Makes the folder when it is missing. Throws what the file system says. */
  constructor(place: StagingPlace) {
    this.#place = place;
    const names = readdirSync(this.folder);
    for (const name of names) {
      const id = Number(/^[sp]-(\d+)$/.exec(name)?.[1] ?? 0);
      this.#nextId = Math.max(this.#nextId, id + 1);
      if (name.startsWith('p-')) this.#readPart(id);
    }
    this.#marker = lastMarker(names);
  }

  /** Of the folder, by the mount of the root. Good for one turn of the event loop, and for as long as something is staged. */
  get tree(): Tree {
    this.#usedMs = performance.now();
    this.#tree ??= this.#place.open();
    return this.#tree;
  }

  /** Absolute. The folder is there. */
  get folder(): string {
    if (this.#tree === null) this.#tree = this.#place.open();
    return this.#place.folder;
  }

  /** How long nothing needed the folder, and whether it can be missed (S3); the log and the catalog are others' to ask. */
  unusedFor(ms: number): boolean {
    if (this.#tree === null || performance.now() - this.#usedMs < ms || this.#parts.size > 0) return false;
    const holds = readdirSync(this.folder).some((name) => /^[sp]-\d+$/.test(name));
    return !holds && this.gone().length === 0 && readdirSync(join(this.folder, 'slots')).length === 0;
  }

  /** Null: there is none, as before the first batch. */
  get marker(): Marker | null {
    return this.#marker;
  }

  /** S1. */
  mark(marker: Marker): void {
    this.#usedMs = performance.now();
    const to = join(this.folder, markerName(marker));
    if (this.#marker === null) writeFileSync(to, '');
    else renameSync(join(this.folder, markerName(this.#marker)), to);
    this.#marker = marker;
  }

  pathOf(id: number): string {
    return join(this.folder, stagedName(id));
  }

  /** A new file of the staging folder. */
  create(): { readonly id: number; readonly fd: number } {
    this.#usedMs = performance.now();
    const id = this.#nextId;
    const fd = openSync(this.pathOf(id), 'wx+', 0o600);
    this.#nextId += 1;
    return { id, fd };
  }

  remove(id: number): void {
    for (const name of [stagedName(id), `p-${String(id)}`]) {
      try {
        unlinkSync(join(this.#place.folder, name));
      } catch (error) {
        if (codeOf(error) !== 'ENOENT') throw error;
      }
    }
  }

  /** A name in gone/ that nobody has. */
  goneName(): Buffer {
    this.#nextGone += 1;
    return Buffer.from(`gone/${String(process.pid)}-${String(Date.now())}-${String(this.#nextGone)}`);
  }

  /** What is in gone/, relative to this folder. */
  gone(): Buffer[] {
    if (this.#tree === null) return [];
    return readdirSync(join(this.folder, 'gone')).map((name) => Buffer.from(`gone/${name}`));
  }

  /** Makes the staged files durable, with their names. */
  async sync(ids: readonly number[]): Promise<void> {
    await Promise.all(ids.map((id) => syncPath(this.pathOf(id))));
    await syncPath(this.folder);
  }

  /** Makes everything durable that was written to the file system of this folder and of the root. */
  async syncTree(): Promise<void> {
    await syncPath(this.folder, syncFileSystem);
  }

  get parts(): readonly PartFile[] {
    return [...this.#parts.values()].map(({ path, version, bytes }) => ({ path, version, bytes }));
  }

  /** The part of this version of the file, which is then the caller's. A part of another version is useless and goes. */
  takePart(path: Buffer, version: Buffer): NotedPart | null {
    const part = this.#parts.get(path.toString('latin1'));
    if (part === undefined) return null;
    this.#parts.delete(path.toString('latin1'));
    if (version.length > 0 && part.version.equals(version)) return part;
    this.remove(part.id);
    return null;
  }

  hasPart(part: NotedPart): boolean {
    return this.#parts.get(part.path.toString('latin1'))?.id === part.id;
  }

  /**
   * Writes down how much of s-ID is durable, so that a crash from now on leaves a part of that length. False: the disk
   * did not take the note, and after a crash there is no such part.
   */
  notePart(part: NotedPart): boolean {
    const { id, path, version, bytes } = part;
    const text = JSON.stringify({
      path: path.toString('base64'),
      version: version.toString('base64'),
      bytes,
    });
    const temporary = join(this.folder, 'p-new');
    try {
      writeFileSync(temporary, text, { mode: 0o600 });
      renameSync(temporary, join(this.folder, `p-${String(id)}`));
      return true;
    } catch (error) {
      if (waitingReason(error) === null) throw error;
      return false;
    }
  }

  keepPart(part: NotedPart): void {
    this.#parts.set(Buffer.from(part.path).toString('latin1'), part);
    for (const oldest of this.#parts.values()) {
      if (this.#parts.size <= partsMax) break;
      this.#parts.delete(oldest.path.toString('latin1'));
      this.remove(oldest.id);
    }
  }

  /** Parts that nobody went on with while everything was copied are of no use. */
  dropParts(): void {
    for (const part of this.#parts.values()) this.remove(part.id);
    this.#parts.clear();
  }

  /** S2. `named`: what the log still needs. */
  sweep(named: ReadonlySet<number>): void {
    const parts = new Set([...this.#parts.values()].map((part) => part.id));
    for (const name of readdirSync(this.folder)) {
      const id = Number(/^[sp]-(\d+)$/.exec(name)?.[1] ?? 0);
      if (id !== 0 && !named.has(id) && !parts.has(id)) this.remove(id);
      const isMarker = markerOfName(name) !== null;
      if (isMarker && this.#marker !== null && name !== markerName(this.#marker))
        unlinkSync(join(this.folder, name));
    }
  }

  /** Takes the folder away (S3). */
  clear(): void {
    this.close();
    this.#marker = null;
    this.#place.remove();
  }

  close(): void {
    this.#tree?.close();
    this.#tree = null;
  }

  #readPart(id: number): void {
    try {
      const text: unknown = JSON.parse(readFileSync(join(this.folder, `p-${String(id)}`), 'utf8'));
      if (
        typeof text !== 'object' ||
        text === null ||
        !('path' in text && 'version' in text && 'bytes' in text)
      )
        return;
      const { path, version, bytes } = text;
      if (typeof path !== 'string' || typeof version !== 'string' || typeof bytes !== 'number') return;
      const part = { id, path: Buffer.from(path, 'base64'), version: Buffer.from(version, 'base64'), bytes };
      this.#parts.set(part.path.toString('latin1'), part);
    } catch (error) {
      // A note that a crash left half written: without it the part counts as none, and sweep() removes it.
      if (!(error instanceof SyntaxError) && codeOf(error) !== 'ENOENT') throw error;
    }
  }
}

export function stagedName(id: number): string {
  return `s-${String(id)}`;
}
