/**
 * Every heartbeat that is heard or sent here, for the quorum service of this host: a Unix socket, one line each (heard-line.ts
 * of core).
 *
 * What comes in one turn of the event loop is written together: a member's heartbeats arrive on all paths at once. It is put into words then, too: what
 * the loop does with it goes first.
 *
 * A client that does not read loses the oldest lines, never the newest, and never holds us up.
 */

import { chmodSync, rmSync } from 'node:fs';
import { createServer, type Server, type Socket } from 'node:net';
import { heardText, type HeardLine } from '@holdfast/core';
import { errorText } from '@holdfast/wire/directory';

const clientsMax = 8;
const queuedMax = 512;
const linesAtOnce = 32;
/** What the kernel and Node may hold for one client before lines wait here. */
const unreadBytesMax = 256 * 1024;

class Client {
  readonly #socket: Socket;
  #queue: string[] = [];

  constructor(socket: Socket) {
    this.#socket = socket;
    socket.on('drain', () => this.#flush());
  }

  push(lines: readonly string[]): void {
    this.#queue.push(...lines);
    if (this.#queue.length > queuedMax) this.#queue.splice(0, this.#queue.length - queuedMax);
    this.#flush();
  }

  end(): void {
    this.#socket.destroy();
  }

  #flush(): void {
    while (this.#queue.length > 0 && this.#socket.writableLength < unreadBytesMax) {
      this.#socket.write(this.#queue.splice(0, linesAtOnce).join(''));
    }
  }
}

export type OpenedRelay =
  { readonly kind: 'open'; readonly relay: HeardRelay } | { readonly kind: 'failed'; readonly says: string };

export class HeardRelay {
  readonly #server: Server;
  readonly #clients = new Set<Client>();
  #lines: HeardLine[] = [];

  constructor(server: Server, trouble: (says: string) => void) {
    this.#server = server;
    server.on('connection', (socket) => this.#accept(socket));
    server.on('error', (error) => trouble(`the heartbeat relay: ${error.message}`));
  }

  get clients(): number {
    return this.#clients.size;
  }

  push(line: HeardLine): void {
    if (this.#clients.size === 0) return;
    this.#lines.push(line);
    if (this.#lines.length === 1) setImmediate(() => this.#flush());
  }

  close(): void {
    this.#server.close();
    for (const client of this.#clients) client.end();
  }

  #flush(): void {
    const lines = this.#lines.map((line) => `${heardText(line)}\n`);
    this.#lines = [];
    for (const client of this.#clients) client.push(lines);
  }

  #accept(socket: Socket): void {
    const client = new Client(socket);
    this.#clients.add(client);
    if (this.#clients.size > clientsMax) {
      const [oldest] = this.#clients;
      oldest?.end();
    }
    // Nothing is expected from a client.
    socket.resume();
    socket.on('error', () => socket.destroy());
    socket.on('close', () => this.#clients.delete(client));
  }
}

/** Replaces the socket of an agent that has gone: the supervisor runs one agent at a time. */
export async function openRelay(path: string, trouble: (says: string) => void): Promise<OpenedRelay> {
  const server = createServer();
  try {
    rmSync(path, { force: true });
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject);
      server.listen(path, () => {
        server.off('error', reject);
        resolve();
      });
    });
    chmodSync(path, 0o600);
  } catch (error) {
    server.close();
    return { kind: 'failed', says: `can't listen on ${path}: ${errorText(error)}` };
  }
  return { kind: 'open', relay: new HeardRelay(server, trouble) };
}
