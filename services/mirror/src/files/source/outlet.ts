/**
 * The way of frames to one target.
 *
 * U1. Nothing is sent after the grant ended, nor after the connection did, nor while somebody paused it.
 * U2. A batch may be held back until it is known that what was read of it held still, up to a limit; beyond it, everything
 *     that was held goes out and the rest follows at once.
 * U3. A line is full from a wait for it until `emptyMs` after everything that was queued then had left: between two batches it
 *     may well be empty for a moment.
 * U4. A batch that would be more than its target takes is given up: everything is compared instead, in smaller ones.
 */

import type { Connection, FileOperation, Frame } from '../../transport/types.ts';
import { batchLimits, namedBytes } from '../batch-limits.ts';
import { PlanTooLarge } from './plan.ts';

/** Of operations in one frame. */
const operationsBytes = 256 << 10;
const operationsMost = 4_000;
/** Of one operation, beyond its names. */
const attributesBytes = 48;
/** A line that had to be waited for only a moment is not full. */
const momentMs = 5;
/** U3. Longer than a batch is held back. */
const emptyMs = 5_000;

/** The session can't go on; `says` has the reason. */
export class SessionOver extends Error {}

export interface OutletOptions {
  readonly connection: Connection;
  /** Why nothing may be sent; null: it may. */
  readonly stopped: () => string | null;
}

export class Outlet {
  readonly connection: Connection;
  readonly #stopped: () => string | null;
  /** By performance.now(): when the line was last seen full. */
  #fullAtMs = -Infinity;
  /** What filled it has not left. */
  #filled = false;
  /** Since when somebody waits for it. */
  #waitsSinceMs: number | null = null;

  constructor({ connection, stopped }: OutletOptions) {
    this.connection = connection;
    this.#stopped = stopped;
  }

  /** U1. Throws SessionOver. */
  async send(frame: Frame): Promise<void> {
    this.check();
    this.#look();
    if (this.connection.send(frame)) return;
    const since = performance.now();
    this.#waitsSinceMs = since;
    await this.connection.writable();
    this.#waitsSinceMs = null;
    if (performance.now() - since >= momentMs) this.#filled = true;
    this.check();
  }

  /** U3. */
  get isFull(): boolean {
    this.#look();
    return performance.now() - this.#fullAtMs <= emptyMs;
  }

  #look(): void {
    const now = performance.now();
    const waits = this.#waitsSinceMs !== null && now - this.#waitsSinceMs >= momentMs;
    if (waits || this.#filled) this.#fullAtMs = now;
    if (this.#filled && this.connection.counters().queuedBytes === 0) this.#filled = false;
  }

  check(): void {
    const { ended } = this.connection;
    const stopped = this.#stopped();
    if (stopped !== null) throw new SessionOver(stopped);
    if (ended !== null) throw new SessionOver(ended.says);
  }
}

/** The frames of one batch, operations gathered into large ones. U2. */
export class BatchOutlet {
  readonly #outlet: Outlet;
  #held: Frame[] | null;
  #heldBytes = 0;
  readonly #heldBytesMax: number;
  #operations: FileOperation[] = [];
  #operationsBytes = 0;
  /** U4: of the whole batch. */
  #count = 0;
  #namedBytes = 0;

  /** `heldBytesMax` 0: everything goes out at once. */
  constructor(outlet: Outlet, heldBytesMax: number) {
    this.#outlet = outlet;
    this.#heldBytesMax = heldBytesMax;
    this.#held = heldBytesMax === 0 ? null : [];
  }

  /** Nothing of it went out. */
  get isHeld(): boolean {
    return this.#held !== null;
  }

  /** Throws SessionOver, and PlanTooLarge. */
  async add(operation: FileOperation): Promise<void> {
    this.#count += 1;
    this.#namedBytes += namedBytes(operation);
    if (this.#count > batchLimits.operations || this.#namedBytes > batchLimits.redoBytes)
      throw new PlanTooLarge('what changed has more names and attributes than one batch can hold'); // U4
    const bytes = bytesOf(operation);
    if (this.#operationsBytes + bytes > operationsBytes && this.#operations.length > 0)
      await this.#gathered();
    this.#operations.push(operation);
    this.#operationsBytes += bytes;
    if (this.#operations.length >= operationsMost) await this.#gathered();
  }

  async frame(frame: Frame, bytes: number): Promise<void> {
    await this.#gathered();
    await this.#put(frame, bytes);
  }

  /** Everything that was held goes out. */
  async release(): Promise<void> {
    await this.#gathered();
    const held = this.#held;
    if (held === null) return;
    this.#held = null;
    for (const frame of held) await this.#outlet.send(frame);
  }

  async #gathered(): Promise<void> {
    if (this.#operations.length === 0) return;
    const operations = this.#operations;
    const bytes = this.#operationsBytes;
    this.#operations = [];
    this.#operationsBytes = 0;
    await this.#put({ kind: 'operations', operations }, bytes);
  }

  async #put(frame: Frame, bytes: number): Promise<void> {
    if (this.#held === null) {
      await this.#outlet.send(frame);
      return;
    }
    this.#held.push(frame);
    this.#heldBytes += bytes;
    if (this.#heldBytes > this.#heldBytesMax) await this.release();
  }
}

/** On the line, about. */
export function bytesOf(operation: FileOperation): number {
  const named = namedBytes(operation);
  switch (operation.kind) {
    case 'move':
    case 'remove':
    case 'place':
    case 'hard-link':
      return named;
    case 'put':
    case 'patch':
    case 'set': {
      const contents = operation.kind === 'put' ? operation.contents.length : 0;
      return named + contents + attributesBytes + 8 * operation.attributes.extended.length;
    }
  }
}
