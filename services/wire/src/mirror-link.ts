/**
 * A connection to the mirror process of this member, from its agent or its quorum service.
 *
 *   K1  it reconnects by itself; the first thing said on a new connection is the latest orders
 *   K2  every request ends: with an answer, at its limit, or when the connection is lost
 *   K3  what waits for answers is bounded
 */
import { connect, type Socket } from 'node:net';
import { StringDecoder } from 'node:string_decoder';
import {
  mirrorLine,
  mirrorLineBytesMax,
  parseMirrorMessage,
  type MirrorFailedKind,
  type MirrorRun,
  type MirrorRunRow,
  type MirrorSocketMessage,
  type MirrorSocketOrder,
  type MirrorSocketReport,
  type MirrorSocketRequest,
} from './mirror-protocol.ts';

export interface MirrorLinkListener {
  report(reports: readonly MirrorSocketReport[], problems: readonly string[]): void;
  connected(yes: boolean): void;
  garbled(says: string): void;
}

/** `lost`: it is not there, or says nothing; whether it was done is not known. */
export type MirrorAnswer =
  /** settled: nobody else need be told. */
  | { readonly kind: 'done'; readonly says: string; readonly settled?: true | undefined }
  | { readonly kind: 'drained'; readonly targets: readonly string[] }
  | { readonly kind: 'failed'; readonly as: MirrorFailedKind; readonly says: string }
  | { readonly kind: 'lost'; readonly says: string };

type Wanted<T> = T extends { readonly id: number } ? Omit<T, 'id'> : never;
type MirrorRequest = Wanted<MirrorSocketRequest>;

interface Waiting {
  readonly end: (answer: MirrorAnswer) => void;
  readonly row: (row: MirrorRunRow) => void;
}

const retryMs = 50;
const waitingMax = 256;
const timerMsMax = 2 ** 31 - 1;

export class MirrorLink {
  readonly #path: string;
  readonly #listener: MirrorLinkListener;
  readonly #waiting = new Map<number, Waiting>();
  #socket: Socket | null = null;
  #open = false;
  #closed = false;
  #timer: NodeJS.Timeout | null = null;
  #lastId = 0;
  #orders: readonly MirrorSocketOrder[] | null = null;

  /** Connects at once, and again until close(). */
  constructor(path: string, listener: MirrorLinkListener) {
    this.#path = path;
    this.#listener = listener;
    this.#connect();
  }

  get isConnected(): boolean {
    return this.#open;
  }

  /** The whole of what the process is to do; it is said again on every connection. */
  order(mirrors: readonly MirrorSocketOrder[]): void {
    this.#orders = mirrors;
    this.#sendOrders();
  }

  open(mirror: string, epoch: bigint, forced: boolean, limitMs: number): Promise<MirrorAnswer> {
    return this.#ask({ type: 'open', mirror, epoch, forced }, limitMs);
  }

  /** `to`: that target must hold everything; null: whoever can, until the limit. */
  drain(mirror: string, to: string | null, limitMs: number): Promise<MirrorAnswer> {
    return this.#ask({ type: 'drain', mirror, to, limitMs }, limitMs);
  }

  run(run: MirrorRun, limitMs: number, row: (row: MirrorRunRow) => void): Promise<MirrorAnswer> {
    return this.#ask({ type: 'run', run }, limitMs, row);
  }

  close(): void {
    this.#closed = true;
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#socket?.destroy();
  }

  /** K2. */
  #ask(
    request: MirrorRequest,
    limitMs: number,
    row: Waiting['row'] = () => undefined,
  ): Promise<MirrorAnswer> {
    if (!this.#open) return Promise.resolve(lost('the mirror process is not there'));
    if (this.#waiting.size >= waitingMax) return Promise.resolve(lost('too much waits for it')); // K3
    this.#lastId += 1;
    const id = this.#lastId;
    return new Promise((resolve) => {
      const end = (answer: MirrorAnswer): void => {
        clearTimeout(late);
        this.#waiting.delete(id);
        resolve(answer);
      };
      const says = `the mirror process did not answer within ${Math.round(limitMs)} ms`;
      const late = setTimeout(() => end(lost(says)), Math.min(limitMs, timerMsMax));
      this.#waiting.set(id, { end, row });
      this.#socket?.write(mirrorLine({ ...request, id }));
    });
  }

  #sendOrders(): void {
    if (this.#orders === null || !this.#open) return;
    this.#lastId += 1;
    this.#socket?.write(mirrorLine({ type: 'orders', id: this.#lastId, mirrors: this.#orders }));
  }

  #connect(): void {
    const socket = connect(this.#path);
    this.#socket = socket;
    const lines = new Lines(() => this.#listener.garbled('the mirror process sent a line too long'));
    socket.on('connect', () => {
      this.#open = true;
      this.#sendOrders(); // K1
      this.#listener.connected(true);
    });
    socket.on('data', (chunk: Buffer) => lines.push(chunk).forEach((line) => this.#hear(line)));
    // 'close' follows, and there the next try begins.
    socket.on('error', () => socket.destroy());
    socket.on('close', () => {
      const was = this.#open;
      this.#open = false;
      for (const { end } of [...this.#waiting.values()]) end(lost('the mirror process went away'));
      if (was && !this.#closed) this.#listener.connected(false);
      if (!this.#closed) this.#timer = setTimeout(() => this.#connect(), retryMs);
    });
  }

  #hear(line: string): void {
    const message = parseMirrorMessage(line);
    if (message === null) {
      this.#listener.garbled('the mirror process sent something that is not understood');
      return;
    }
    this.#take(message);
  }

  #take(message: MirrorSocketMessage): void {
    switch (message.type) {
      case 'report':
        this.#listener.report(message.reports, message.problems);
        return;
      case 'row':
        this.#waiting.get(message.id)?.row(message.row);
        return;
      case 'drained':
        this.#waiting.get(message.id)?.end({ kind: 'drained', targets: message.targets });
        return;
      case 'done':
        this.#waiting.get(message.id)?.end({ kind: 'done', says: message.says, settled: message.settled });
        return;
      case 'failed':
        this.#waiting.get(message.id)?.end({ kind: 'failed', as: message.kind, says: message.says });
        return;
    }
  }
}

function lost(says: string): MirrorAnswer {
  return { kind: 'lost', says };
}

/** Splits what comes into lines; one that is too long is dropped, and said. */
export class Lines {
  readonly #decoder = new StringDecoder('utf8');
  readonly #tooLong: () => void;
  #pending = '';
  #skipping = false;

  constructor(tooLong: () => void) {
    this.#tooLong = tooLong;
  }

  push(chunk: Buffer): readonly string[] {
    const parts = (this.#pending + this.#decoder.write(chunk)).split('\n');
    this.#pending = parts.pop() ?? '';
    if (this.#skipping && parts.length > 0) {
      parts.shift();
      this.#skipping = false;
    }
    if (this.#pending.length > mirrorLineBytesMax) {
      this.#pending = '';
      if (!this.#skipping) this.#tooLong();
      this.#skipping = true;
    }
    return parts.filter((line) => line !== '');
  }
}
