/**
 * What is kept aside, as a file of lines: a line for each entry that was kept, and one for each that a person let go.
 * It is read once at the start, and written anew by tidy() when most of it is about what is gone.
 *
 * K1. A line is written and synced only after the contents that it names are durable, and before anything is
 *     overwritten for its sake.
 * K2. A line that a crash left half written is the last one, and names what was not overwritten yet; it does not count.
 */

import {
  closeSync,
  existsSync,
  fdatasyncSync,
  fstatSync,
  fsyncSync,
  ftruncateSync,
  openSync,
  readFileSync,
  renameSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';
import * as z from 'zod';
import type { Attributes } from '../../transport/types.ts';
import type { Kept } from '../target/types.ts';

export interface KeptRow extends Kept {
  /** Of the file with its contents, in the folder of the store. */
  readonly number: number;
  /** Null of a deletion. */
  readonly attributes: Attributes | null;
}

const base64 = z.base64().transform((text) => Buffer.from(text, 'base64'));
const attributesShape = z.object({
  kind: z.enum(['file', 'folder', 'link', 'fifo', 'block', 'char']),
  mode: z.int().min(0).max(0o7777),
  uid: z.int().min(0),
  gid: z.int().min(0),
  size: z.int().min(0),
  mtimeS: z.int(),
  mtimeNs: z.int().min(0).max(999_999_999),
  link: base64,
  deviceMajor: z.int().min(0),
  deviceMinor: z.int().min(0),
  extended: z.array(z.tuple([base64, base64])),
});
const keptLine = z.object({
  number: z.int().min(1),
  path: base64,
  size: z.int().min(0),
  modifiedMs: z.number(),
  change: z.enum(['written', 'created', 'deleted']),
  from: z.string(),
  epoch: z.string().regex(/^\d+$/).transform(BigInt),
  kept: z.boolean(),
  attributes: attributesShape.nullable(),
});
const lineShape = z.union([keptLine, z.object({ discarded: z.int().min(1) })]);

export class KeptIndex {
  readonly #file: string;
  readonly #folder: string;
  readonly #rows = new Map<number, KeptRow>();
  /** By path (latin1), oldest first. */
  readonly #byPath = new Map<string, KeptRow[]>();
  #lines = 0;
  #nextNumber = 1;

  /** Throws what the file system says. */
  constructor(folder: string) {
    this.#folder = folder;
    this.#file = join(folder, 'index');
    this.#read();
  }

  /** Only by whom nobody else writes it. Throws what the file system says. */
  tidy(): void {
    if (this.#lines > 1_000 && this.#lines > this.#rows.size * 4) this.#rewrite();
  }

  /** Oldest first. */
  rows(): readonly KeptRow[] {
    return [...this.#rows.values()];
  }

  get size(): number {
    return this.#rows.size;
  }

  /** Of this very path, oldest first. */
  of(path: Buffer): readonly KeptRow[] {
    return this.#byPath.get(path.toString('latin1')) ?? [];
  }

  nextNumber(): number {
    this.#nextNumber += 1;
    return this.#nextNumber - 1;
  }

  /** K1. Throws what the file system says; nothing counts as added then. */
  add(rows: readonly KeptRow[]): void {
    this.#append(rows.map((row) => JSON.stringify(toLine(row))));
    for (const row of rows) this.#know(row);
  }

  discard(numbers: readonly number[]): void {
    this.#append(numbers.map((number) => JSON.stringify({ discarded: number })));
    for (const number of numbers) this.#forget(number);
  }

  #know(row: KeptRow): void {
    this.#rows.set(row.number, row);
    const key = row.path.toString('latin1');
    const others = this.#byPath.get(key);
    if (others === undefined) this.#byPath.set(key, [row]);
    else others.push(row);
  }

  #forget(number: number): void {
    const row = this.#rows.get(number);
    if (row === undefined) return;
    this.#rows.delete(number);
    const key = row.path.toString('latin1');
    const others = this.of(row.path).filter((one) => one.number !== number);
    if (others.length === 0) this.#byPath.delete(key);
    else this.#byPath.set(key, others);
  }

  #append(lines: readonly string[]): void {
    const fd = openSync(this.#file, 'a', 0o600);
    const before = fstatSync(fd).size;
    try {
      // A line that a full disk cut short is ended first, so that it can't spoil the next one (K2).
      const bytes = Buffer.from(`\n${lines.join('\n')}\n`);
      // A disk that fills takes a part, and refuses only the next one.
      for (let done = 0; done < bytes.length;) done += writeSync(fd, bytes, done);
      fdatasyncSync(fd);
    } catch (error) {
      // Their contents go: of several lines none may stay.
      ftruncateSync(fd, before);
      throw error;
    } finally {
      closeSync(fd);
    }
    this.#lines += lines.length;
  }

  #read(): void {
    if (!existsSync(this.#file)) return;
    for (const text of readFileSync(this.#file, 'utf8').split('\n')) {
      const line = parseLine(text);
      if (line === null) continue;
      this.#lines += 1;
      if ('discarded' in line) {
        this.#forget(line.discarded);
      } else {
        this.#know(line);
        this.#nextNumber = Math.max(this.#nextNumber, line.number + 1);
      }
    }
  }

  #rewrite(): void {
    const next = `${this.#file}.next`;
    const lines = this.rows().map((row) => `${JSON.stringify(toLine(row))}\n`);
    writeFileSync(next, lines.join(''), { mode: 0o600, flush: true });
    renameSync(next, this.#file);
    const fd = openSync(this.#folder, 'r');
    fsyncSync(fd);
    closeSync(fd);
    this.#lines = lines.length;
  }
}

function parseLine(text: string): z.output<typeof lineShape> | null {
  if (text === '') return null;
  try {
    const parsed = lineShape.safeParse(JSON.parse(text));
    return parsed.success ? parsed.data : null;
  } catch (error) {
    if (error instanceof SyntaxError) return null;
    throw error;
  }
}

function toLine(row: KeptRow): z.input<typeof keptLine> {
  const { number, path, size, modifiedMs, change, from, epoch, kept, attributes } = row;
  return {
    number,
    path: path.toString('base64'),
    size,
    modifiedMs,
    change,
    from,
    epoch: epoch.toString(),
    kept,
    attributes:
      attributes === null
        ? null
        : {
            ...attributes,
            link: attributes.link.toString('base64'),
            extended: attributes.extended.map(([name, value]) => [
              name.toString('base64'),
              value.toString('base64'),
            ]),
          },
  };
}
