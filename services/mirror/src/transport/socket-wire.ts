/**
 * Sockets as wires, and the one frame that a handshake waits for.
 */

import type { Socket } from 'node:net';
import { errorCode, errorText } from '@holdfast/wire/directory';
import type { Assembly, RawFrame } from './assembly.ts';
import { readInto } from './direct-reads.ts';
import type { Line, Wire } from './line.ts';

/** TLS 1.3 with AES-GCM: header 5, content type 1, tag 16 for each record of 16,384 (RFC 8446, 5.1). */
const recordBytesMax = 16_384;
const recordOverheadBytes = 22;

/** System keepalive: the beats do better, this is for the time before them. */
const keepAliveMs = 5_000;

export function tune(socket: Socket): void {
  socket.setNoDelay(true);
  socket.setKeepAlive(true, keepAliveMs);
}

/** Below it a copy is cheaper than a call of the system. */
const aloneBytesMin = 65_536;

interface Waiting {
  readonly bytes: Uint8Array;
  taken: (() => void) | null;
}

export class SocketWire implements Wire {
  readonly #socket: Socket;
  #waiting: Waiting[] = [];
  #writing = false;
  readonly #overhead: number;

  constructor(socket: Socket, encrypted: boolean) {
    this.#socket = socket;
    this.#overhead = encrypted ? recordOverheadBytes : 0;
  }

  /** From now on the line hears what the socket does. */
  attach(line: Line): void {
    const socket = this.#socket;
    readInto(socket, line);
    socket.once('end', () => {
      line.lost({ kind: 'finished', says: 'the other side closed the connection' });
    });
    socket.on('error', (error) => {
      line.lost({ kind: 'broken', says: brokenSays(error) });
    });
    socket.once('close', () => {
      line.lost({ kind: 'broken', says: 'the connection is gone' });
    });
    // A handshake leaves it paused.
    socket.resume();
  }

  /** Large pieces go alone: TLS copies all of what it is given in several, and nothing of one. */
  write(pieces: readonly Uint8Array[], taken: () => void): void {
    let small: Uint8Array[] = [];
    for (const piece of pieces) {
      if (piece.length < aloneBytesMin) small.push(piece);
      else {
        if (small.length > 0) this.#waiting.push({ bytes: Buffer.concat(small), taken: null });
        small = [];
        this.#waiting.push({ bytes: piece, taken: null });
      }
    }
    if (small.length > 0) this.#waiting.push({ bytes: Buffer.concat(small), taken: null });
    const last = this.#waiting.at(-1);
    if (last === undefined) taken();
    else last.taken = taken;
    if (!this.#writing) this.#next();
  }

  #next(): void {
    const next = this.#waiting.shift();
    this.#writing = next !== undefined;
    if (next === undefined) return;
    this.#socket.write(next.bytes, (error) => {
      // The error itself comes as an event.
      if (error !== null && error !== undefined) return;
      next.taken?.();
      this.#next();
    });
  }

  /** The line calls it when everything was taken. */
  end(): void {
    this.#socket.end();
  }

  destroy(): void {
    this.#waiting = [];
    this.#socket.destroy();
  }

  pause(): void {
    this.#socket.pause();
  }

  resume(): void {
    this.#socket.resume();
  }

  wireBytes(bytes: number): number {
    return bytes + Math.ceil(bytes / recordBytesMax) * this.#overhead;
  }
}

function brokenSays(error: unknown): string {
  const code = errorCode(error);
  if (code === 'ECONNRESET') return 'the other side reset the connection';
  if (code === 'EPIPE') return 'the other side is gone';
  return `the connection broke: ${errorText(error)}`;
}

type Awaited =
  | { readonly kind: 'frame'; readonly frame: RawFrame }
  | { readonly kind: 'garbage' | 'ended' | 'stopped'; readonly says: string };

/**
 * The next frame of a handshake. Ends with the socket or the signal. Afterwards the socket is paused, what came behind
 * the frame is in the assembly, and nobody listens.
 */
export function nextFrame(socket: Socket, assembly: Assembly, signal: AbortSignal): Promise<Awaited> {
  return new Promise((fulfil) => {
    const settle = (answer: Awaited): void => {
      socket.pause();
      socket.off('data', heard);
      socket.off('end', ended);
      socket.off('close', ended);
      signal.removeEventListener('abort', stopped);
      fulfil(answer);
    };
    const look = (): boolean => {
      const frame = assembly.next();
      if (frame === null) return false;
      settle(typeof frame === 'string' ? { kind: 'garbage', says: frame } : { kind: 'frame', frame });
      return true;
    };
    const heard = (chunk: Buffer): void => {
      assembly.push(chunk);
      look();
    };
    const ended = (): void => {
      settle({ kind: 'ended', says: 'it closed the connection' });
    };
    const stopped = (): void => {
      settle({ kind: 'stopped', says: 'it took too long' });
    };
    if (signal.aborted) {
      stopped();
      return;
    }
    if (look()) return;
    signal.addEventListener('abort', stopped);
    socket.on('data', heard);
    socket.once('end', ended);
    socket.once('close', ended);
    if (socket.destroyed) ended();
    else socket.resume();
  });
}
