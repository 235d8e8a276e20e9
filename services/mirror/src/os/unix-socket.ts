/**
 * Unix sockets by calls of the system, for a thread that waits in poll(2) and has no event loop. Nothing here waits but
 * `poll`.
 *
 * U1. A signal or a full buffer is no failure: the answer is `later`.
 */
import { closeSync } from 'node:fs';
import { checked, errorCode, libc, O_CLOEXEC, O_NONBLOCK } from './libc.ts';
import { OsError } from './types.ts';

const AF_UNIX = 1;
const SOCK_STREAM = 1;
const MSG_NOSIGNAL = 0x4000;
const backlog = 64;
/** struct sockaddr_un: the family, and the path with its NUL. */
const pathAt = 2;
const addressBytes = 110;

export const POLLIN = 1;
export const POLLOUT = 4;
export const POLLERR = 8;
export const POLLHUP = 16;

const laterCodes: ReadonlySet<string> = new Set(['EAGAIN', 'EINTR']);
const goneCodes: ReadonlySet<string> = new Set([...laterCodes, 'ECONNABORTED', 'EPROTO']);
const scarceCodes: ReadonlySet<string> = new Set(['EMFILE', 'ENFILE', 'ENOBUFS', 'ENOMEM']);

/** The socket, which listens. Throws what the system says; ENAMETOOLONG for a path of more than 107 bytes. */
export function listenUnix(path: string): number {
  const name = Buffer.from(path);
  if (name.length >= addressBytes - pathAt) throw new OsError('ENAMETOOLONG', 'bind', name);
  const address = Buffer.alloc(addressBytes);
  address.writeUInt16LE(AF_UNIX, 0);
  name.copy(address, pathAt);
  const fd = checked(libc.socket(AF_UNIX, SOCK_STREAM | O_NONBLOCK | O_CLOEXEC, 0), 'socket', null);
  try {
    checked(libc.bind(fd, address, pathAt + name.length + 1), 'bind', name);
    checked(libc.listen(fd, backlog), 'listen', name);
    return fd;
  } catch (error) {
    closeSync(fd);
    throw error;
  }
}

/** Null: nobody waits. `scarce`: somebody does, and the system has no descriptor or memory for it at the moment. */
export function acceptUnix(fd: number): number | null | 'scarce' {
  const client = libc.accept4(fd, null, null, O_NONBLOCK | O_CLOEXEC);
  if (client >= 0) return client;
  if (goneCodes.has(errorCode())) return null;
  if (scarceCodes.has(errorCode())) return 'scarce';
  throw new OsError(errorCode(), 'accept4', null);
}

/** How many bytes came; 0: the other side went. A text is the code of an error. */
export function receive(fd: number, into: Buffer): number | 'later' | `E${string}` {
  const bytes = libc.recv(fd, into, into.length, 0);
  return bytes >= 0 ? bytes : failed();
}

/** How many bytes left. */
export function transmit(fd: number, from: Buffer): number | 'later' | `E${string}` {
  const bytes = libc.send(fd, from, from.length, MSG_NOSIGNAL);
  return bytes >= 0 ? bytes : failed();
}

function failed(): 'later' | `E${string}` {
  const code = errorCode();
  return laterCodes.has(code) ? 'later' : (code as `E${string}`);
}

/** What poll(2) is asked about, and what it says: 8 bytes for each descriptor. */
export class PollSet {
  readonly #bytes: Buffer;
  readonly #numbers: Int32Array;
  readonly #events: Int16Array;
  #count = 0;

  constructor(most: number) {
    const memory = new ArrayBuffer(most * 8);
    this.#bytes = Buffer.from(memory);
    this.#numbers = new Int32Array(memory);
    this.#events = new Int16Array(memory);
  }

  clear(): void {
    this.#count = 0;
  }

  add(fd: number, events: number): void {
    this.#numbers[this.#count * 2] = fd;
    this.#events[this.#count * 4 + 2] = events;
    this.#events[this.#count * 4 + 3] = 0;
    this.#count += 1;
  }

  /** Of the n-th that was added. */
  came(index: number): number {
    return this.#events[index * 4 + 3] ?? 0;
  }

  poll(timeoutMs: number): void {
    if (libc.poll(this.#bytes, this.#count, timeoutMs) >= 0) return;
    for (let index = 0; index < this.#count; index += 1) this.#events[index * 4 + 3] = 0;
    if (!laterCodes.has(errorCode())) throw new OsError(errorCode(), 'poll', null);
  }
}
