/**
 * All file operations beneath one root folder. Paths are bytes, relative to the root; the root itself is the empty path.
 *
 * T1. No operation makes, changes, links or removes anything outside the root, whatever the path is and whatever others
 *     do to the folders meanwhile (beneath.ts, B1 to B3). A folder that is a symbolic link is refused with ELOOP.
 * T2. No operation follows a symbolic link that is the last name; none but openRead and openWrite opens what it names, and
 *     those only regular files: a fifo never makes it wait, a device is never touched.
 * T3. Calls are synchronous and of microseconds, but for removeAll, which has a deadline, and the copying of contents.
 *     Descriptors that are handed out belong to the caller.
 * T4. A refusal of the kernel is thrown as OsError with its code; only stat() answers null for what is not there.
 * T5. Other file systems that are mounted beneath the root are entered. rename and hardLink between two answer EXDEV.
 *
 * Sources: openat2(2), statx(2), renameat2(2), linkat(2), mknodat(2), utimensat(2), chown(2), inode(7).
 */
import { setOpen } from './attributes.ts';
import { inParent, openBeneath, sameParent } from './beneath.ts';
import { cloneOrCopy, copySlices, dataSegments, punch } from './contents.ts';
import { readExtended, writeExtended } from './extended.ts';
import { type Glance, glanced, listed, listedStats } from './folder.ts';
import {
  AT_FDCWD,
  AT_REMOVEDIR,
  O_CLOEXEC,
  O_CREAT,
  O_DIRECTORY,
  O_EXCL,
  O_NOATIME,
  O_NONBLOCK,
  O_PATH,
  O_RDONLY,
  O_RDWR,
  cText,
  checked,
  descriptorPath,
  errorCode,
  libc,
  noName,
  openat2,
} from './libc.ts';
import { OpenEntry } from './open-entry.ts';
import { removeBeneath } from './removal.ts';
import { NearFolder } from './near-folder.ts';
import { fileSystemOf, statIn, statOpen } from './stat.ts';
import {
  type ChildStat,
  type Extended,
  type ListedEntry,
  OsError,
  type Segment,
  type SettableAttributes,
  type SkippedExtended,
  type Stat,
} from './types.ts';

const S_IFIFO = 0o010000;
const S_IFCHR = 0o020000;
const S_IFBLK = 0o060000;
const LINK_MAX = 4096;
/** The last two: a file system that has no place for a name has nothing of that name. */
const notThere = new Set(['ENOENT', 'ENOTDIR', 'ELOOP', 'ENAMETOOLONG', 'EILSEQ']);
const renameFlags = { replace: 0, keep: 1, exchange: 2 } as const;
const linkBuffer = Buffer.alloc(LINK_MAX);

interface OtherTree {
  /** The tree that `to` belongs to; the same one when left out. */
  readonly toTree?: Tree;
}

interface RenameOptions extends OtherTree {
  /** What is at `to`: it is replaced (default), or kept and EEXIST is thrown, or both change places. */
  readonly existing?: 'replace' | 'keep' | 'exchange';
}

export interface Given {
  /** Null: it is not there any more. */
  readonly stat: Stat | null;
  readonly leavesFolder: boolean;
}

export class Tree {
  /** Absolute, as it was opened. */
  readonly root: Buffer;
  readonly #root: number;
  #open = true;
  #near: NearFolder | null = null;

  private constructor(root: Buffer, fd: number) {
    this.root = root;
    this.#root = fd;
  }

  /** `root`: absolute, has to be a folder; may itself be reached by symbolic links. Throws OsError. */
  static open(root: string | Buffer): Tree {
    const path = Buffer.from(root);
    const fd = openat2(AT_FDCWD, cText(path), O_PATH | O_DIRECTORY | O_CLOEXEC, 0, 0);
    if (fd < 0) throw new OsError(errorCode(), 'openat2', path);
    return new Tree(path, fd);
  }

  /** Where others of this process reach the root by its descriptor, whatever was mounted over its name since. */
  get reached(): string {
    return `/proc/self/fd/${String(this.#fd())}`;
  }

  /** Closes the root; every later call throws EBADF. */
  close(): void {
    if (this.#open) libc.close(this.#root);
    this.#open = false;
  }

  /** A folder beneath, as a tree of its own by the same mount; the caller closes it. ELOOP for a symbolic link. */
  within(path: Buffer): Tree {
    const fd = openBeneath(this.#fd(), path, O_PATH | O_DIRECTORY, 0, 'within');
    return new Tree(Buffer.concat([this.root, Buffer.from('/'), path]), fd);
  }

  /** Null: not there, which includes that a folder of the path is a file or a link by now. */
  stat(path: Buffer): Stat | null {
    try {
      if (path.length === 0) return statOpen(this.#fd(), path);
      if (this.#near !== null) return this.#near.stat(path);
      return inParent(this.#fd(), path, 'stat', (folder, name) => statIn(folder, name, path));
    } catch (error) {
      if (error instanceof OsError && notThere.has(error.code)) return null;
      throw error;
    }
  }

  /**
   * Within `work`, which is synchronous and takes milliseconds, stat() leaves the folder of a path open for the next one: most
   * paths that come one after another share it. Whoever moves that folder meanwhile is seen the next time.
   */
  near<T>(work: () => T): T {
    if (this.#near !== null) return work();
    const near = new NearFolder(this.#fd());
    this.#near = near;
    try {
      return work();
    } finally {
      this.#near = null;
      near.close();
    }
  }

  /** Which file system the root is on, as text to be compared. */
  fileSystem(): string {
    return fileSystemOf(this.#fd(), this.root);
  }

  /** Names and kinds, in no order. */
  readFolder(path: Buffer): ListedEntry[] {
    return this.#inFolder(path, 'readFolder', (folder) => listed(folder, path));
  }

  /** Like readFolder, with what each entry is: the fastest way to look at a whole tree. */
  statChildren(path: Buffer): ChildStat[] {
    return this.#inFolder(path, 'statChildren', (folder) => listedStats(folder, path));
  }

  /** The same without a copy of any name (folder.ts). False when `use` wanted no more. */
  glanceAtChildren(path: Buffer, use: Glance): boolean {
    return this.#inFolder(path, 'glanceAtChildren', (folder) => glanced(folder, path, use));
  }

  /** For reading; regular files only: ELOOP for a link, EISDIR for a folder, ENXIO for others. Leaves atime where allowed. */
  openRead(path: Buffer): number {
    return this.#inRegular(path, 'openRead', (name) => {
      const fd = openat2(AT_FDCWD, name, O_RDONLY | O_NONBLOCK | O_NOATIME | O_CLOEXEC, 0, 0);
      if (fd >= 0 || errorCode() !== 'EPERM') return fd;
      return openat2(AT_FDCWD, name, O_RDONLY | O_NONBLOCK | O_CLOEXEC, 0, 0); // Of another owner.
    });
  }

  /** For reading and writing what is there; regular files only, as openRead. */
  openWrite(path: Buffer): number {
    return this.#inRegular(path, 'openWrite', (name) =>
      openat2(AT_FDCWD, name, O_RDWR | O_NONBLOCK | O_CLOEXEC, 0, 0),
    );
  }

  /** A new file, for reading and writing; EEXIST when anything is there. The umask applies to `mode`. */
  createFile(path: Buffer, mode: number): number {
    return openBeneath(this.#fd(), path, O_RDWR | O_CREAT | O_EXCL, mode, 'createFile');
  }

  /** The umask applies to `mode`. */
  makeFolder(path: Buffer, mode: number): void {
    this.#make(path, 'makeFolder', (folder, name) => libc.mkdirat(folder, name, mode));
  }

  /** A symbolic link with any text of 1 to 4,095 bytes; nobody looks where it leads. */
  makeLink(path: Buffer, to: Buffer): void {
    const target = cText(to);
    this.#make(path, 'makeLink', (folder, name) => libc.symlinkat(target, folder, name));
  }

  makeFifo(path: Buffer, mode: number): void {
    this.#make(path, 'makeFifo', (folder, name) => libc.mknodat(folder, name, S_IFIFO | mode, 0));
  }

  /** EPERM without the right to make devices. */
  makeDevice(path: Buffer, kind: 'block' | 'char', mode: number, major: number, minor: number): void {
    if (major > 0xfff || minor > 0xfffff) throw new OsError('EINVAL', 'makeDevice', path);
    const device = (minor & 0xff) + (major & 0xfff) * 0x100 + (minor >>> 8) * 0x100000;
    const type = kind === 'block' ? S_IFBLK : S_IFCHR;
    this.#make(path, 'makeDevice', (folder, name) => libc.mknodat(folder, name, type | mode, device));
  }

  /** Another name for the same file, also for a symbolic link itself; EEXIST when `to` is there. */
  hardLink(from: Buffer, to: Buffer, { toTree = this }: OtherTree = {}): void {
    this.#two(from, to, toTree, 'hardLink', (folder, name, toFolder, toName) =>
      libc.linkat(folder, name, toFolder, toName, 0),
    );
  }

  rename(from: Buffer, to: Buffer, { toTree = this, existing = 'replace' }: RenameOptions = {}): void {
    this.#two(from, to, toTree, 'rename', (folder, name, toFolder, toName) =>
      libc.renameat2(folder, name, toFolder, toName, renameFlags[existing]),
    );
  }

  /**
   * Gives the name `to` to what is at `from`, whatever has it. Where something had it, that is gone, but a folder, which is at
   * `from` then. EINVAL where the file system can't exchange two names.
   *
   * No rename over a name: ext4 brings the contents to the disk within such a call (ext4(5), auto_da_alloc), of which somebody
   * who has them in a log as well has no use.
   */
  give(from: Buffer, to: Buffer, { toTree = this }: OtherTree = {}): Given {
    let stat: Stat | null = null;
    let leavesFolder = false;
    this.#two(from, to, toTree, 'give', (folder, name, toFolder, toName) => {
      const exchanged = libc.renameat2(folder, name, toFolder, toName, renameFlags.exchange);
      if (exchanged !== 0) {
        if (errorCode() !== 'ENOENT') return exchanged;
        const given = libc.renameat2(folder, name, toFolder, toName, renameFlags.replace);
        if (given !== 0) return given;
      }
      stat = statIn(toFolder, toName, to);
      if (exchanged !== 0 || libc.unlinkat(folder, name, 0) === 0) return 0;
      leavesFolder = errorCode() === 'EISDIR';
      return leavesFolder ? 0 : -1;
    });
    return { stat, leavesFolder };
  }

  /** One entry; a folder has to be empty (ENOTEMPTY). */
  remove(path: Buffer): void {
    this.#make(path, 'remove', (folder, name) => {
      const answer = libc.unlinkat(folder, name, 0);
      if (answer === 0 || errorCode() !== 'EISDIR') return answer;
      return libc.unlinkat(folder, name, AT_REMOVEDIR);
    });
  }

  /**
   * An entry with everything beneath it; nothing happens when it is not there. `untilMs` is a time of performance.now():
   * false when that came first, and the call has to be repeated. ENOTEMPTY when others keep filling it.
   */
  removeAll(path: Buffer, untilMs = Infinity): boolean {
    return removeBeneath(this, path, untilMs);
  }

  /** What a symbolic link says. EINVAL for other kinds. */
  readLink(path: Buffer): Buffer {
    return this.#inEntry(path, 'readLink', (fd) => {
      if (statOpen(fd, path).kind !== 'link') throw new OsError('EINVAL', 'readLink', path);
      const bytes = checked(libc.readlinkat(fd, noName, linkBuffer, LINK_MAX), 'readLink', path);
      return Buffer.from(linkBuffer.subarray(0, bytes));
    });
  }

  /** With the entry that has this name now, itself where it is a link. */
  inOpen<T>(path: Buffer, use: (entry: OpenEntry) => T): T {
    return this.#inEntry(path, 'inOpen', (fd) => use(new OpenEntry(fd, path)));
  }

  /** Of a path, never following a link, or of an open file. */
  setAttributes(of: Buffer | number, attributes: SettableAttributes): void {
    if (typeof of === 'number') setOpen(of, attributes, null);
    else
      this.#inEntry(of, 'setAttributes', (fd) => {
        setOpen(fd, attributes, of);
      });
  }

  /** Those that are mirrored (extended.ts, E1), sorted by name. */
  extended(of: Buffer | number): Extended[] {
    if (typeof of === 'number') return readExtended(of, null);
    return this.#inEntry(of, 'extended', (fd) => readExtended(fd, of));
  }

  /**
   * Makes the mirrored ones those of `list`, and answers what this host does not permit. Set the owner first, because a new
   * owner loses capabilities, and the mode last, because an access list changes it.
   */
  setExtended(of: Buffer | number, list: readonly Extended[]): SkippedExtended[] {
    if (typeof of === 'number') return writeExtended(of, list, null);
    return this.#inEntry(of, 'setExtended', (fd) => writeExtended(fd, list, of));
  }

  /** See contents.ts. */
  dataSegments(fd: number, from?: number, most?: number): Segment[] {
    return dataSegments(fd, from, most);
  }

  /** See contents.ts. */
  punch(fd: number, offset: number, length: number): void {
    punch(fd, offset, length);
  }

  /** See contents.ts. */
  cloneOrCopy(fromFd: number, toFd: number): 'cloned' | 'copied' {
    return cloneOrCopy(fromFd, toFd);
  }

  /** See contents.ts: for files that are too large to be copied in one call (T3). */
  copySlices(fromFd: number, toFd: number): Generator<number, 'cloned' | 'copied', void> {
    return copySlices(fromFd, toFd);
  }

  #fd(): number {
    if (!this.#open) throw new OsError('EBADF', 'a closed tree', this.root);
    return this.#root;
  }

  #inFolder<T>(path: Buffer, call: string, use: (fd: number) => T): T {
    const fd = openBeneath(this.#fd(), path, O_RDONLY | O_DIRECTORY, 0, call);
    try {
      return use(fd);
    } finally {
      libc.close(fd);
    }
  }

  /** With the entry open as a mere name (O_PATH): nothing of it is read, and no device or fifo notices. */
  #inEntry<T>(path: Buffer, call: string, use: (fd: number) => T): T {
    const fd = openBeneath(this.#fd(), path, O_PATH, 0, call);
    try {
      return use(fd);
    } finally {
      libc.close(fd);
    }
  }

  /** T2: it is looked at before it is opened, and it is that same file that is opened. */
  #inRegular(path: Buffer, call: string, open: (name: Buffer) => number): number {
    return this.#inEntry(path, call, (entry) => {
      const { kind } = statOpen(entry, path);
      if (kind === 'link') throw new OsError('ELOOP', call, path);
      if (kind === 'folder') throw new OsError('EISDIR', call, path);
      if (kind !== 'file') throw new OsError('ENXIO', call, path);
      return checked(open(descriptorPath(entry)), call, path);
    });
  }

  #make(path: Buffer, call: string, make: (folder: number, name: Buffer) => number): void {
    inParent(this.#fd(), path, call, (folder, name) => checked(make(folder, name), call, path));
  }

  #two(
    from: Buffer,
    to: Buffer,
    toTree: Tree,
    call: string,
    make: (folder: number, name: Buffer, toFolder: number, toName: Buffer) => number,
  ): void {
    const near = toTree === this && sameParent(from, to);
    inParent(this.#fd(), from, call, (folder, name) =>
      inParent(
        toTree.#fd(),
        to,
        call,
        (toFolder, toName) => checked(make(folder, name, toFolder, toName), call, from),
        { folder: near ? folder : null },
      ),
    );
  }
}
