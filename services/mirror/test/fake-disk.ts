/**
 * A file system in memory, as a catalog sees one: names, inodes that are used again, hard links, times that tick, and
 * contents that are a number. Tests change it and ask what stat would say.
 */
import type { EntryKind, Stat } from '../src/os/types.ts';

export interface Node {
  kind: EntryKind;
  inode: number;
  mode: number;
  /** What is in it. */
  version: number;
  mtimeMs: number;
  ctimeMs: number;
  names: number;
  children: Map<string, Node> | null;
}

export class FakeDisk {
  readonly root: Node;
  nowMs = 1_700_000_000_000;
  readonly #free: number[] = [];
  #nextInode = 2;
  #nextVersion = 1;

  constructor() {
    this.root = this.#made('folder');
    this.root.inode = 1;
  }

  tick(ms: number): void {
    this.nowMs += ms;
  }

  node(path: string): Node | null {
    let at: Node | undefined = this.root;
    for (const name of path === '' ? [] : path.split('/')) at = at?.children?.get(name);
    return at ?? null;
  }

  stat(path: string): Stat | null {
    const node = this.node(path);
    if (node === null) return null;
    const { kind, inode, mode, names } = node;
    return {
      kind,
      mode,
      uid: 0,
      gid: 0,
      size: kind === 'folder' ? 4096 : kind === 'file' ? 100 : 0,
      mtimeS: Math.floor(node.mtimeMs / 1000),
      mtimeNs: (node.mtimeMs % 1000) * 1e6,
      ctimeS: Math.floor(node.ctimeMs / 1000),
      ctimeNs: (node.ctimeMs % 1000) * 1e6,
      inode,
      nlink: kind === 'folder' ? 2 : names,
      deviceMajor: 0,
      deviceMinor: 0,
      blocks: 0,
      dev: 7,
    };
  }

  /** Every path but the root's, folders before what is in them. */
  paths(from = ''): string[] {
    const all: string[] = [];
    for (const [name, node] of this.node(from)?.children ?? []) {
      const path = from === '' ? name : `${from}/${name}`;
      all.push(path);
      if (node.children !== null) all.push(...this.paths(path));
    }
    return all;
  }

  /** False: it can't be done. */
  make(path: string, kind: EntryKind): boolean {
    const folder = this.#folderOf(path);
    if (folder === null || this.node(path) !== null) return false;
    this.#put(folder, path, this.#made(kind));
    return true;
  }

  write(path: string, keepTimes: boolean): boolean {
    const node = this.node(path);
    if (node?.kind !== 'file') return false;
    node.version = this.#nextVersion++;
    node.ctimeMs = this.nowMs;
    if (!keepTimes) node.mtimeMs = this.nowMs;
    return true;
  }

  mode(path: string, mode: number): boolean {
    const node = this.node(path);
    if (node === null) return false;
    node.mode = mode;
    node.ctimeMs = this.nowMs;
    return true;
  }

  link(from: string, to: string): boolean {
    const node = this.node(from);
    const folder = this.#folderOf(to);
    if (node?.kind !== 'file' || folder === null || this.node(to) !== null) return false;
    node.names += 1;
    node.ctimeMs = this.nowMs;
    this.#put(folder, to, node);
    return true;
  }

  remove(path: string): boolean {
    const folder = this.#folderOf(path);
    const node = this.node(path);
    if (folder === null || node === null || path === '') return false;
    this.#drop(folder, path, node);
    return true;
  }

  /** What is at `to` is replaced, also a folder with everything in it. */
  rename(from: string, to: string): boolean {
    const node = this.node(from);
    const fromFolder = this.#folderOf(from);
    if (node === null || fromFolder === null || from === '' || to === '') return false;
    if (to === from || to.startsWith(`${from}/`) || from.startsWith(`${to}/`)) return false;
    const toFolder = this.#folderOf(to);
    if (toFolder === null) return false;
    const replaced = this.node(to);
    if (replaced === node) return false;
    if (replaced !== null) this.#drop(toFolder, to, replaced);
    fromFolder.children?.delete(lastOf(from));
    this.#touch(fromFolder);
    node.ctimeMs = this.nowMs;
    this.#put(toFolder, to, node);
    return true;
  }

  #made(kind: EntryKind): Node {
    return {
      kind,
      inode: this.#free.pop() ?? this.#nextInode++,
      mode: 0o644,
      version: this.#nextVersion++,
      mtimeMs: this.nowMs,
      ctimeMs: this.nowMs,
      names: 1,
      children: kind === 'folder' ? new Map<string, Node>() : null,
    };
  }

  #folderOf(path: string): Node | null {
    const cut = path.lastIndexOf('/');
    const folder = this.node(cut < 0 ? '' : path.slice(0, cut));
    return folder?.children === null ? null : folder;
  }

  #put(folder: Node, path: string, node: Node): void {
    folder.children?.set(lastOf(path), node);
    this.#touch(folder);
  }

  #drop(folder: Node, path: string, node: Node): void {
    folder.children?.delete(lastOf(path));
    this.#touch(folder);
    this.#release(node);
  }

  #release(node: Node): void {
    for (const child of node.children?.values() ?? []) this.#release(child);
    node.names -= 1;
    node.ctimeMs = this.nowMs;
    if (node.names === 0) this.#free.push(node.inode);
  }

  #touch(folder: Node): void {
    folder.mtimeMs = this.nowMs;
    folder.ctimeMs = this.nowMs;
  }
}

function lastOf(path: string): string {
  return path.slice(path.lastIndexOf('/') + 1);
}
