/**
 * Reading from a socket right into memory of ours. Otherwise each 64 KiB, with TLS each 16, are memory that is new, which
 * costs more than all that is done with it: pages to be found and cleared, and V8 collecting garbage four times a second.
 *
 * Node has it for sockets that dial (net.connect, `onread`), and not for those that were accepted or speak TLS over
 * another one. They get it here as lib/net.js does it.
 *
 * D1. Where this Node does it in another way, bytes are copied: slower, and the same.
 */

import type { Socket } from 'node:net';

export interface Reads {
  /** Where the next bytes are to be put; never empty. Asked for again after each came(). */
  room(): Buffer;
  /** So many came to where there was room last. */
  came(bytes: number): void;
}

interface Handle {
  useUserBuffer(buffer: Buffer): void;
}

type Inside = Record<symbol, unknown> & { readonly _handle?: Partial<Handle> | null };

/** `socket` is paused, and nobody listens to its data; it reads when it is told to resume(). */
export function readInto(socket: Socket, reads: Reads): void {
  const inside = socket as unknown as Inside;
  const symbols = Object.getOwnPropertySymbols(socket);
  const named = (name: string): symbol | undefined => symbols.find(({ description }) => description === name);
  const [buffer, callback, next] = [named('kBuffer'), named('kBufferCb'), named('kBufferGen')];
  const handle = inside._handle;
  if (
    buffer === undefined ||
    callback === undefined ||
    next === undefined ||
    handle?.useUserBuffer === undefined
  ) {
    socket.on('data', (chunk: Buffer) => copyIn(chunk, reads)); // D1
    return;
  }
  // What came before it was paused.
  for (let chunk = chunkOf(socket); chunk !== null; chunk = chunkOf(socket)) copyIn(chunk, reads);
  const first = reads.room();
  inside[buffer] = first;
  inside[next] = (): Buffer => reads.room();
  inside[callback] = (bytes: number): boolean => {
    reads.came(bytes);
    return true;
  };
  handle.useUserBuffer(first);
}

const chunkOf = (socket: Socket): Buffer | null => socket.read() as Buffer | null;

/** What was read elsewhere. */
export function copyIn(chunk: Buffer, reads: Reads): void {
  for (let at = 0; at < chunk.length;) {
    const bytes = chunk.copy(reads.room(), 0, at);
    at += bytes;
    reads.came(bytes);
  }
}
