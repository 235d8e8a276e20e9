/**
 * Stores in memory that forget: on a power cut every write since the last sync is kept, lost or torn, each by itself, as a
 * disk with a cache does (volumes/store/store.ts, S2). Which, a seed says. After a sync that failed what it was for is
 * still read back and never reaches the disk, and the next sync succeeds: so does Linux.
 */
import type { Disk, Segment, Snapshots, Store } from '../src/volumes/store/store.ts';

const sectorBytes = 512;
type Random = (below: number) => number;

type Pending =
  | { readonly kind: 'write'; readonly offset: number; readonly bytes: Buffer }
  | { readonly kind: 'size'; readonly bytes: number };

class Platter {
  now: Buffer = Buffer.alloc(0);
  durable: Buffer = Buffer.alloc(0);
  pending: Pending[] = [];
  syncs = 0;
  /** What the next syncs come to; null: they go well. */
  failing: string | null = null;
  /** So many syncs fail with it, after so many that go well. */
  failures = Infinity;
  spared = 0;
  bytesMax = Infinity;
  /** What can't be read; null: everything can. */
  unreadable: number | null = null;
  /** Syncs end when it resolves, but for the next `unstalled`; null: at once. */
  stalled: Promise<void> | null = null;
  unstalled = 0;
}

export class PowerCutStore implements Store {
  readonly #platter: Platter;
  readonly #alive: () => boolean;
  readonly #refusal: () => string | null;

  constructor(platter: Platter, alive: () => boolean, refusal: () => string | null) {
    this.#platter = platter;
    this.#alive = alive;
    this.#refusal = refusal;
  }

  get sizeBytes(): number {
    return this.#platter.now.length;
  }

  read(into: Uint8Array, offset: number): void {
    const { now, unreadable } = this.#platter;
    if (offset + into.length > now.length) throw failure('EIO');
    if (unreadable !== null && offset <= unreadable && unreadable < offset + into.length)
      throw failure('EIO');
    into.set(now.subarray(offset, offset + into.length));
  }

  write(from: Uint8Array, offset: number): void {
    this.#apply({ kind: 'write', offset, bytes: Buffer.from(from) });
  }

  zero(offset: number, length: number): void {
    this.#apply({ kind: 'write', offset, bytes: Buffer.alloc(length) });
  }

  async sync(): Promise<void> {
    const platter = this.#platter;
    platter.syncs += 1;
    const covered = new Set(platter.pending);
    // Other things happen meanwhile.
    await new Promise((next) => setImmediate(next));
    if (platter.stalled !== null && platter.unstalled > 0) platter.unstalled -= 1;
    else if (platter.stalled !== null) await platter.stalled;
    if (!this.#alive()) await new Promise(() => undefined);
    const failing = platter.failing;
    if (failing !== null && platter.spared > 0) platter.spared -= 1;
    else if (failing !== null) {
      platter.failures -= 1;
      if (platter.failures === 0) platter.failing = null;
      platter.pending = platter.pending.filter((one) => !covered.has(one));
      throw failure(failing);
    }
    for (const one of platter.pending) if (covered.has(one)) platter.durable = applied(platter.durable, one);
    platter.pending = platter.pending.filter((one) => !covered.has(one));
  }

  segments(offset: number, length: number): readonly Segment[] {
    return [{ offset, length }];
  }

  resize(bytes: number): void {
    if (bytes > this.#platter.bytesMax) throw failure('ENOSPC');
    this.#apply({ kind: 'size', bytes });
  }

  close(): void {
    // Whatever is under way goes on, as in a kernel.
  }

  /** Nothing of a life that is over reaches the disk. */
  #apply(one: Pending): void {
    if (!this.#alive()) return;
    const refusal = this.#refusal();
    if (refusal !== null) throw failure(refusal);
    this.#platter.now = applied(this.#platter.now, one);
    this.#platter.pending.push(one);
  }
}

function applied(before: Buffer, one: Pending): Buffer {
  if (one.kind === 'size') {
    const after = Buffer.alloc(one.bytes);
    before.copy(after);
    return after;
  }
  const end = one.offset + one.bytes.length;
  const after = end > before.length ? applied(before, { kind: 'size', bytes: end }) : before;
  one.bytes.copy(after, one.offset);
  return after;
}

/** As a file system with reflinks has them; they share the room of `roomBytes`. */
class PowerCutSnapshots implements Snapshots {
  readonly #disk: PowerCutDisk;
  readonly #of: string;
  readonly #alive: () => boolean;

  constructor(disk: PowerCutDisk, of: string, alive: () => boolean) {
    this.#disk = disk;
    this.#of = of;
    this.#alive = alive;
  }

  get name(): string {
    return this.#disk.exists(this.#at) ? `snapshot ${String(this.#disk.snapshotsMade)}` : '';
  }

  get freeBytes(): number {
    return this.#disk.roomBytes;
  }

  async make(): Promise<string> {
    this.remove();
    if (this.#disk.noSnapshots !== null) throw failure(this.#disk.noSnapshots);
    const before = this.#contents(this.#of);
    if (this.#disk.unsynced(this.#of)) throw new Error('a snapshot of what is not synced');
    this.#disk.snapshotsMade += 1;
    const clone = this.#disk.open(this.#at);
    clone.write(before, 0);
    await clone.sync();
    if (!this.#contents(this.#of).equals(before)) throw new Error('written to while a snapshot was made');
    return this.name;
  }

  putBack(offset: number, length: number): void {
    if (!this.#alive()) return;
    const before = this.#contents(this.#at);
    this.#disk.open(this.#of).write(before.subarray(offset, offset + length), offset);
  }

  remove(): void {
    if (this.#alive()) this.#disk.remove(this.#at);
  }

  get #at(): string {
    return snapshotOf(this.#of);
  }

  #contents(name: string): Buffer {
    const store = this.#disk.open(name);
    const bytes = Buffer.alloc(store.sizeBytes);
    store.read(bytes, 0);
    return bytes;
  }
}

const snapshotOf = (name: string): string => `${name}.before`;

export class PowerCutDisk implements Disk {
  /** What is left of it, as snapshots see it. */
  roomBytes = Infinity;
  /** Why it makes no snapshots; null: it does. */
  noSnapshots: string | null = null;
  /** A store with a snapshot has no room for writes. */
  crowded = false;
  snapshotsMade = 0;
  #platters = new Map<string, Platter>();
  readonly #refusals = new Map<string, string>();
  #life = 1;

  open(name: string): PowerCutStore {
    let platter = this.#platters.get(name);
    if (platter === undefined) {
      platter = new Platter();
      this.#platters.set(name, platter);
    }
    const life = this.#life;
    const refusal = (): string | null =>
      this.#refusals.get(name) ?? (this.crowded && this.exists(snapshotOf(name)) ? 'ENOSPC' : null);
    return new PowerCutStore(platter, () => this.#life === life, refusal);
  }

  /** Zeros, which were always there. */
  format(name: string, bytes: number): void {
    const platter = new Platter();
    platter.now = Buffer.alloc(bytes);
    platter.durable = Buffer.alloc(bytes);
    this.#platters.set(name, platter);
  }

  snapshotsOf(name: string): Snapshots {
    const life = this.#life;
    return new PowerCutSnapshots(this, name, () => this.#life === life);
  }

  /** A power cut may take something of it away. */
  unsynced(name: string): boolean {
    return this.#platters.get(name)?.pending.length !== 0;
  }

  exists(name: string): boolean {
    return this.#platters.has(name);
  }

  remove(name: string): void {
    this.#platters.delete(name);
  }

  /** The process is killed: what it wrote stays in the cache, and what it would still write does not happen. */
  kill(): void {
    this.#life += 1;
  }

  powerCut(random: Random): void {
    this.#life += 1;
    for (const platter of this.#platters.values()) {
      for (const one of platter.pending.splice(0)) {
        const fate = random(3);
        if (fate === 0) continue;
        platter.durable = fate === 1 ? applied(platter.durable, one) : torn(platter.durable, one, random);
      }
      platter.now = Buffer.from(platter.durable);
    }
  }

  /** The next syncs of this store fail, but for the first `spared`; null: no more. */
  fail(name: string, code: string | null, times = Infinity, spared = 0): void {
    const platter = this.#platters.get(name);
    if (platter === undefined) return;
    platter.failing = code;
    platter.failures = times;
    platter.spared = spared;
  }

  /** Writes to this store fail; null: no more. */
  refuse(name: string, code: string | null): void {
    if (code === null) this.#refusals.delete(name);
    else this.#refusals.set(name, code);
  }

  /** Reads over this byte fail; null: no more. */
  refuseReads(name: string, offset: number | null): void {
    const platter = this.#platters.get(name);
    if (platter !== undefined) platter.unreadable = offset;
  }

  /** Syncs of this store, but for the first `spared`, do not end before what is answered is called. */
  stall(name: string, spared = 0): () => void {
    let go = (): void => undefined;
    const platter = this.#platters.get(name);
    if (platter !== undefined) {
      platter.stalled = new Promise((resolve) => (go = resolve));
      platter.unstalled = spared;
    }
    return () => {
      if (platter !== undefined) platter.stalled = null;
      go();
    };
  }

  /** It can't become larger than that. */
  limit(name: string, bytes: number): void {
    const platter = this.#platters.get(name);
    if (platter !== undefined) platter.bytesMax = bytes;
  }

  syncs(name: string): number {
    return this.#platters.get(name)?.syncs ?? 0;
  }
}

/** Some of its sectors. */
function torn(before: Buffer, one: Pending, random: Random): Buffer {
  if (one.kind === 'size') return before;
  let after: Buffer = before;
  for (let at = 0; at < one.bytes.length;) {
    const end = Math.min(one.bytes.length, sectorEnd(one.offset + at) - one.offset);
    if (random(2) === 0)
      after = applied(after, { kind: 'write', offset: one.offset + at, bytes: one.bytes.subarray(at, end) });
    at = end;
  }
  return after;
}

const sectorEnd = (at: number): number => (Math.floor(at / sectorBytes) + 1) * sectorBytes;

function failure(code: string): Error {
  return Object.assign(new Error(code), { code });
}
