/**
 * The export of a source's volume on a Unix socket, in a thread of its own that does nothing else: one loop that waits in
 * poll(2), and calls the system for everything. What is asked is answered in the same turn, but for what waits for the source.
 * The rules of the export are those of nbd/server.ts: X1 to X3. The socket's name is taken away by whoever orders it to close.
 *
 *   P1  it waits at most `lookMs`: a grant that is over is noticed though nobody asks anything
 *   P2  a turn reads from each client once, so that none keeps the others waiting
 *   P3  a client for whom there is no descriptor waits, and those that are there are served; it is tried again every `lookMs`
 */

import { chmodSync, closeSync, readSync, renameSync, rmSync } from 'node:fs';
import { acceptUnix, listenUnix, PollSet, POLLERR, POLLHUP, POLLIN, POLLOUT } from '../../os/unix-socket.ts';
import { handshakeMs, NbdSession } from '../nbd/session.ts';
import { clientsMax, lastWordsMs } from '../nbd/server-limits.ts';
import { Slabs } from '../nbd/slabs.ts';
import { DirectSocket } from './direct-socket.ts';
import type { ExportedVolume } from './exported-volume.ts';
import { orders, word, type SharedMemory } from './shared-memory.ts';

export interface DirectServerOptions {
  readonly socketPath: string;
  readonly name: string;
  readonly volume: ExportedVolume;
  readonly shared: SharedMemory;
  /** Becomes readable when the source woke us; eventfd(2). */
  readonly wakeFd: number;
  readonly says: (sentence: string) => void;
}

interface Client {
  readonly socket: DirectSocket;
  readonly session: NbdSession;
}

const lookMs = 100;

export class DirectServer {
  readonly #options: DirectServerOptions;
  readonly #slabs = new Slabs();
  readonly #set = new PollSet(clientsMax + 2);
  readonly #woken = Buffer.alloc(8);
  #listening: number | null;
  #clients: Client[] = [];
  /** P3. -Infinity: there was one for the last. */
  #fullUntilMs = -Infinity;
  /** When the last words are over; null: it is not closing. */
  #endMs: number | null = null;

  private constructor(options: DirectServerOptions, listening: number) {
    this.#options = options;
    this.#listening = listening;
  }

  /** Throws what the system says. */
  static listen(options: DirectServerOptions): DirectServer {
    const { socketPath } = options;
    const own = `${socketPath}.new`;
    rmSync(own, { force: true });
    const listening = listenUnix(own);
    chmodSync(own, 0o600);
    renameSync(own, socketPath); // X1 (nbd/server.ts)
    return new DirectServer(options, listening);
  }

  /** Until it is closed or hung up. */
  serve(): void {
    while (!this.#over()) {
      this.#turn();
      this.#sweep();
    }
    for (const { session } of this.#clients) session.destroy();
    this.#sweep();
    this.#stopListening();
  }

  #over(): boolean {
    switch (this.#options.shared.load(word.orders)) {
      case orders.hangUp:
        return true;
      case orders.close:
        if (this.#endMs === null) {
          this.#endMs = performance.now() + lastWordsMs;
          this.#stopListening();
          for (const { session } of this.#clients) session.shutDown();
          this.#sweep();
        }
        return this.#clients.length === 0 || performance.now() > this.#endMs; // X3 (nbd/server.ts)
      default:
        return false;
    }
  }

  #turn(): void {
    const { volume, wakeFd } = this.#options;
    const set = this.#set;
    set.clear();
    set.add(wakeFd, POLLIN);
    const clients = this.#clients.length;
    for (const { socket } of this.#clients) set.add(socket.fd, socket.events);
    const listening = performance.now() < this.#fullUntilMs ? null : this.#listening;
    if (listening !== null) set.add(listening, POLLIN);
    set.poll(volume.sleeps() ? lookMs : 0); // P1
    volume.awake();
    if (set.came(0) !== 0) readSync(wakeFd, this.#woken);
    volume.look();
    this.#clients.forEach((client, index) => this.#attend(client, set.came(index + 1)));
    if (listening !== null && set.came(clients + 1) !== 0) this.#accept(listening);
  }

  /** P2. */
  #attend({ socket, session }: Client, came: number): void {
    if (came === 0 || socket.destroyed) return;
    if ((came & POLLOUT) !== 0) {
      socket.flush();
      if (socket.writableLength === 0) session.drained();
    }
    if ((came & POLLIN) !== 0) {
      const bytes = socket.read(session.room());
      if (bytes > 0) session.came(bytes);
    } else if ((came & (POLLERR | POLLHUP)) !== 0) socket.destroy();
  }

  #accept(listening: number): void {
    const fd = acceptUnix(listening);
    if (fd === null) return;
    if (fd === 'scarce') {
      const { name, says } = this.#options;
      if (this.#fullUntilMs === -Infinity)
        says(`no descriptor is left for another client of ${name}: it waits`);
      this.#fullUntilMs = performance.now() + lookMs; // P3
      return;
    }
    this.#fullUntilMs = -Infinity;
    if (this.#clients.length >= clientsMax) {
      closeSync(fd); // X2 (nbd/server.ts)
      return;
    }
    const { volume, name, says } = this.#options;
    const socket = new DirectSocket(fd);
    const session = new NbdSession(socket, {
      volume,
      slabs: this.#slabs,
      exported: { name, sizeBytes: volume.sizeBytes, readOnly: false },
      ended: (why) => {
        if (why !== '') says(`a client of ${name} is gone: ${why}`);
      },
    });
    this.#clients.push({ socket, session });
  }

  #sweep(): void {
    let gone = false;
    for (const { socket, session } of this.#clients) {
      if (!session.isReady && performance.now() - socket.beganMs > handshakeMs) session.late();
      if (!socket.destroyed) continue;
      gone = true;
      session.failed(socket.says);
      session.closed();
    }
    if (gone) this.#clients = this.#clients.filter(({ socket }) => !socket.destroyed);
  }

  #stopListening(): void {
    if (this.#listening !== null) closeSync(this.#listening);
    this.#listening = null;
  }
}
