/**
 * The LMDB environment of a catalog: its tables, its transactions, and the few numbers that go with them.
 *
 * | table     | key                  | value                                                        |
 * |-----------|----------------------|--------------------------------------------------------------|
 * | entries   | folder id, name      | row.ts                                                       |
 * | ids       | id                   | folder id, name                                              |
 * | sequences | sequence, id         | 1 live entry, 2 tombstone                                    |
 * | inodes    | inode, id            | 1 live entry, 2 detached                                     |
 * | detached  | id                   | when, and the entry as it was (detached.ts)                  |
 * | places    | until, id            | a former place (placing.ts)                                  |
 * | placesOf  | id, until            | nothing                                                      |
 * | buckets   | number / 256         | buckets.ts                                                   |
 * | facts     | `state` and `meta`   | JSON                                                         |
 *
 * L1. A transaction is one write(): after a crash of the process all of it is there or nothing.
 * L2. A commit is on stable storage when write() returns (LMDB has no synchronous commit that is not): one fdatasync(2) each,
 *     none when nothing was written.
 * L3. The numbers in `state` are written in the same transaction as what they count, and read again when one is undone.
 * L4. Pages of the database that were read do not stay in this process: a million entries are 300 MiB of it.
 * L5. What the disk refuses is a CatalogError, whoever called; `lost` says when it lasts until the catalog is opened anew.
 */
import { join } from 'node:path';
import type { RootDatabase } from 'lmdb';
import * as z from 'zod';
import { Buckets } from './buckets.ts';
import { prepareFiles } from './data-file.ts';
import { type Table, openEnvironment, openTable } from './environment.ts';
import { CatalogError, catalogError, damaged } from './trouble.ts';
import { type CatalogMeta, rootId } from './types.ts';
import { releaseResident } from '../os/resident.ts';

const format = 1;
/** Between two times that pages are let go. */
const releaseMs = 1_000;
const noteBytesMax = 64 * 1024;
const stateKey = Buffer.from('state');
const metaKey = Buffer.from('meta');
/** A whole number as JSON holds it. */
const count = z.number().int().nonnegative();

const stateShape = z.object({
  format: z.literal(format),
  lastSequence: count,
  nextId: count,
  horizon: count,
  exactSince: count,
  entries: count,
  detached: count,
  places: count,
  checksum: z.string().regex(/^\d+$/),
});

const metaShape = z.object({
  epoch: z.string().regex(/^\d+$/),
  history: z.array(z.object({ epoch: z.string().regex(/^\d+$/), sequence: count })),
  complete: z.boolean(),
  consistent: z.boolean(),
  notes: z.record(z.string(), z.string()),
});

export interface State {
  lastSequence: number;
  nextId: number;
  horizon: number;
  exactSince: number;
  entries: number;
  detached: number;
  /** Rows of `places`. */
  places: number;
  checksum: bigint;
}

/** What the catalog does at the end of each transaction. */
interface TransactionEnds {
  /** Still within it. */
  committing(): void;
  /** Nothing of it happened. */
  undone(): void;
}

export class Tables {
  readonly dir: string;
  readonly entries: Table;
  readonly ids: Table;
  readonly sequences: Table;
  readonly inodes: Table;
  readonly detached: Table;
  readonly places: Table;
  readonly placesOf: Table;
  readonly buckets: Buckets;
  state: State;
  meta: CatalogMeta;
  /** Rises with each transaction, when it begins and when it ends. */
  writes = 0;
  /** L5. */
  lost = '';
  /** How long the end of the last transaction took that gave a number: it waits for the disk (L2). */
  commitMs = 0;
  readonly #root: RootDatabase<Buffer, Buffer>;
  readonly #facts: Table;
  readonly #ends: TransactionEnds;
  #writing = false;
  #releasedMs = performance.now();
  /** The state as it was written last. */
  #written = '';

  private constructor(dir: string, ends: TransactionEnds, root: RootDatabase<Buffer, Buffer>) {
    this.dir = dir;
    this.#ends = ends;
    const table = (name: string): Table => openTable(root, name);
    this.#root = root;
    this.entries = table('entries');
    this.ids = table('ids');
    this.sequences = table('sequences');
    this.inodes = table('inodes');
    this.detached = table('detached');
    this.places = table('places');
    this.placesOf = table('placesOf');
    this.#facts = table('facts');
    this.buckets = new Buckets(table('buckets'));
    this.state = this.#readState();
    this.meta = this.#readMeta();
  }

  /** The folder exists. Throws CatalogError, and what the file system says. */
  static open(dir: string, ends: TransactionEnds): Tables {
    let root: RootDatabase<Buffer, Buffer> | null = null;
    try {
      prepareFiles(dir);
      root = openEnvironment(dir);
      return new Tables(dir, ends, root);
    } catch (error) {
      void root?.close();
      const isFact = error instanceof z.ZodError || error instanceof SyntaxError;
      throw isFact ? damaged(dir, 'its facts are not those of a catalog') : catalogError(dir, error); // L5
    }
  }

  /** What was read may change before the next change of `writes`. */
  get isWriting(): boolean {
    return this.#writing;
  }

  /** L1, L3. A call within a call is part of the outer one. */
  write<T>(work: () => T): T {
    if (this.#writing) return work();
    this.#writing = true;
    this.writes += 1;
    const worked = { ms: 0, isNumbered: false };
    try {
      const answer = this.#root.transactionSync(() => {
        const done = work();
        this.#ends.committing();
        this.buckets.store();
        worked.isNumbered = this.#writeState();
        worked.ms = performance.now();
        return done;
      });
      if (worked.isNumbered) this.commitMs = performance.now() - worked.ms;
      return answer;
    } catch (error) {
      this.state = this.#readState();
      this.meta = this.#readMeta();
      this.buckets.load();
      this.#ends.undone();
      throw this.#told(error);
    } finally {
      this.writes += 1;
      this.#writing = false;
      this.#release();
    }
  }

  setMeta(meta: CatalogMeta): void {
    for (const [name, text] of Object.entries(meta.notes)) {
      if (Buffer.byteLength(text) > noteBytesMax)
        throw new Error(`the note ${name} is too long for a catalog`);
    }
    this.write(() => {
      this.#facts.putSync(metaKey, Buffer.from(metaText(meta)));
      this.meta = meta;
    });
  }

  /** L2: whatever a future LMDB does. */
  async flush(): Promise<void> {
    await new Promise<void>((resolve, reject) => {
      synced(this.#root, (error) => {
        if (error === null || error === undefined) resolve();
        else reject(notDurable(this.#told(error)));
      });
    });
  }

  clear(): void {
    this.write(() => {
      const { entries, ids, sequences, inodes, detached, places, placesOf } = this;
      for (const table of [entries, ids, sequences, inodes, detached, places, placesOf]) table.clearSync();
      this.buckets.clear();
    });
  }

  async close(): Promise<void> {
    await this.#root.close();
  }

  /** L5. */
  #told(error: unknown): unknown {
    const told = catalogError(this.dir, error);
    if (told instanceof CatalogError && told.lasts) this.lost = told.message;
    return told;
  }

  /** L4. */
  #release(): void {
    const now = performance.now();
    if (now - this.#releasedMs < releaseMs) return;
    this.#releasedMs = now;
    releaseResident(join(this.dir, 'data.mdb'));
  }

  /** False: it is as it was. */
  #writeState(): boolean {
    const text = stateText(this.state);
    if (text === this.#written) return false;
    this.#facts.putSync(stateKey, Buffer.from(text));
    this.#written = text;
    return true;
  }

  #readState(): State {
    const bytes = this.#facts.getBinary(stateKey);
    this.#written = '';
    if (bytes === undefined) return newState();
    const state = stateShape.parse(JSON.parse(bytes.toString()));
    return { ...state, checksum: BigInt(state.checksum) };
  }

  #readMeta(): CatalogMeta {
    const bytes = this.#facts.getBinary(metaKey);
    if (bytes === undefined) return { epoch: 0n, history: [], complete: false, consistent: false, notes: {} };
    const { epoch, history, ...others } = metaShape.parse(JSON.parse(bytes.toString()));
    return {
      ...others,
      epoch: BigInt(epoch),
      history: history.map((row) => ({ epoch: BigInt(row.epoch), sequence: row.sequence })),
    };
  }
}

export function newState(): State {
  return {
    lastSequence: 0,
    nextId: rootId + 1,
    horizon: 0,
    exactSince: 0,
    entries: 0,
    detached: 0,
    places: 0,
    checksum: 0n,
  };
}

function stateText(state: State): string {
  return JSON.stringify({ ...state, format, checksum: state.checksum.toString() });
}

function metaText(meta: CatalogMeta): string {
  return JSON.stringify({
    ...meta,
    epoch: meta.epoch.toString(),
    history: meta.history.map((row) => ({ epoch: row.epoch.toString(), sequence: row.sequence })),
  });
}

/** lmdb has sync() but no type for it. */
function synced(root: RootDatabase<Buffer, Buffer>, done: (error: unknown) => void): void {
  const sync: unknown = Reflect.get(root, 'sync');
  if (typeof sync !== 'function') throw new Error('this lmdb has no sync()');
  Reflect.apply(sync, root, [done]);
}

function notDurable(error: unknown): Error {
  if (error instanceof CatalogError) return error;
  return new Error(`the catalog could not be made durable: ${String(error)}`, { cause: error });
}
