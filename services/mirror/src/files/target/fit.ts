/**
 * Whether a batch can be applied to what the catalog knows, found out before anything of it is done: a folder for each
 * name, a file for each patch, something for each move. A mad source fails here, and the target stays where it is; what
 * somebody changed on the disk behind the catalog's back is another matter (Applying, A5).
 *
 * The answer depends on the catalog, the batch, and the names that the file system takes, so that a start after a crash
 * finds the same.
 */

import type { Catalog } from '../../catalog/types.ts';
import type { EntryKind } from '../../os/types.ts';
import type { Batch, Redo } from './redo.ts';

interface Made {
  /** Null: taken or removed. */
  readonly kind: EntryKind | null;
  /** Of what was moved here: where its contents were before the batch. */
  readonly origin: Buffer | null;
}

/** False: this file system has no place for it, so that it, and what is in it, was left out and is in no catalog. */
type HasRoom = (path: Buffer) => boolean;

/** One sentence, or null when it fits. */
export function unfit(catalog: Catalog, batch: Batch, hasRoom: HasRoom): string | null {
  const names = new Names(catalog, hasRoom);
  for (const operation of batch.operations) {
    const wrong = check(names, operation, hasRoom);
    if (wrong !== null) return `${wrong}: ${JSON.stringify(nameFor(operation).toString())}`;
  }
  return null;
}

function check(names: Names, operation: Redo, hasRoom: HasRoom): string | null {
  switch (operation.kind) {
    case 'move': {
      const kind = names.kindAt(operation.from);
      if (kind === null) return 'what would be moved does not exist';
      names.slots.set(operation.slot, { kind, origin: operation.from });
      names.made(operation.from, { kind: null, origin: null });
      return null;
    }
    case 'remove':
      names.made(operation.path, { kind: null, origin: null });
      return null;
    case 'place': {
      const moved = names.slots.get(operation.slot);
      if (moved === undefined) return 'a slot is placed that is not filled';
      if (!names.hasFolder(operation.to)) return 'a name has no folder';
      names.made(operation.to, moved);
      return null;
    }
    case 'put':
      if (!names.hasFolder(operation.path)) return 'a name has no folder';
      names.made(operation.path, { kind: operation.attributes.kind, origin: null });
      return null;
    case 'hard-link': {
      const kind = names.kindAt(operation.to);
      if (kind === 'folder' || (kind === null && hasRoom(operation.to)))
        return 'a hard link to what is no file';
      if (!names.hasFolder(operation.path)) return 'a name has no folder';
      names.made(operation.path, { kind, origin: null });
      return null;
    }
    // What was brought by hand, or changed here by others, is known to the disk alone.
    case 'patch':
      return (names.kindAt(operation.path) ?? 'file') === 'file' ? null : 'a patch of what is no file';
    case 'set': {
      const { kind } = operation.attributes;
      return (names.kindAt(operation.path) ?? kind) === kind
        ? null
        : 'attributes for what is of another kind';
    }
  }
}

/** The names after what was checked so far, on top of the catalog. */
class Names {
  readonly slots = new Map<number, Made>();
  readonly #catalog: Catalog;
  readonly #hasRoom: HasRoom;
  readonly #made = new Map<string, Made & { readonly turn: number }>();
  #turns = 0;
  #lastFolder: Buffer | null = null;

  constructor(catalog: Catalog, hasRoom: HasRoom) {
    this.#catalog = catalog;
    this.#hasRoom = hasRoom;
  }

  made(path: Buffer, made: Made): void {
    this.#turns += 1;
    this.#made.set(path.toString('latin1'), { ...made, turn: this.#turns });
    if (made.kind !== 'file') this.#lastFolder = null;
  }

  hasFolder(path: Buffer): boolean {
    const folder = path.subarray(0, Math.max(0, path.lastIndexOf(0x2f)));
    if (this.#lastFolder?.equals(folder) === true) return true;
    if (this.kindAt(folder) !== 'folder') return !this.#hasRoom(folder);
    this.#lastFolder = folder;
    return true;
  }

  kindAt(path: Buffer): EntryKind | null {
    const text = path.toString('latin1');
    let made = this.#made.get(text);
    let end = text.length;
    for (let at = text.lastIndexOf('/'); at > 0; at = text.lastIndexOf('/', at - 1)) {
      const above = this.#made.get(text.slice(0, at));
      // What happened to a folder later counts more than what happened in it before, but for putting it again.
      const putAgain = above?.kind === 'folder' && above.origin === null;
      if (above === undefined || (made !== undefined && (putAgain || above.turn < made.turn))) continue;
      made = above;
      end = at;
    }
    if (made === undefined) return this.#before(path);
    if (end === text.length) return made.kind;
    if (made.origin !== null) return this.#before(Buffer.concat([made.origin, path.subarray(end)]));
    // A new folder has only what the batch put into it; one that is put again keeps what it had.
    return made.kind === 'folder' ? this.#before(path) : null;
  }

  #before(path: Buffer): EntryKind | null {
    if (path.length === 0) return 'folder';
    return this.#catalog.byPath(path)?.attributes.kind ?? null;
  }
}

function nameFor(operation: Redo): Buffer {
  if (operation.kind === 'move') return operation.from;
  return operation.kind === 'place' ? operation.to : operation.path;
}
