/**
 * Plain sockets as wires, and the one frame that a handshake waits for.
 */

import type { Socket } from 'node:net';
import { errorCode, errorText } from '@holdfast/wire/directory';
import type { Assembly, RawFrame } from './assembly.ts';
import { readInto } from './direct-reads.ts';
import { gathered, type Waiting } from './gathered.ts';
import type { AttachableWire, WireEnd } from './wire.ts';

/** System keepalive: the beats do better, this is for the time before them. */
const keepAliveMs = 5_000;

export function tune(socket: Socket): void {
  socket.setNoDelay(true);
  socket.setKeepAlive(true, keepAliveMs);
}

export class SocketWire implements AttachableWire {
  readonly #socket: Socket;
  #waiting: Waiting[] = [];
  #writing = false;

  constructor(socket: Socket) {
    this.#socket = socket;
  }

  /** From now on the line hears what the socket does. */
  attach(line: WireEnd): void {
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

  /** Large pieces go alone, as they lie. */
  write(pieces: readonly Uint8Array[], taken: () => void): void {
    const more = gathered(pieces, taken);
    if (more.length === 0) taken();
    this.#waiting.push(...more);
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
    return bytes;
  }
}

export function brokenSays(error: unknown): string {
  const code = errorCode(error);
  if (code === 'ECONNRESET') return 'the other side reset the connection';
  if (code === 'EPIPE') return 'the other side is gone';
  return `the connection broke: ${errorText(error)}`;
}

export type Awaited =
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
