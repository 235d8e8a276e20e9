/**
 * The guard's socket: accepts clients, splits what they send into lines, writes messages to them.
 *
 * Bounds: clients at most `clientsMax` (the oldest gives way, for the newest is the living agent), a line at most
 * `lineBytesMax`, unread replies at most `unreadBytesMax` per client (then it is disconnected).
 */

import { chmodSync, unlinkSync } from 'node:fs';
import { connect, createServer, type Server, type Socket } from 'node:net';
import { isErrno } from './errno.ts';
import { LineBuffer } from './line-buffer.ts';
import { lineBytesMax, type EventMessage, type ReplyMessage } from './protocol.ts';

const clientsMax = 16;
const unreadBytesMax = 1_048_576;
const probeMs = 1_000;
/** sockaddr_un has 108 bytes, the last of them zero (unix(7)). */
const pathBytesMax = 107;

export interface SocketListener {
  onLine(client: number, line: string): void;
  /** That many lines were too long. */
  onGarbage(lines: number): void;
}

export type ListenResult =
  | { readonly kind: 'listening'; readonly socket: GuardSocket }
  /** Another guard answers there. */
  | { readonly kind: 'taken'; readonly says: string }
  | { readonly kind: 'failed'; readonly says: string };

export class GuardSocket {
  readonly #server: Server;
  readonly #clients = new Map<number, Socket>();
  #lastClient = 0;

  constructor(server: Server, listener: SocketListener) {
    this.#server = server;
    server.on('connection', (socket) => this.#accept(socket, listener));
    // Out of file descriptors, say: the clients that are connected go on.
    server.on('error', () => listener.onGarbage(1));
  }

  send(client: number, message: ReplyMessage | EventMessage): void {
    const socket = this.#clients.get(client);
    if (socket === undefined) return;
    if (socket.writableLength > unreadBytesMax) {
      socket.destroy();
      return;
    }
    socket.write(`${JSON.stringify(message)}\n`);
  }

  sendAll(message: EventMessage): void {
    for (const client of this.#clients.keys()) this.send(client, message);
  }

  /** Stops listening, removes the socket file, and lets the last replies out. */
  close(): void {
    this.#server.close();
    for (const socket of this.#clients.values()) socket.end();
  }

  #accept(socket: Socket, listener: SocketListener): void {
    this.#lastClient += 1;
    const client = this.#lastClient;
    const lines = new LineBuffer(lineBytesMax);
    this.#clients.set(client, socket);
    if (this.#clients.size > clientsMax) {
      const [oldest] = this.#clients;
      oldest?.[1].destroy();
    }
    socket.on('data', (chunk: Buffer) => {
      for (const line of lines.push(chunk)) listener.onLine(client, line);
      const dropped = lines.takeDropped();
      if (dropped > 0) listener.onGarbage(dropped);
    });
    // A client that died with data under way: 'close' follows.
    socket.on('error', () => socket.destroy());
    socket.on('close', () => this.#clients.delete(client));
  }
}

/** Listens on `path` with mode 0600. A socket file that nobody answers on is replaced. */
export async function listen(path: string, listener: SocketListener): Promise<ListenResult> {
  const windows = process.platform === 'win32';
  if (!windows && Buffer.byteLength(path) > pathBytesMax) {
    return { kind: 'failed', says: `${path} is longer than ${pathBytesMax} bytes; use a shorter directory` };
  }
  if (await answers(path)) return { kind: 'taken', says: `another guard answers at ${path}` };
  const server = createServer();
  try {
    if (!windows) unlinkIfThere(path);
    await bind(server, path);
    if (!windows) chmodSync(path, 0o600);
  } catch (error) {
    server.close();
    return { kind: 'failed', says: error instanceof Error ? error.message : String(error) };
  }
  return { kind: 'listening', socket: new GuardSocket(server, listener) };
}

async function bind(server: Server, path: string): Promise<void> {
  // Nobody else may connect in the moment before chmod; commands inherit the usual mask, so it is put back at once.
  const usual = process.umask(0o177);
  try {
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject);
      server.listen(path, () => {
        server.off('error', reject);
        resolve();
      });
    });
  } finally {
    process.umask(usual);
  }
}

function answers(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(path);
    const end = (yes: boolean): void => {
      socket.destroy();
      resolve(yes);
    };
    socket.setTimeout(probeMs, () => end(true));
    socket.on('connect', () => end(true));
    socket.on('error', () => end(false));
  });
}

function unlinkIfThere(path: string): void {
  try {
    unlinkSync(path);
  } catch (error) {
    if (!isErrno(error, 'ENOENT')) throw error;
  }
}
