/**
 * The catalog of one copy: what types.ts promises, put together from its parts. Everything is synchronous but flush() and
 * close(), because reads and writes of the database take microseconds.
 */
import { mkdirSync } from 'node:fs';
import { bucketNumbers } from './buckets.ts';
import { checksumText, plus } from './checksum.ts';
import { EntryTable } from './entry-table.ts';
import { rangeKey } from './keys.ts';
import { Observing, changedMs } from './observing.ts';
import { Placing } from './placing.ts';
import { Recording } from './recording.ts';
import { type Row, decodeRow, entryOf, rowIsAsOnDisk } from './row.ts';
import { Tables, newState } from './tables.ts';
import {
  type Backlog,
  type Catalog,
  type CatalogMeta,
  type CatalogOptions,
  type Change,
  type Entry,
  type EntryAttributes,
  type Observed,
  racyMs,
} from './types.ts';
import type { Stat } from '../os/types.ts';

const tombstonesMaxDefault = 1_000_000;
/** Above it countSince() estimates. */
const countedMax = 512;
const childrenDefault = 1_000;

/** `dir` is made when missing. Throws CatalogError (it is damaged, or of an unknown format), and what the file system says. */
export function openCatalog(dir: string, options: CatalogOptions = {}): Catalog {
  mkdirSync(dir, { recursive: true, mode: 0o700 });
  return new LmdbCatalog(dir, options);
}

class LmdbCatalog implements Catalog {
  readonly dir: string;
  readonly #tables: Tables;
  readonly #entries: EntryTable;
  readonly #placing: Placing;
  readonly #observing: Observing;
  readonly #recording: Recording;
  readonly #tombstonesMax: number;
  /** What countSince() answered last: it is asked for each beat and each report. */
  #counted: { readonly sequence: number; readonly writes: number; readonly backlog: Backlog } | null = null;
  #observations = 0;

  constructor(dir: string, options: CatalogOptions) {
    this.dir = dir;
    this.#tables = Tables.open(dir, {
      committing: () => {
        if (this.#tables.state.places > this.#tombstonesMax) this.#placing.collectOldest();
      },
      undone: () => {
        this.#entries.forget();
      },
    });
    this.#entries = new EntryTable(this.#tables);
    this.#placing = new Placing(this.#tables, this.#entries);
    this.#observing = new Observing(this.#tables, this.#entries, this.#placing);
    this.#recording = new Recording(this.#tables, this.#entries, this.#placing);
    this.#tombstonesMax = options.tombstonesMax ?? tombstonesMaxDefault;
  }

  get lastSequence(): number {
    return this.#tables.state.lastSequence;
  }

  get horizon(): number {
    return this.#tables.state.horizon;
  }

  get exactSince(): number {
    return this.#tables.state.exactSince;
  }

  get commitMs(): number {
    return this.#tables.commitMs;
  }

  get entries(): number {
    return this.#tables.state.entries;
  }

  get detached(): number {
    return this.#tables.state.detached;
  }

  get checksum(): string {
    return checksumText(this.#tables.state.checksum);
  }

  get lost(): string {
    return this.#tables.lost;
  }

  get meta(): CatalogMeta {
    return this.#tables.meta;
  }

  setMeta(meta: Partial<CatalogMeta>): void {
    this.#tables.setMeta({ ...this.#tables.meta, ...meta });
  }

  write<T>(work: () => T): T {
    return this.#tables.write(work);
  }

  async flush(): Promise<void> {
    await this.#tables.flush();
  }

  async close(): Promise<void> {
    await this.#tables.close();
  }

  byPath(path: Buffer): Entry | null {
    const place = this.#entries.placeAt(path);
    return place === null ? null : this.child(place.parent, place.name);
  }

  byId(id: number): Entry | null {
    return entryOrNull(this.#entries.rowById(id));
  }

  child(parent: number, name: Buffer): Entry | null {
    return entryOrNull(this.#entries.rowAt(parent, name));
  }

  children(parent: number, after: Buffer | null = null, limit = childrenDefault): Entry[] {
    return this.#entries.rowsIn(parent, after, limit).map(entryOf);
  }

  countIn(parent: number): number {
    return this.#entries.countIn(parent);
  }

  linked(inode: number): Entry[] {
    const { live } = this.#entries.idsOfInode(inode);
    return live.map((id) => this.byId(id)).filter((entry) => entry !== null);
  }

  *otherFileSystems(): Generator<readonly Entry[]> {
    for (const rows of this.#entries.foreignFolders()) yield rows.map(entryOf);
  }

  pathOf(id: number): Buffer | null {
    return this.#entries.pathOf(id);
  }

  pathAt(id: number, sequence: number): Buffer | null {
    return this.#placing.pathAt(id, sequence);
  }

  changesSince(sequence: number, limit: number, afterId = Infinity): Change[] {
    const changes: Change[] = [];
    const start = rangeKey(sequence, afterId);
    for (const { key, value } of this.#tables.sequences.getRange({ start, exclusiveStart: true, limit })) {
      changes.push(this.#change(key.readDoubleBE(0), key.readDoubleBE(8), value[0] === 1));
    }
    return changes;
  }

  countSince(sequence: number): Backlog {
    const { writes } = this.#tables;
    const known = this.#counted;
    if (known?.sequence === sequence && known.writes === writes) return known.backlog;
    const backlog = this.#countSince(sequence);
    this.#counted = { sequence, writes, backlog };
    return backlog;
  }

  get observations(): number {
    return this.#observations;
  }

  observe(path: Buffer, stat: Stat | null, lookedAtMs: number): Observed {
    this.#observations += 1;
    return this.#observing.observe(path, stat, lookedAtMs);
  }

  observeChild(parent: number, name: Buffer, stat: Stat | null, lookedAtMs: number): Observed {
    this.#observations += 1;
    if (!this.#entries.isLive(parent)) return { kind: 'no-parent' };
    return this.#observing.at(parent, name, stat, lookedAtMs);
  }

  isKnown(parent: number, name: Buffer, stat: Stat): boolean {
    return this.#observing.isKnown(parent, name, stat);
  }

  confirmContents(id: number, digest: Buffer | null, readAtMs: number, changed?: boolean): Entry | null {
    return this.write(() => {
      const before = this.#entries.rowById(id);
      if (before === null) return null;
      const row: Row = { ...before, digest, suspect: false };
      if (before.suspect && (changed ?? !sameDigest(before.digest, digest))) row.contents = row.sequence;
      if (readAtMs - changedMs(row) >= racyMs) row.racy = false;
      this.#entries.replace(before, row);
      return entryOf(row);
    });
  }

  renumber(id: number): void {
    this.write(() => {
      const before = this.#entries.rowById(id);
      if (before === null) return;
      const sequence = this.#tables.state.lastSequence + 1;
      this.#tables.state.lastSequence = sequence;
      // What is known of its contents is of a version that was sent.
      this.#entries.replace(before, {
        ...before,
        sequence,
        contents: sequence,
        suspect: false,
        digest: null,
      });
    });
  }

  forgetContents(id: number): void {
    this.write(() => {
      const before = this.#entries.rowById(id);
      if (before === null || before.digest === null) return;
      this.#entries.replace(before, { ...before, contents: before.sequence, suspect: false, digest: null });
    });
  }

  sweep(untilMs: number, linked: (inode: number) => void = () => undefined): boolean {
    while (this.detached > 0) {
      if (performance.now() >= untilMs) return false;
      this.write(() => {
        this.#placing.sweepSome(linked);
      });
    }
    return true;
  }

  recordPut(
    path: Buffer,
    attributes: EntryAttributes,
    local: Stat,
    sequence: number,
    contents: boolean,
  ): number {
    return this.write(() => this.#recording.put(path, attributes, local, sequence, contents));
  }

  recordTaken(path: Buffer, sequence: number): number | null {
    return this.write(() => this.#recording.taken(path, sequence));
  }

  recordPlaced(id: number, path: Buffer, sequence: number): void {
    this.write(() => {
      this.#recording.placed(id, path, sequence);
    });
  }

  recordRemoved(path: Buffer, sequence: number): boolean {
    return this.write(() => this.#recording.taken(path, sequence)) !== null;
  }

  recordLocal(id: number, local: Stat): void {
    this.write(() => {
      this.#recording.local(id, local);
    });
  }

  recordSequence(sequence: number): void {
    this.write(() => {
      this.#recording.sequence(sequence);
    });
  }

  differs(entry: Entry, local: Stat): boolean {
    const bytes = this.#entries.bytesAt(entry.parent, entry.name);
    return bytes === null || !rowIsAsOnDisk(bytes, local, true);
  }

  collect(belowSequence: number, untilMs = Infinity): boolean {
    for (;;) {
      if (this.write(() => this.#placing.collectSome(belowSequence))) return true;
      if (performance.now() >= untilMs) return false;
    }
  }

  reset(sequence: number): void {
    this.write(() => {
      this.#tables.clear();
      // Ids are never used again.
      const { nextId } = this.#tables.state;
      const numbers = { lastSequence: sequence, horizon: sequence, exactSince: sequence };
      this.#tables.state = { ...newState(), ...numbers, nextId };
    });
    this.#entries.forget();
  }

  recomputeChecksum(): string {
    let checksum = 0n;
    for (const { key, value } of this.#tables.entries.getRange()) {
      const name = Buffer.from(key.subarray(8));
      checksum = plus(checksum, name, decodeRow(value, key.readDoubleBE(0), name));
    }
    return checksumText(checksum);
  }

  #countSince(sequence: number): Backlog {
    if (sequence >= this.lastSequence) return { entries: 0, bytes: 0 };
    const next = (Math.floor(sequence / bucketNumbers) + 1) * bucketNumbers;
    const above = this.#tables.buckets.from(next);
    const counted = above.entries < countedMax ? countedMax : bucketNumbers + 1;
    const changes = this.changesSince(sequence, counted);
    if (changes.length < counted) return { entries: changes.length, bytes: bytesSince(changes, sequence) };
    // The bucket that `sequence` is in counts as far as it is above, unless that is too much to count.
    const within = changes.filter((change) => change.sequence < next);
    if (within.length === counted) return this.#tables.buckets.from(next - bucketNumbers);
    return { entries: above.entries + within.length, bytes: above.bytes + bytesSince(within, sequence) };
  }

  #change(sequence: number, id: number, live: boolean): Change {
    if (!live) return { kind: 'gone', sequence, id, tombstone: this.#placing.tombstone(sequence, id) };
    const entry = this.byId(id);
    if (entry === null)
      throw new Error(`the catalog is damaged: entry ${String(id)} has a number and no place`);
    return { kind: 'entry', sequence, id, entry };
  }
}

/** What has to be sent, or compared, so that a copy at `sequence` has the contents of this file. */
export function contentsDiffer(entry: Entry, sequence: number): boolean {
  return (entry.suspect ? entry.sequence : entry.contents) > sequence;
}

function bytesSince(changes: readonly Change[], sequence: number): number {
  let bytes = 0;
  for (const change of changes) {
    if (change.kind !== 'entry' || change.entry.attributes.kind !== 'file') continue;
    if (contentsDiffer(change.entry, sequence)) bytes += change.entry.attributes.size;
  }
  return bytes;
}

function sameDigest(a: Buffer | null, b: Buffer | null): boolean {
  return a !== null && b !== null && a.equals(b);
}

function entryOrNull(row: Row | null): Entry | null {
  return row === null ? null : entryOf(row);
}
