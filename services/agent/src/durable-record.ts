/**
 * One small record on disk, in the folder `state` of the member's directory: replaced whole, atomically and durably.
 *
 *   W1  one write at a time; changes during a write are written together by the next
 *   W2  `done` is said only after a write that has the change is on the disk
 *   W3  a write that failed is tried again, because what is in memory holds all the same
 *   W4  what may be written later is written with what comes before that, and by `close` at the latest
 */

import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Ended } from '@holdfast/core';
import { errorCode, errorText, writeDurably } from '@holdfast/wire/directory';
import type * as z from 'zod';

const retryMs = 5_000;

export type ReadRecord<T> =
  | { readonly kind: 'ok'; readonly value: T }
  | { readonly kind: 'absent' }
  | { readonly kind: 'garbage'; readonly says: string };

/** Reads a record of the folder `state`. */
export async function readRecord<T>(path: string, schema: z.ZodType<T>): Promise<ReadRecord<T>> {
  let text: string;
  try {
    text = await readFile(path, 'utf8');
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return { kind: 'absent' };
    return { kind: 'garbage', says: `${path} can't be read: ${errorText(error)}` };
  }
  let raw: unknown;
  try {
    raw = JSON.parse(text);
  } catch {
    return { kind: 'garbage', says: `${path} is not JSON` };
  }
  const parsed = schema.safeParse(raw);
  if (parsed.success) return { kind: 'ok', value: parsed.data };
  return { kind: 'garbage', says: `${path}: ${parsed.error.issues[0]?.message ?? 'is malformed'}` };
}

export const statePath = (directory: string, name: string): string =>
  join(directory, 'state', `${name}.json`);

type Write = (path: string, text: string) => Promise<void>;

export class DurableRecord {
  readonly path: string;
  readonly #write: Write;
  #text: string | null = null;
  #waiting: ((ended: Ended) => void)[] = [];
  #writing = false;
  #flushing: Promise<void> = Promise.resolve();
  #closed = false;
  #retry: NodeJS.Timeout | null = null;
  #later: NodeJS.Timeout | null = null;

  constructor(path: string, write: Write = writeDurably) {
    this.path = path;
    this.#write = write;
  }

  /** Never rejects. Epochs have to be strings already. `withinMs`: so long it may wait for others (W4). */
  set(value: unknown, withinMs = 0): Promise<Ended> {
    this.#text = `${JSON.stringify(value)}\n`;
    return new Promise((resolve) => {
      this.#waiting.push(resolve);
      if (withinMs <= 0 || this.#closed) this.#flush();
      else this.#later ??= setTimeout(() => this.#flush(), withinMs);
    });
  }

  /** Resolves when everything was written, or could not be. */
  async close(): Promise<void> {
    if (this.#retry !== null) clearTimeout(this.#retry);
    this.#closed = true;
    if (this.#later !== null) this.#flush();
    await this.#flushing;
  }

  #flush(): void {
    if (this.#later !== null) clearTimeout(this.#later);
    this.#later = null;
    if (this.#writing) return; // W1
    this.#writing = true;
    this.#flushing = this.#writeAll();
  }

  async #writeAll(): Promise<void> {
    while (this.#text !== null) {
      const text: string = this.#text;
      const waiting = this.#waiting;
      this.#text = null;
      this.#waiting = [];
      const ended = await this.#attempt(text);
      if (ended.kind === 'failed') {
        this.#text ??= text;
        this.#again();
      }
      for (const resolve of waiting) resolve(ended);
      if (ended.kind === 'failed' && this.#waiting.length === 0) break;
    }
    // In the same turn as the last look at `#text`: what is set from now on begins a write of its own.
    this.#writing = false;
  }

  async #attempt(text: string): Promise<Ended> {
    try {
      await this.#write(this.path, text);
      return { kind: 'done' };
    } catch (error) {
      return { kind: 'failed', says: `${this.path} can't be written: ${errorText(error)}` };
    }
  }

  /** W3. */
  #again(): void {
    if (this.#closed) return;
    this.#retry ??= setTimeout(() => {
      this.#retry = null;
      this.#flush();
    }, retryMs).unref();
  }
}
