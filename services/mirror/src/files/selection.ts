/**
 * Which files of a root are mirrored.
 *
 * L1. A path is part of the mirror when no pattern of `exclude` names it or a folder above it, and, where there are
 *     patterns in `include`, one of them names it or a folder above it. Patterns: glob.ts.
 * L2. A folder that may hold such paths is part of the mirror, too: what is in it needs a place.
 * L3. Never mirrored, whatever the patterns say: staging folders (`.holdfast-*`), sockets, device nodes unless they are
 *     asked for, and what has a longer name or path than travels.
 * L4. The root is never the system itself, nor Holdfast's own folder, nor what holds it.
 */

import { createHash } from 'node:crypto';
import { realpathSync } from 'node:fs';
import type { EntryKind } from '../os/types.ts';
import { isTooLong } from '../transport/path.ts';
import { Globs } from './glob.ts';

export interface SelectionOptions {
  readonly include: readonly string[];
  readonly exclude: readonly string[];
  /** Device nodes are part of the mirror. */
  readonly devices: boolean;
}

const ownPrefix = Buffer.from('.holdfast-');

export class Selection {
  /** Equal on both sides when they mirror the same files, wherever their roots are. 32 bytes. */
  readonly digest: Buffer;
  readonly #include: Globs;
  readonly #exclude: Globs;
  readonly #devices: boolean;

  /** Throws for a pattern that can't be read. */
  constructor({ include, exclude, devices }: SelectionOptions) {
    this.#include = new Globs(include);
    this.#exclude = new Globs(exclude);
    this.#devices = devices;
    const canon = JSON.stringify([[...include].sort(), [...exclude].sort(), devices]);
    this.digest = createHash('sha256').update(canon).digest();
  }

  /** Whether a path is part of the mirror; what is not known to be something else may be a folder (L2). */
  includes(path: Buffer, kind: EntryKind = 'folder'): boolean {
    if (path.length === 0) return true;
    if (kind === 'socket' || (!this.#devices && (kind === 'block' || kind === 'char'))) return false;
    if (isTooLong(path) || isOurs(path) || this.#exclude.ask(path) === 'matches') return false;
    if (this.#include.empty) return true;
    const answer = this.#include.ask(path);
    return answer === 'matches' || (answer === 'may-hold-matches' && kind === 'folder');
  }

  /** False: neither this folder nor anything beneath it is part of the mirror. */
  enters(folder: Buffer): boolean {
    return this.includes(folder, 'folder');
  }
}

/** L3. */
function isOurs(path: Buffer): boolean {
  for (let at = path.indexOf(ownPrefix); at !== -1; at = path.indexOf(ownPrefix, at + 1)) {
    if (at === 0 || path[at - 1] === 0x2f) return true;
  }
  return false;
}

/** Nothing below these is data. */
const systemTrees = [
  '/proc',
  '/sys',
  '/dev',
  '/run',
  '/boot',
  '/usr',
  '/bin',
  '/sbin',
  '/lib',
  '/lib32',
  '/lib64',
];
/** Each holds the system, and data may lie below. */
const systemFolders = ['/', '/etc', '/var', '/var/lib', '/root'];
/** Memory that is used like a disk; and what administrators add by hand. */
const exceptions = ['/dev/shm', '/usr/local', '/run/user'];

export type CheckedRoot =
  { readonly kind: 'allowed'; readonly root: string } | { readonly kind: 'refused'; readonly says: string };

/**
 * L4, of a folder as the disk has it: symbolic links are followed first. `ownFolder`: of Holdfast on this member. The
 * answer has the folder without links.
 */
export function checkRoot(root: string, ownFolder: string): CheckedRoot {
  const refused = (says: string): CheckedRoot => ({
    kind: 'refused',
    says: `${JSON.stringify(root)} ${says}`,
  });
  if (!root.startsWith('/')) return refused('is not absolute; write a folder such as /srv/d3');
  const path = real(root);
  if (path === null) return refused('is not there, or is no folder; make it first');
  const own = real(ownFolder) ?? ownFolder;
  if (isSystem(path))
    return refused('is part of the system, which is never mirrored; choose a folder of data');
  if (isInside(path, own)) return refused('is where Holdfast keeps its own state, which is never mirrored');
  if (isInside(own, path))
    return refused(`holds ${own}, where Holdfast keeps its own state; choose a folder beside it`);
  return { kind: 'allowed', root: path };
}

function real(path: string): string | null {
  try {
    return realpathSync(path);
  } catch (error) {
    // Any refusal means the same here: nothing of it can be mirrored.
    if (typeof error === 'object' && error !== null && 'code' in error) return null;
    throw error;
  }
}

/** Of an absolute path without links. */
export function isSystem(path: string): boolean {
  if (systemFolders.includes(path)) return true;
  if (exceptions.some((e) => path !== e && isInside(path, e))) return false;
  return systemTrees.some((tree) => isInside(path, tree));
}

function isInside(path: string, folder: string): boolean {
  return path === folder || path.startsWith(folder === '/' ? '/' : `${folder}/`);
}
