/**
 * Which contents files got by the batches since a checkpoint, by the names that they have in the end. It follows from the
 * operations alone.
 *
 * F1  Names that were linked are names of the same contents, also of those that come later: what one of them got is there by
 *     the others when that one is gone or was replaced.
 * F2  Names lie in a tree of folders, so that to move or remove one costs what is beneath it, and not what there is in all.
 */

import { setImmediate } from 'node:timers/promises';
import type { Batch, Redo } from './redo.ts';

const sliceMs = 8;
/** Between two looks at the clock. */
const stride = 64;

export type Content = Extract<Redo, { kind: 'put' | 'patch' }>;
/** Of one file, oldest first; shared by its names (F1). */
type Contents = Content[];

interface Folder {
  readonly inner: Map<string, Folder>;
  contents: Contents | null;
}

export interface NamedContents {
  readonly path: Buffer;
  readonly contents: readonly Content[];
}

/** `batches`: oldest first. */
export async function finalNames(batches: readonly Batch[]): Promise<Iterable<NamedContents>> {
  const names = new FinalNames();
  let sliceEnd = performance.now() + sliceMs;
  let work = 0;
  for (const { operations } of batches) {
    for (const operation of operations) {
      names.follow(operation);
      work += 1;
      if (work % stride !== 0 || performance.now() < sliceEnd) continue;
      await setImmediate();
      sliceEnd = performance.now() + sliceMs;
    }
  }
  return names.all();
}

class FinalNames {
  readonly #root = newFolder();

  follow(operation: Redo): void {
    switch (operation.kind) {
      case 'move':
        this.#rename(partsOf(operation.from), slotParts(operation.slot));
        return;
      case 'place':
        this.#rename(slotParts(operation.slot), partsOf(operation.to));
        return;
      case 'remove':
        this.#take(partsOf(operation.path));
        return;
      case 'hard-link': {
        const contents = this.#contentsAt(partsOf(operation.to));
        this.#put(partsOf(operation.path), { ...newFolder(), contents });
        return;
      }
      case 'put': {
        const parts = partsOf(operation.path);
        const { kind } = operation.attributes;
        // What is in a folder stays; what was staged was durable before the commit.
        if (kind !== 'folder') this.#take(parts);
        if (kind === 'file' && operation.staged === 0) this.#at(parts).contents = [operation];
        return;
      }
      case 'patch':
        this.#contentsAt(partsOf(operation.path)).push(operation);
        return;
      case 'set':
    }
  }

  *all(): Generator<NamedContents> {
    const folders: { readonly path: string; readonly folder: Folder }[] = [{ path: '', folder: this.#root }];
    for (let one = folders.pop(); one !== undefined; one = folders.pop()) {
      const { path, folder } = one;
      if (folder.contents !== null) yield { path: Buffer.from(path, 'latin1'), contents: folder.contents };
      for (const [name, inner] of folder.inner)
        folders.push({ path: path === '' ? name : `${path}/${name}`, folder: inner });
    }
  }

  /** Of a file that was durable before, and may get more: none so far. */
  #contentsAt(parts: readonly string[]): Contents {
    const at = this.#at(parts);
    at.contents ??= [];
    return at.contents;
  }

  /** Whatever had the name before is gone. */
  #rename(from: readonly string[], to: readonly string[]): void {
    const taken = this.#take(from);
    if (taken === null) this.#take(to);
    else this.#put(to, taken);
  }

  #put(parts: readonly string[], what: Folder): void {
    this.#at(parts.slice(0, -1)).inner.set(parts.at(-1) ?? '', what);
  }

  /** With all that is beneath it; null: nothing is known there. */
  #take(parts: readonly string[]): Folder | null {
    let folder = this.#root;
    for (const name of parts.slice(0, -1)) {
      const inner = folder.inner.get(name);
      if (inner === undefined) return null;
      folder = inner;
    }
    const name = parts.at(-1) ?? '';
    const taken = folder.inner.get(name) ?? null;
    folder.inner.delete(name);
    return taken;
  }

  /** Made where it is not known yet. */
  #at(parts: readonly string[]): Folder {
    let folder = this.#root;
    for (const name of parts) {
      let inner = folder.inner.get(name);
      if (inner === undefined) {
        inner = newFolder();
        folder.inner.set(name, inner);
      }
      folder = inner;
    }
    return folder;
  }
}

function newFolder(): Folder {
  return { inner: new Map(), contents: null };
}

function partsOf(path: Buffer): string[] {
  return path.toString('latin1').split('/');
}

/** No name has a slash in it. */
function slotParts(slot: number): string[] {
  return [`/${String(slot)}`];
}
