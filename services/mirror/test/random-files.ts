/**
 * Random operations on a tree, as programs do them: what a mirror has to carry. The same seed makes the same choices, from
 * what the tree holds at each of them.
 */

import {
  appendFileSync,
  chmodSync,
  closeSync,
  ftruncateSync,
  lchownSync,
  linkSync,
  lstatSync,
  lutimesSync,
  mkdirSync,
  openSync,
  readdirSync,
  renameSync,
  rmdirSync,
  symlinkSync,
  truncateSync,
  unlinkSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { Tree } from '../src/os/tree.ts';

const entriesMax = 60;
const isRoot = process.getuid?.() === 0;
const owners = [0, 1_000, 65_534];
/** A POSIX access list: owner, one user more, group, mask, others. */
const access = (more: number): Buffer =>
  Buffer.from(
    `0200000001000700ffffffff0200${more.toString(16).padStart(2, '0')}002a00000004000500ffffffff10000700ffffffff20000400ffffffff`,
    'hex',
  );
const ours = '.holdfast-';

/** Numbers from a seed (mulberry32). */
export class Chance {
  #state: number;

  constructor(seed: number) {
    this.#state = (seed * 2_654_435_761) >>> 0;
  }

  /** A whole number from 0 up to, and without, `n`. */
  below(n: number): number {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0;
    let t = this.#state;
    t = Math.imul(t ^ (t >>> 15), t | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return Math.floor((((t ^ (t >>> 14)) >>> 0) / 4_294_967_296) * n);
  }

  pick<T>(list: readonly T[]): T | null {
    return list[this.below(list.length)] ?? null;
  }
}

interface Found {
  readonly path: Buffer;
  readonly kind: 'file' | 'folder' | 'other';
}

const names = [
  Buffer.from('a'),
  Buffer.from('b'),
  Buffer.from('c'),
  Buffer.from('B'),
  Buffer.from('with space'),
  Buffer.from('\u00e9'),
  Buffer.from('e\u0301'),
  Buffer.from([0xff, 0x0a, 0x27]),
  Buffer.from([0xc3]),
  Buffer.from('-rf *'),
  Buffer.from('x'.repeat(200)),
];

const sizes = [0, 1, 10, 700, 5_000, 5_000, 70_000];
const largeSize = 1_300_000;

export class RandomFiles {
  readonly #chance: Chance;
  readonly #large: boolean;
  #version = 0;
  /** The last name that was linked; null: it was taken. */
  #linked: Buffer | null = null;

  /** `large`: some files are sent as blocks. */
  constructor(chance: Chance, large: boolean) {
    this.#chance = chance;
    this.#large = large;
  }

  /** Does something; `links`: maybe a hard link. Answers what. */
  step(root: string, links = true): string {
    const found = walk(Buffer.from(root));
    const weighted: readonly [number, () => string | null][] = [
      [found.length < entriesMax ? 6 : 0, () => this.#write(found)],
      [3, () => this.#overwrite(found)],
      [2, () => this.#writeAndRename(found)],
      [2, () => this.#append(found)],
      [2, () => this.#truncate(found)],
      [1, () => this.#sparse(found)],
      [2, () => this.#writeWithin(found)],
      [found.length < entriesMax ? 3 : 0, () => this.#makeFolder(found)],
      [3, () => this.#rename(found, 'file')],
      [3, () => this.#rename(found, 'folder')],
      [1, () => this.#rename(found, 'other')],
      [2, () => this.#swap(found, 'folder')],
      [1, () => this.#swap(found, 'file')],
      [links ? 3 : 0, () => this.#link(found)],
      [2, () => this.#symbolicLink(found)],
      [1, () => this.#turn(found)],
      [2, () => this.#remove(found)],
      [2, () => this.#chmod(found)],
      [2, () => this.#times(found)],
      [2, () => this.#extended(root, found)],
      [isRoot ? 2 : 0, () => this.#chown(found)],
      [isRoot ? 1 : 0, () => this.#accessList(root, found)],
      [found.length < entriesMax ? 1 : 0, () => this.#fifo(root, found)],
    ];
    for (;;) {
      let at = this.#chance.below(weighted.reduce((sum, [weight]) => sum + weight, 0));
      const chosen = weighted.find(([weight]) => (at -= weight) < 0);
      const said = chosen?.[1]() ?? null;
      if (said !== null) return said;
    }
  }

  /** A name that was linked since the last call, absolute. */
  takeLinked(): Buffer | null {
    const linked = this.#linked;
    this.#linked = null;
    return linked;
  }

  #contents(): Buffer {
    this.#version += 1;
    const large = this.#large && this.#chance.below(8) === 0;
    const size = large ? largeSize : (this.#chance.pick(sizes) ?? 0);
    const contents = Buffer.alloc(size, `${String(this.#version)} ${String(this.#chance.below(1_000))}.`);
    return contents;
  }

  #file(found: readonly Found[]): Buffer | null {
    return this.#chance.pick(found.filter(({ kind }) => kind === 'file'))?.path ?? null;
  }

  #folder(found: readonly Found[]): Buffer {
    const folder = this.#chance.pick(found.filter(({ kind }) => kind === 'folder'));
    if (folder === null) throw new Error('there is no root');
    return folder.path;
  }

  /** A path that may be taken or not. */
  #name(found: readonly Found[]): Buffer {
    return join(this.#folder(found), this.#chance.pick(names) ?? Buffer.from('z'));
  }

  #free(found: readonly Found[]): Buffer | null {
    const path = this.#name(found);
    return kindOf(path) === null ? path : null;
  }

  #write(found: readonly Found[]): string | null {
    const path = this.#free(found);
    if (path === null) return null;
    writeFileSync(path, this.#contents());
    return `write ${shown(path)}`;
  }

  #overwrite(found: readonly Found[]): string | null {
    const path = this.#file(found);
    if (path === null) return null;
    writeFileSync(path, this.#contents());
    return `overwrite ${shown(path)}`;
  }

  #writeAndRename(found: readonly Found[]): string | null {
    const path = this.#file(found);
    const beside = this.#free(found);
    if (path === null || beside === null) return null;
    writeFileSync(beside, this.#contents());
    renameSync(beside, path);
    return `write ${shown(beside)} and rename it over ${shown(path)}`;
  }

  #append(found: readonly Found[]): string | null {
    const path = this.#file(found);
    if (path === null) return null;
    appendFileSync(path, this.#contents());
    return `append to ${shown(path)}`;
  }

  #truncate(found: readonly Found[]): string | null {
    const path = this.#file(found);
    if (path === null) return null;
    const size = this.#chance.below(lstatSync(path).size + 1);
    truncateSync(path, size);
    return `truncate ${shown(path)} to ${String(size)}`;
  }

  #sparse(found: readonly Found[]): string | null {
    const path = this.#file(found);
    if (path === null) return null;
    const size = lstatSync(path).size + this.#chance.below(300_000);
    const fd = openSync(path, 'r+');
    writeSync(fd, 'end', size);
    ftruncateSync(fd, size + this.#chance.below(100_000) + 3);
    closeSync(fd);
    return `a hole in ${shown(path)}`;
  }

  #writeWithin(found: readonly Found[]): string | null {
    const path = this.#file(found);
    if (path === null) return null;
    this.#version += 1;
    const at = this.#chance.below(lstatSync(path).size + 1);
    const fd = openSync(path, 'r+');
    writeSync(fd, `within ${String(this.#version)}`, at);
    closeSync(fd);
    return `write at ${String(at)} of ${shown(path)}`;
  }

  #makeFolder(found: readonly Found[]): string | null {
    const path = this.#free(found);
    if (path === null) return null;
    mkdirSync(path);
    return `make the folder ${shown(path)}`;
  }

  #rename(found: readonly Found[], kind: Found['kind']): string | null {
    const from = this.#chance.pick(found.filter((one, i) => i > 0 && one.kind === kind))?.path ?? null;
    const to = this.#name(found);
    if (from === null || isWithin(to, from) || isWithin(from, to)) return null;
    const there = kindOf(to);
    if (kind === 'folder' && there !== null) removeAll(to);
    else if (there === 'folder') return null;
    renameSync(from, to);
    return `rename ${shown(from)} to ${shown(to)}`;
  }

  #swap(found: readonly Found[], kind: Found['kind']): string | null {
    const these = found.filter((one, i) => i > 0 && one.kind === kind);
    const [a, b] = [this.#chance.pick(these)?.path, this.#chance.pick(these)?.path];
    const between = this.#free(found);
    if (a === undefined || b === undefined || between === null) return null;
    if (isWithin(a, b) || isWithin(b, a) || isWithin(between, a) || isWithin(between, b)) return null;
    renameSync(a, between);
    renameSync(b, a);
    renameSync(between, b);
    return `swap ${shown(a)} and ${shown(b)}`;
  }

  #link(found: readonly Found[]): string | null {
    const file = this.#chance.pick(found.filter(({ kind }) => kind !== 'folder'))?.path ?? null;
    const path = this.#free(found);
    if (file === null || path === null) return null;
    linkSync(file, path);
    this.#linked = path;
    return `link ${shown(path)} to ${shown(file)}`;
  }

  #symbolicLink(found: readonly Found[]): string | null {
    const path = this.#free(found);
    if (path === null) return null;
    symlinkSync(this.#chance.pick(['a', '../b', '/etc/passwd', 'no where']) ?? 'a', path);
    return `a symbolic link ${shown(path)}`;
  }

  /** A file becomes a folder, or a folder a file. */
  #turn(found: readonly Found[]): string | null {
    const one = this.#chance.pick(found.filter(({ kind }, i) => i > 0 && kind !== 'other'));
    if (one === null) return null;
    removeAll(one.path);
    if (one.kind === 'folder') writeFileSync(one.path, this.#contents());
    else {
      mkdirSync(one.path);
      writeFileSync(join(one.path, Buffer.from('a')), this.#contents());
    }
    return `${shown(one.path)} is no ${one.kind} any more`;
  }

  #remove(found: readonly Found[]): string | null {
    const path = this.#chance.pick(found.slice(1))?.path ?? null;
    if (path === null) return null;
    removeAll(path);
    return `remove ${shown(path)}`;
  }

  #chmod(found: readonly Found[]): string | null {
    const one = this.#chance.pick(found.filter(({ kind }) => kind !== 'other'));
    if (one === null) return null;
    const mode =
      this.#chance.pick(one.kind === 'folder' ? [0o700, 0o755, 0o1777] : [0o600, 0o644, 0o4755]) ?? 0o700;
    chmodSync(one.path, mode);
    return `chmod ${mode.toString(8)} ${shown(one.path)}`;
  }

  #times(found: readonly Found[]): string | null {
    const path = this.#chance.pick(found)?.path ?? null;
    if (path === null) return null;
    const at = this.#chance.below(2_000_000_000) + 0.25;
    lutimesSync(path, at, at);
    return `times of ${shown(path)}`;
  }

  #chown(found: readonly Found[]): string | null {
    const path = this.#chance.pick(found)?.path ?? null;
    if (path === null) return null;
    const [uid, gid] = [this.#chance.pick(owners) ?? 0, this.#chance.pick(owners) ?? 0];
    lchownSync(path, uid, gid);
    return `chown ${String(uid)}:${String(gid)} ${shown(path)}`;
  }

  /** Also the one that a folder gives to what is made in it. */
  #accessList(root: string, found: readonly Found[]): string | null {
    const one = this.#chance.pick(found.filter(({ kind }) => kind !== 'other'));
    if (one === null) return null;
    const isDefault = one.kind === 'folder' && this.#chance.below(2) === 0;
    const name = `system.posix_acl_${isDefault ? 'default' : 'access'}`;
    const value = access(this.#chance.below(8));
    inTree(root, one.path, (tree, path) => {
      const others = tree.extended(path).filter(([other]) => other.toString() !== name);
      tree.setExtended(path, this.#chance.below(4) === 0 ? others : [...others, [Buffer.from(name), value]]);
    });
    return `access list (${name}) of ${shown(one.path)}`;
  }

  #fifo(root: string, found: readonly Found[]): string | null {
    const path = this.#free(found);
    if (path === null) return null;
    inTree(root, path, (tree, beneath) => {
      tree.makeFifo(beneath, 0o640);
    });
    return `a FIFO ${shown(path)}`;
  }

  #extended(root: string, found: readonly Found[]): string | null {
    const one = this.#chance.pick(found.filter(({ kind }) => kind !== 'other'));
    if (one === null) return null;
    const value = Buffer.from(`colour ${String(this.#chance.below(3))}`);
    const list = this.#chance.below(4) === 0 ? [] : [[Buffer.from('user.colour'), value] as const];
    inTree(root, one.path, (tree, path) => {
      tree.setExtended(path, list);
    });
    return `extended attributes of ${shown(one.path)}`;
  }
}

/** Everything beneath a folder, and first the folder itself. In an order that is the same each time. */
export function walk(folder: Buffer): Found[] {
  const found: Found[] = [{ path: folder, kind: 'folder' }];
  const here = readdirSync(folder, { encoding: 'buffer' }).sort((a, b) => a.compare(b));
  for (const name of here) {
    if (name.toString('latin1').startsWith(ours)) continue;
    const path = join(folder, name);
    const kind = kindOf(path);
    if (kind === 'folder') found.push(...walk(path));
    else if (kind !== null) found.push({ path, kind });
  }
  return found;
}

/** Node's own does not find names in odd bytes. */
function removeAll(path: Buffer): void {
  if (kindOf(path) !== 'folder') {
    unlinkSync(path);
    return;
  }
  for (const one of walk(path).reverse()) {
    if (one.kind === 'folder') rmdirSync(one.path);
    else unlinkSync(one.path);
  }
}

function inTree(root: string, path: Buffer, use: (tree: Tree, beneath: Buffer) => void): void {
  const tree = Tree.open(root);
  try {
    use(tree, path.subarray(Buffer.byteLength(root) + 1));
  } finally {
    tree.close();
  }
}

function kindOf(path: Buffer): Found['kind'] | null {
  const stat = lstatSync(path, { throwIfNoEntry: false });
  if (stat === undefined) return null;
  return stat.isDirectory() ? 'folder' : stat.isFile() ? 'file' : 'other';
}

function isWithin(path: Buffer, folder: Buffer): boolean {
  return path.equals(folder) || path.subarray(0, folder.length + 1).equals(join(folder, Buffer.alloc(0)));
}

function join(folder: Buffer, name: Buffer): Buffer {
  return Buffer.concat([folder, Buffer.from('/'), name]);
}

function shown(path: Buffer): string {
  return JSON.stringify(
    path
      .toString('latin1')
      .replace(/^.*?\/root(\/|$)/, '')
      .replace(/x{200}/g, 'xx'),
  );
}
