/**
 * The export of one volume on a Unix socket, in the event loop of its thread.
 *
 *   X1  the socket belongs to whoever runs us, and nobody else (mode 0600); one that a former life left is taken over
 *   X2  at most `clientsMax` clients; the next one is hung up on
 *   X3  closing answers what still comes with ESHUTDOWN for `lastWordsMs`, and then hangs up; nobody new gets in
 */

import { chmodSync, renameSync, rmSync } from 'node:fs';
import { createServer, type Server, type Socket } from 'node:net';
import { errorText } from '@holdfast/wire/directory';
import { readInto } from '../../transport/direct-reads.ts';
import type { Volume } from '../volume.ts';
import { clientsMax, lastWordsMs } from './server-limits.ts';
import { handshakeMs, NbdSession } from './session.ts';
import { Slabs } from './slabs.ts';

const lookMs = 20;

export interface NbdServerOptions {
  readonly socketPath: string;
  readonly name: string;
  readonly volume: Volume;
  readonly readOnly: boolean;
  /** One sentence about a client that did not keep to the protocol. */
  readonly says: (sentence: string) => void;
}

export class NbdServer {
  readonly #options: NbdServerOptions;
  readonly #server: Server;
  readonly #sessions = new Set<NbdSession>();
  readonly #slabs = new Slabs();
  #closing = false;

  private constructor(options: NbdServerOptions) {
    this.#options = options;
    this.#server = createServer({ noDelay: true, pauseOnConnect: true }, (socket) => this.#connected(socket));
  }

  /** Throws what the system says. */
  static async listen(options: NbdServerOptions): Promise<NbdServer> {
    const server = new NbdServer(options);
    const { socketPath } = options;
    const own = `${socketPath}.new`;
    rmSync(own, { force: true });
    await new Promise<void>((resolve, reject) => {
      server.#server.once('error', reject);
      server.#server.listen(own, () => {
        server.#server.off('error', reject);
        resolve();
      });
    });
    server.#server.on('error', (error) => options.says(`the export of ${options.name}: ${errorText(error)}`));
    // X1: it has its name only when it is ready and closed to others.
    chmodSync(own, 0o600);
    renameSync(own, socketPath);
    return server;
  }

  get clients(): number {
    return this.#sessions.size;
  }

  /** For those who connect again: nothing more is answered, and the socket stays for the next life to take over. */
  async hangUp(): Promise<void> {
    if (this.#closing) return;
    this.#closing = true;
    for (const session of this.#sessions) session.destroy();
    await new Promise<void>((resolve) => {
      this.#server.close(() => resolve());
    });
  }

  /** X3. */
  async close(): Promise<void> {
    if (this.#closing) return;
    this.#closing = true;
    rmSync(this.#options.socketPath, { force: true });
    const closed = new Promise<void>((resolve) => {
      this.#server.close(() => resolve());
    });
    for (const session of this.#sessions) session.shutDown();
    const endMs = performance.now() + lastWordsMs;
    while (this.#sessions.size > 0 && performance.now() < endMs)
      await new Promise((next) => setTimeout(next, lookMs));
    for (const session of this.#sessions) session.destroy();
    await closed;
  }

  #connected(socket: Socket): void {
    const { volume, name, readOnly, says } = this.#options;
    if (this.#closing || this.#sessions.size >= clientsMax) {
      socket.on('error', () => undefined);
      socket.destroy();
      return;
    }
    const session = new NbdSession(socket, {
      volume,
      slabs: this.#slabs,
      exported: { name, sizeBytes: volume.sizeBytes, readOnly },
      ended: (why) => {
        this.#sessions.delete(session);
        if (why !== '') says(`a client of ${name} is gone: ${why}`);
      },
    });
    this.#sessions.add(session);
    const late = setTimeout(() => session.late(), handshakeMs);
    socket.on('drain', () => session.drained());
    socket.on('error', (error) => session.failed(error.message));
    socket.once('close', () => {
      clearTimeout(late);
      session.closed();
    });
    readInto(socket, { room: () => session.room(), came: (bytes) => session.came(bytes) });
    socket.resume();
  }
}
