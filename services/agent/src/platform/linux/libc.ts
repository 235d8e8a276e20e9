/** Calls of libc (koffi, ADR 17): Node opens neither raw nor netlink sockets. Each takes microseconds and never waits for a peer. */
import { endianness } from 'node:os';
import koffi, { type KoffiFunc } from 'koffi';

export const AF_INET = 2;
export const AF_INET6 = 10;
export const SOCK_CLOEXEC = 0o2000000;
const little = endianness() === 'LE';

interface Libc {
  readonly socket: KoffiFunc<(domain: number, type: number, protocol: number) => number>;
  readonly bind: KoffiFunc<(fd: number, address: Buffer, bytes: number) => number>;
  readonly setsockopt: KoffiFunc<
    (fd: number, level: number, name: number, value: Buffer, bytes: number) => number
  >;
  readonly send: KoffiFunc<(fd: number, data: Buffer, bytes: number, flags: number) => number>;
  readonly sendto: KoffiFunc<
    (fd: number, data: Buffer, bytes: number, flags: number, to: Buffer, toBytes: number) => number
  >;
  readonly recv: KoffiFunc<(fd: number, into: Buffer, bytes: number, flags: number) => number>;
  readonly close: KoffiFunc<(fd: number) => number>;
}

const library = koffi.load('libc.so.6');
export const libc: Libc = {
  socket: library.func('int socket(int, int, int)'),
  bind: library.func('int bind(int, const void*, unsigned int)'),
  setsockopt: library.func('int setsockopt(int, int, int, const void*, unsigned int)'),
  send: library.func('long send(int, const void*, size_t, int)'),
  sendto: library.func('long sendto(int, const void*, size_t, int, const void*, unsigned int)'),
  recv: library.func('long recv(int, void*, size_t, int)'),
  close: library.func('int close(int)'),
};

/** The number that the last call that failed left (errno(3)). */
export const errno = (): number => koffi.errno();

/** Such as ENODEV; the number itself where it has no name. */
export function errnoName(number: number): string {
  return Object.entries(koffi.os.errno).find(([, value]) => value === number)?.[0] ?? String(number);
}

export function hostOrder16(value: number): Buffer {
  const number = Buffer.alloc(2);
  if (little) number.writeUInt16LE(value);
  else number.writeUInt16BE(value);
  return number;
}

export function hostOrder32(value: number): Buffer {
  const number = Buffer.alloc(4);
  if (little) number.writeUInt32LE(value);
  else number.writeUInt32BE(value);
  return number;
}

/** htons. */
export function networkOrder16(value: number): number {
  return little ? ((value & 0xff) << 8) | (value >> 8) : value;
}

/** Reads numbers of this host's byte order, as netlink has them. */
export const readHost16 = (from: Buffer, at: number): number =>
  little ? from.readUInt16LE(at) : from.readUInt16BE(at);
export const readHost32 = (from: Buffer, at: number): number =>
  little ? from.readUInt32LE(at) : from.readUInt32BE(at);
