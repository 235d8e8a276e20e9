/** A client of the guard's socket; the protocol is described in @holdfast/guard, protocol.ts. */

import { connect, type Socket } from 'node:net';
import {
  lineBytesMax,
  type EventMessage,
  type ReplyMessage,
  type RequestMessage,
  type StateMessage,
} from '@holdfast/guard';
import { TextLines } from './text-lines.ts';

type WithoutId<T> = T extends { readonly id: unknown } ? Omit<T, 'id'> : never;
export type GuardRequest = WithoutId<RequestMessage>;

export class GuardLink {
  readonly #socket: Socket;
  readonly #waiting = new Map<string | number, (reply: ReplyMessage | null) => void>();
  #lastId = 0;
  onEvent: (event: EventMessage) => void = () => undefined;
  onClose: () => void = () => undefined;

  constructor(socket: Socket) {
    this.#socket = socket;
    const lines = new TextLines(lineBytesMax);
    socket.on('data', (chunk: Buffer) => lines.push(chunk).forEach((line) => this.#hear(line)));
    // The guard has gone; 'close' follows.
    socket.on('error', () => socket.destroy());
    socket.on('close', () => {
      for (const resolve of this.#waiting.values()) resolve(null);
      this.#waiting.clear();
      this.onClose();
    });
  }

  /** The reply, or null when there is none within the time or the guard has gone. */
  request(request: GuardRequest, timeoutMs: number): Promise<ReplyMessage | null> {
    this.#lastId += 1;
    const id = this.#lastId;
    return new Promise((resolve) => {
      if (this.#socket.destroyed) {
        resolve(null);
        return;
      }
      const timer = setTimeout(() => {
        this.#waiting.delete(id);
        resolve(null);
      }, timeoutMs);
      this.#waiting.set(id, (reply) => {
        clearTimeout(timer);
        resolve(reply);
      });
      this.#socket.write(`${JSON.stringify({ ...request, id })}\n`);
    });
  }

  async state(timeoutMs: number): Promise<StateMessage | null> {
    const reply = await this.request({ type: 'state' }, timeoutMs);
    return reply?.type === 'state' ? reply : null;
  }

  close(): void {
    this.onClose = () => undefined;
    this.#socket.destroy();
  }

  #hear(line: string): void {
    const message = parseMessage(line);
    if (message === null) {
      this.#socket.destroy();
      return;
    }
    if (!('id' in message)) {
      this.onEvent(message);
      return;
    }
    const resolve = this.#waiting.get(message.id);
    this.#waiting.delete(message.id);
    resolve?.(message);
  }
}

/**
 * Null for what no guard sends. Its fields are trusted: the socket is in our directory, for its owner alone, and only
 * a guard of our own version, or one that a newer run has left in place, listens there.
 */
function parseMessage(line: string): ReplyMessage | EventMessage | null {
  try {
    const value: unknown = JSON.parse(line);
    return isMessage(value) ? value : null;
  } catch {
    return null;
  }
}

function isMessage(value: unknown): value is ReplyMessage | EventMessage {
  return typeof value === 'object' && value !== null && 'type' in value && typeof value.type === 'string';
}

/** Null when nobody answers within the time. */
export function connectGuard(path: string, timeoutMs: number): Promise<GuardLink | null> {
  return new Promise((resolve) => {
    const socket = connect(path);
    const timer = setTimeout(() => {
      socket.destroy();
      resolve(null);
    }, timeoutMs);
    socket.once('connect', () => {
      clearTimeout(timer);
      resolve(new GuardLink(socket));
    });
    socket.once('error', () => {
      clearTimeout(timer);
      resolve(null);
    });
  });
}
