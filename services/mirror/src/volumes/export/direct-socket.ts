/**
 * A client's socket in a thread without an event loop. What can't leave at once is kept; the session bounds it (nbd/session.ts, N2).
 *
 *   D1  a socket that is destroyed is closed at once; its session is told later, by whoever polls
 */

import { closeSync } from 'node:fs';
import { receive, transmit, POLLIN, POLLOUT } from '../../os/unix-socket.ts';
import type { ClientSocket } from '../nbd/session.ts';

/** Answers up to this size leave in one call. */
const gatherBytes = 65_536;

export class DirectSocket implements ClientSocket {
  readonly fd: number;
  readonly beganMs = performance.now();
  readonly #gathered = Buffer.allocUnsafeSlow(gatherBytes);
  #kept: Buffer[] = [];
  #keptBytes = 0;
  #corked = false;
  #paused = false;
  #ending = false;
  #destroyed = false;
  /** Why, when it was not us who ended it. */
  says = '';

  constructor(fd: number) {
    this.fd = fd;
  }

  get destroyed(): boolean {
    return this.#destroyed;
  }

  get writableLength(): number {
    return this.#keptBytes;
  }

  /** What poll(2) is to wait for. */
  get events(): number {
    return (this.#paused ? 0 : POLLIN) | (this.#keptBytes > 0 ? POLLOUT : 0);
  }

  write(bytes: Buffer): void {
    if (this.#destroyed) return;
    this.#kept.push(bytes);
    this.#keptBytes += bytes.length;
    if (!this.#corked) this.flush();
  }

  cork(): void {
    this.#corked = true;
  }

  uncork(): void {
    this.#corked = false;
    this.flush();
  }

  pause(): void {
    this.#paused = true;
  }

  resume(): void {
    this.#paused = false;
  }

  isPaused(): boolean {
    return this.#paused;
  }

  /** So many came; 0: nothing did. */
  read(into: Buffer): number {
    const came = receive(this.fd, into);
    if (came === 'later') return 0;
    if (typeof came === 'number' && came > 0) return came;
    this.#end(came === 0 ? '' : String(came));
    return 0;
  }

  /** What is kept leaves, as far as the other side takes it. */
  flush(): void {
    while (this.#keptBytes > 0 && !this.#destroyed) {
      const next = this.#next();
      const left = transmit(this.fd, next);
      if (left === 'later') return;
      if (typeof left !== 'number') this.#end(left);
      else this.#sent(left);
    }
    if (this.#ending) this.destroy();
  }

  destroySoon(): void {
    this.#ending = true;
    this.flush();
  }

  destroy(): void {
    if (this.#destroyed) return;
    this.#destroyed = true;
    this.#kept = [];
    this.#keptBytes = 0;
    closeSync(this.fd);
  }

  #end(says: string): void {
    this.says = says;
    this.destroy();
  }

  /** Small ones together. */
  #next(): Buffer {
    const [first] = this.#kept;
    if (first === undefined) throw new Error('bytes are kept that nobody wrote');
    if (this.#kept.length === 1 || first.length >= gatherBytes) return first;
    let bytes = 0;
    for (const one of this.#kept) {
      if (bytes + one.length > gatherBytes) break;
      one.copy(this.#gathered, bytes);
      bytes += one.length;
    }
    return this.#gathered.subarray(0, bytes);
  }

  #sent(bytes: number): void {
    this.#keptBytes -= bytes;
    let left = bytes;
    let whole = 0;
    for (const one of this.#kept) {
      if (one.length > left) break;
      left -= one.length;
      whole += 1;
    }
    this.#kept.splice(0, whole);
    const [cut] = this.#kept;
    if (left > 0 && cut !== undefined) this.#kept[0] = cut.subarray(left);
  }
}
