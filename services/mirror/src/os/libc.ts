/**
 * The calls of libc that file operations need and Node does not have: names relative to an open folder, times in
 * nanoseconds, extended attributes, mounts, fanotify; and sockets for a thread that has no event loop. Nothing here decides
 * anything.
 *
 * L1. Every argument that the kernel takes as text is bytes that end in NUL (cText); none holds one inside.
 * L2. Numbers are of x64 and arm64. What differs between the two comes from node:fs or from libc itself; the call numbers
 *     used here are the same on both.
 * L3. errno is read right after the call, on the same thread, before anything else is called.
 *
 * Measured: a call costs 0.2 µs more than the kernel's part, about what Node's own synchronous calls cost.
 */
import { constants } from 'node:fs';
import koffi, { type KoffiFunc } from 'koffi';
import { OsError } from './types.ts';

type Bytes = Uint8Array;
type Call<T extends unknown[]> = KoffiFunc<(...args: T) => number>;

/** The same on x64 and arm64; O_DIRECTORY and O_NOFOLLOW are not, and come from node:fs (L2). */
export const O_PATH = 0o10000000;
export const O_CLOEXEC = 0o2000000;
export const O_NOATIME = 0o1000000;
export const { O_DIRECTORY, O_NOFOLLOW, O_NONBLOCK, O_RDONLY, O_RDWR, O_CREAT, O_EXCL } = constants;
export const AT_FDCWD = -100;
export const AT_REMOVEDIR = 0x200;
export const AT_SYMLINK_NOFOLLOW = 0x100;
export const AT_EMPTY_PATH = 0x1000;
const SYS_OPENAT2 = 437;

const library = koffi.load('libc.so.6');
const text = (definition: string): never => library.func(definition) as never;

export const libc = {
  /** Only openat2(2) is called by number: glibc has no name for it. Integers are long, as the kernel takes them. */
  syscall: text('long syscall(long, long, const void*, const void*, size_t)') as Call<
    [number: number, fd: number, path: Bytes, how: Bytes, bytes: number]
  >,
  close: text('int close(int)') as Call<[fd: number]>,
  statx: text('int statx(int, const void*, int, unsigned int, void*)') as Call<
    [fd: number, path: Bytes, flags: number, mask: number, into: Bytes]
  >,
  getdents64: text('long getdents64(int, void*, size_t)') as Call<[fd: number, into: Bytes, bytes: number]>,
  mkdirat: text('int mkdirat(int, const void*, unsigned int)') as Call<
    [fd: number, path: Bytes, mode: number]
  >,
  mknodat: text('int mknodat(int, const void*, unsigned int, uint64_t)') as Call<
    [fd: number, path: Bytes, mode: number, device: number]
  >,
  symlinkat: text('int symlinkat(const void*, int, const void*)') as Call<
    [to: Bytes, fd: number, path: Bytes]
  >,
  linkat: text('int linkat(int, const void*, int, const void*, int)') as Call<
    [fromFd: number, from: Bytes, toFd: number, to: Bytes, flags: number]
  >,
  renameat2: text('int renameat2(int, const void*, int, const void*, unsigned int)') as Call<
    [fromFd: number, from: Bytes, toFd: number, to: Bytes, flags: number]
  >,
  unlinkat: text('int unlinkat(int, const void*, int)') as Call<[fd: number, path: Bytes, flags: number]>,
  readlinkat: text('long readlinkat(int, const void*, void*, size_t)') as Call<
    [fd: number, path: Bytes, into: Bytes, bytes: number]
  >,
  fchownat: text('int fchownat(int, const void*, unsigned int, unsigned int, int)') as Call<
    [fd: number, path: Bytes, uid: number, gid: number, flags: number]
  >,
  chmod: text('int chmod(const void*, unsigned int)') as Call<[path: Bytes, mode: number]>,
  fchmod: text('int fchmod(int, unsigned int)') as Call<[fd: number, mode: number]>,
  utimensat: text('int utimensat(int, const void*, const void*, int)') as Call<
    [fd: number, path: Bytes, times: Bytes, flags: number]
  >,
  listxattr: text('long listxattr(const void*, void*, size_t)') as Call<
    [path: Bytes, into: Bytes, bytes: number]
  >,
  flistxattr: text('long flistxattr(int, void*, size_t)') as Call<[fd: number, into: Bytes, bytes: number]>,
  getxattr: text('long getxattr(const void*, const void*, void*, size_t)') as Call<
    [path: Bytes, name: Bytes, into: Bytes, bytes: number]
  >,
  setxattr: text('int setxattr(const void*, const void*, const void*, size_t, int)') as Call<
    [path: Bytes, name: Bytes, value: Bytes, bytes: number, flags: number]
  >,
  removexattr: text('int removexattr(const void*, const void*)') as Call<[path: Bytes, name: Bytes]>,
  lseek: text('int64_t lseek(int, int64_t, int)') as Call<[fd: number, offset: number, whence: number]>,
  fallocate: text('int fallocate(int, int, int64_t, int64_t)') as Call<
    [fd: number, mode: number, offset: number, bytes: number]
  >,
  ioctl: text('int ioctl(int, unsigned long, long)') as Call<[fd: number, request: number, value: number]>,
  copyFileRange: text('long copy_file_range(int, void*, int, void*, size_t, unsigned int)') as Call<
    [fromFd: number, from: Bytes, toFd: number, to: Bytes, bytes: number, flags: number]
  >,
  fstatfs: text('int fstatfs(int, void*)') as Call<[fd: number, into: Bytes]>,
  syncfs: text('int syncfs(int)') as Call<[fd: number]>,
  mount: text('int mount(const void*, const void*, const void*, unsigned long, const void*)') as Call<
    [from: Bytes | null, to: Bytes, type: Bytes | null, flags: number, data: Bytes | null]
  >,
  read: text('long read(int, void*, size_t)') as Call<[fd: number, into: Bytes, bytes: number]>,
  fanotifyInit: text('int fanotify_init(unsigned int, unsigned int)') as Call<
    [flags: number, eventFlags: number]
  >,
  fanotifyMark: text('int fanotify_mark(int, unsigned int, uint64_t, int, const void*)') as Call<
    [fd: number, flags: number, mask: number, at: number, path: Bytes]
  >,
  nameToHandleAt: text('int name_to_handle_at(int, const void*, void*, void*, int)') as Call<
    [fd: number, path: Bytes, handle: Bytes, mount: Bytes, flags: number]
  >,
  openByHandleAt: text('int open_by_handle_at(int, const void*, int)') as Call<
    [mountFd: number, handle: Bytes, flags: number]
  >,
  socket: text('int socket(int, int, int)') as Call<[family: number, type: number, protocol: number]>,
  bind: text('int bind(int, const void*, unsigned int)') as Call<[fd: number, address: Bytes, bytes: number]>,
  listen: text('int listen(int, int)') as Call<[fd: number, backlog: number]>,
  accept4: text('int accept4(int, void*, void*, int)') as Call<
    [fd: number, from: null, bytes: null, flags: number]
  >,
  poll: text('int poll(void*, unsigned long, int)') as Call<[set: Bytes, count: number, timeoutMs: number]>,
  recv: text('long recv(int, void*, size_t, int)') as Call<
    [fd: number, into: Bytes, bytes: number, flags: number]
  >,
  send: text('long send(int, const void*, size_t, int)') as Call<
    [fd: number, from: Bytes, bytes: number, flags: number]
  >,
  memcpy: library.func('void memcpy(void*, const void*, size_t)') as unknown as KoffiFunc<
    (to: Bytes, from: Bytes, bytes: number) => void
  >,
  eventfd: text('int eventfd(unsigned int, int)') as Call<[initial: number, flags: number]>,
  clockGettime: text('int clock_gettime(int, void*)') as Call<[clock: number, into: Bytes]>,
  pread: text('long pread(int, void*, size_t, int64_t)') as Call<
    [fd: number, into: Bytes, bytes: number, offset: number]
  >,
  pwrite: text('long pwrite(int, const void*, size_t, int64_t)') as Call<
    [fd: number, from: Bytes, bytes: number, offset: number]
  >,
  umount2: text('int umount2(const void*, int)') as Call<[path: Bytes, flags: number]>,
};

/** Second names of the same numbers, which are not used here. */
const aliases = new Set(['EWOULDBLOCK', 'ENOTSUP', 'EDEADLOCK']);
const names = new Map(
  Object.entries(koffi.os.errno)
    .filter(([name]) => !aliases.has(name))
    .map(([name, number]) => [number, name]),
);

/** The name of the error of the call before (L3). */
export function errorCode(): string {
  const number = koffi.errno();
  return names.get(number) ?? `E${String(number)}`;
}

/** Throws OsError when the call said -1; otherwise its answer. `path` is for the message. */
export function checked(answer: number, call: string, path: Buffer | null): number {
  if (answer === -1) throw new OsError(errorCode(), call, path);
  return answer;
}

/** The empty name: with AT_EMPTY_PATH the call is about the open file itself. */
export const noName = Buffer.from([0]);

/** Bytes for the kernel (L1). EINVAL when a NUL is inside. */
export function cText(bytes: Uint8Array | string): Buffer {
  const from = typeof bytes === 'string' ? Buffer.from(bytes) : bytes;
  if (from.includes(0)) throw new OsError('EINVAL', 'a name with NUL', Buffer.from(from));
  const ended = Buffer.allocUnsafe(from.length + 1);
  ended.set(from);
  ended[from.length] = 0;
  return ended;
}

/** The name of an open file for calls that know no descriptors. It leads to the file itself, also of a symbolic link. */
export function descriptorPath(fd: number): Buffer {
  return Buffer.from(`/proc/self/fd/${String(fd)}\0`, 'latin1');
}

const how = Buffer.alloc(24);
const howWords = new Uint32Array(how.buffer, how.byteOffset, 6);

/** openat2(2). `path` ends in NUL. Answers -1 for an error, see errorCode(). */
export function openat2(fd: number, path: Buffer, flags: number, mode: number, resolve: number): number {
  howWords[0] = flags;
  howWords[2] = mode;
  howWords[4] = resolve;
  return libc.syscall(SYS_OPENAT2, fd, path, how, how.length);
}
