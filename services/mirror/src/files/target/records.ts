/**
 * What a target writes into the catalog and asks of it.
 *
 * Invariants:
 * R1  A batch with moves is one transaction together with its number and the standing after it. Any other is recorded in
 *     slices, the last of which has number and standing; recording it again gives the same.
 * R2  Numbers in the catalog never fall, while a former owner goes back to the number of its new source. So what it
 *     replicates then is recorded at the catalog's last number, and `reconciled` says up to which number of the catalog
 *     nothing is an own change.
 * R3  What this copy wrote as an owner stays its own until a consistent batch of a new source is recorded: while
 *     everything is compared each batch may be the last one of its connection, and of this process.
 * R4  So does what this copy has of a lost owner, and the one with which everything is compared never had.
 * R5  Where the disk refuses the catalog, nothing of the batch counts as recorded: it is recorded again.
 * R6  What is still in the log when a copy is distrusted was sent before: it does not make the copy consistent again, also
 *     not after a crash. Only what follows a comparison does.
 */

import { setImmediate } from 'node:timers/promises';
import { lastCommon, unknownChecksum, type Epoch, type History, type Position } from '@holdfast/core';
import type { Catalog, Entry, EntryAttributes } from '../../catalog/types.ts';
import type { Tree } from '../../os/tree.ts';
import type { Stat } from '../../os/types.ts';
import type { Attributes } from '../../transport/types.ts';
import { drainedAt } from '../source/notes.ts';
import { agreementOf, concernsLeftOut, toldSum, type Agreement } from './agreement.ts';
import { entryAttributes, onDisk } from './entry-attributes.ts';
import { unfit } from './fit.ts';
import { childrenOf, isUntouched } from './foreign.ts';
import { note, noteText, readNote, type Note } from './note.ts';
import { ownChanges, type OwnChange } from './own-changes.ts';
import { workedIn } from './redo.ts';
import type { Batch, Redo } from './redo.ts';
import { settleFolder } from './settling.ts';
import { statThere } from './there.ts';

/** Operations in one transaction, and changes read at once. */
const sliceMax = 2_000;
const sweepMs = 8;

/** Where this copy stands. */
export interface Standing {
  /** Null: nothing was ever received. */
  readonly position: Position | null;
  readonly history: History;
  readonly consistent: boolean;
}

/** What files were found to be when they got their names, by the operation that made them. */
type Stats = ReadonlyMap<Redo, Stat>;

export interface CopiedBatch {
  readonly staged: { readonly batch: Batch };
  readonly stats: Stats;
}

export interface EqualEntry {
  readonly path: Buffer;
  /** Null: it exists at neither side. */
  readonly attributes: Attributes | null;
}

export class Records {
  readonly #catalog: Catalog;
  readonly #tree: Tree;
  /** Why a batch can't be applied to what the catalog knows; null: it fits. */
  readonly unfit: (batch: Batch) => string | null;
  readonly #hasRoom: (path: Buffer) => boolean;
  #note: Note;
  #standing: Standing;
  #wasOwner: boolean;

  /** `hasRoom`: see fit.ts. */
  constructor(catalog: Catalog, tree: Tree, hasRoom: (path: Buffer) => boolean) {
    this.#catalog = catalog;
    this.#tree = tree;
    this.unfit = (batch) => unfit(catalog, batch, hasRoom);
    this.#hasRoom = hasRoom;
    this.#note = readNote(catalog.meta.notes[note]);
    const { history, consistent } = catalog.meta;
    const last = history.at(-1);
    const noted = this.#note.position;
    const isLast = last !== undefined && (noted === null || last.epoch > noted.epoch);
    // Once more an owner: all of it is told by the history again.
    if (isLast) this.#note = { ...this.#note, own: null };
    this.#wasOwner = isLast || this.#note.own !== null;
    const position = isLast
      ? {
          epoch: last.epoch,
          sequence: Math.max(last.sequence, catalog.lastSequence),
          checksum: catalog.checksum,
        }
      : noted;
    this.#standing = { position, history, consistent: isLast || consistent };
  }

  /** It was an owner after it was last a target, or only ever an owner (R3). */
  get wasOwner(): boolean {
    return this.#wasOwner;
  }

  /**
   * It may hold writes that nobody else has. Not so when it ended with everything durable at its targets, as before a
   * planned move.
   */
  get mayHaveOwn(): boolean {
    return this.#wasOwner && drainedAt(this.#catalog) !== this.#catalog.lastSequence;
  }

  /** R6. */
  get distrusted(): boolean {
    return this.#note.distrusted;
  }

  /** What is recorded is what this target made of the tree: what differs was changed by others. */
  get isOfDisk(): boolean {
    return !this.#wasOwner && (this.#standing.consistent || this.#note.distrusted);
  }

  /** As of the last batch that was recorded. */
  get standing(): Standing {
    return this.#standing;
  }

  /** Of the last batch that was recorded, in the log's numbers; 0 before the first. */
  get applied(): number {
    return this.#note.applied;
  }

  /** Whose changes the own ones are. */
  get ownerEpoch(): Epoch {
    const { own, ahead } = this.#note;
    return own?.epoch ?? ahead?.epoch ?? this.#standing.position?.epoch ?? 0n;
  }

  /** The root is an entry from the start: whatever comes has its place in it. */
  begin(): void {
    const root = Buffer.alloc(0);
    const stat = this.#statOf(root);
    if (stat === null || this.#catalog.byPath(root) !== null) return;
    this.#catalog.recordPut(root, onDisk(stat), stat, this.#catalog.lastSequence, false);
  }

  /** R1. After the batch was applied; what the disk has now is recorded with it. Can be repeated. `stats`: so that they need no other look. */
  async record(number: number, batch: Batch, stats?: Stats): Promise<Agreement['kind']> {
    const catalog = this.#catalog;
    if (number > this.applied) await this.#recordBatch(number, batch, stats);
    while (!catalog.sweep(performance.now() + sweepMs)) await setImmediate();
    this.settle(batch.operations);
    return number === this.applied ? this.agree(batch.operations) : 'agrees';
  }

  /**
   * Compares the sum over this catalog with what the source told for this position (agreement.ts), and notes what follows.
   * `operations`: of the batch that led to it, when that was just now. Nothing may be on its way. Can be repeated.
   */
  agree(operations: readonly Redo[]): Agreement['kind'] {
    const { consistent, position } = this.#standing;
    if (!consistent || position === null || this.#wasOwner || this.#catalog.detached > 0) return 'agrees';
    const nowMs = Date.now();
    const agreement = agreementOf({
      source: position.checksum,
      own: this.#catalog.checksum,
      apart: this.#note.apart,
      leavesOut: () =>
        concernsLeftOut(operations, {
          isApart: this.#note.apart !== 0n,
          isLeftOut: (path) => this.#catalog.byPath(path) === null && !this.#hasRoom(path),
        }),
      comparedMs: this.#note.comparedMs,
      nowMs,
    });
    if (agreement.kind === 'differs') this.#keepNote({ comparedMs: nowMs });
    else if (agreement.apart !== null) this.#keepNote({ apart: agreement.apart });
    return agreement.kind;
  }

  /** What a hello tells of the sum at this copy's position. */
  get checksum(): string {
    const { position, consistent } = this.#standing;
    const { apart } = this.#note;
    const isKnown = consistent && !this.#wasOwner && apart !== null && position?.checksum !== unknownChecksum;
    return isKnown ? toldSum(this.#catalog.checksum, apart) : unknownChecksum;
  }

  async #recordBatch(number: number, batch: Batch, stats?: Stats): Promise<void> {
    const catalog = this.#catalog;
    const sequence = Math.max(batch.sequence, catalog.lastSequence);
    const { operations } = batch;
    const own = batch.consistent && !this.#note.distrusted ? null : this.#ownNow();
    const slice = operations.some((operation) => operation.kind === 'move') ? operations.length : sliceMax;
    const taken = new Map<number, number>();
    for (let at = 0; at + slice < operations.length; at += slice) {
      catalog.write(() => {
        this.#recordAll(operations.slice(at, at + slice), sequence, taken, stats);
      });
      await setImmediate();
    }
    const rest = slice === 0 ? 0 : Math.floor(Math.max(0, operations.length - 1) / slice) * slice;
    this.#write(() => {
      this.#recordAll(operations.slice(rest), sequence, taken, stats);
      this.#reach(batch, sequence, number, own);
    });
    this.#wasOwner = own !== null;
  }

  /**
   * Before anything of a copy is done (Y1 of copy-commits.ts). One that never held anything goes on from nothing when it breaks;
   * any other is compared as a whole.
   */
  beginCopy({ epoch, history }: Batch): void {
    const { position, consistent } = this.#standing;
    if (position !== null && !consistent) return;
    const [first] = history;
    const known = position === null && first !== undefined ? [{ epoch: first.epoch, sequence: 0 }] : [];
    const nothing = { epoch, sequence: 0, checksum: unknownChecksum };
    const standing = { position: nothing, history: known, consistent: false };
    this.#write(() => {
      const held = this.#heldNow();
      this.#keepStanding(standing, { ...this.#note, position: nothing, own: this.#ownNow(), held });
    });
  }

  /** Batches of a copy that are done and durable, in one transaction. `count`: of those that fit. */
  recordCopied(group: readonly CopiedBatch[]): { readonly count: number; readonly unfit: string | null } {
    const catalog = this.#catalog;
    const own = this.#ownNow();
    const record = (): { count: number; unfit: string | null } => {
      for (const [count, { staged, stats }] of group.entries()) {
        const { batch } = staged;
        const unfit = this.unfit(batch);
        if (unfit !== null) return { count, unfit };
        const sequence = Math.max(batch.sequence, catalog.lastSequence);
        this.#recordAll(batch.operations, sequence, new Map(), stats);
        this.#reach(batch, sequence, this.#note.applied, own);
      }
      catalog.sweep(Infinity);
      // Others may be done already that set the times of the same folders: the last one that is recorded tells.
      this.settle(group.flatMap(({ staged }) => staged.batch.operations));
      return { count: group.length, unfit: null };
    };
    return this.#write(record);
  }

  /** Folders in which a batch worked keep the times that the source told of them. Can be repeated. */
  settle(operations: readonly Redo[]): void {
    const folders = new Map<string, Buffer>();
    for (const operation of operations) {
      for (const folder of workedIn(operation)) folders.set(folder.toString('latin1'), folder);
    }
    this.#catalog.write(() => {
      for (const folder of folders.values()) settleFolder(this.#catalog, this.#tree, folder);
    });
  }

  /** Batches up to this number are passed over: the standing stays as it is. */
  skip(number: number): void {
    this.#write(() => {
      this.#keepStanding(this.#standing, { ...this.#note, applied: number });
    });
  }

  /** R6. Everything that was sent before is recorded, and who sends next hears how this copy stands. */
  trust(): void {
    if (this.#note.distrusted) this.#keepNote({ distrusted: false });
  }

  /** R6. The tree is not what the catalog says: the next source compares everything. Can be repeated. */
  distrust(): void {
    const { history, consistent } = this.#standing;
    const own = this.#ownNow();
    const isDone = !consistent && history.length === 0 && this.#note.distrusted;
    if (isDone && (own === null) === (this.#note.own === null)) return;
    this.#write(() => {
      const next = { ...this.#note, own, held: this.#heldNow(), apart: null, distrusted: true };
      this.#keepStanding({ ...this.#standing, history: [], consistent: false }, next);
    });
  }

  /**
   * R4. Before everything is compared with a source of this history. Answers above which number changes are this copy's own;
   * null: none are.
   */
  compareWith(history: History): number | null {
    if (this.#wasOwner) return 0;
    const { ahead, position } = this.#note;
    const sinceThen = position === null ? null : lacking(history, [position]);
    const least = Math.min(
      ahead?.above ?? Infinity,
      lacking(history, this.#heldNow()) ?? Infinity,
      sinceThen ?? Infinity,
    );
    if (least === Infinity) return null;
    const upTo = sinceThen === null ? ahead?.upTo : undefined;
    const next = { epoch: this.ownerEpoch, upTo: upTo ?? this.#catalog.lastSequence, above: least };
    this.#write(() => {
      this.#keepStanding(this.#standing, { ...this.#note, ahead: next });
    });
    return least;
  }

  /** Notes what the disk has now (own inode, own times), of all names of a file. */
  refresh(paths: Iterable<Buffer>): void {
    this.#catalog.write(() => {
      for (const path of paths) {
        const entry = this.#catalog.byPath(path);
        const stat = entry === null ? null : this.#statOf(path);
        if (entry === null || stat?.kind !== entry.attributes.kind) continue;
        this.#catalog.recordLocal(entry.id, stat);
        if (stat.kind === 'folder' || stat.nlink < 2) continue;
        for (const { id } of this.#catalog.linked(stat.inode)) this.#catalog.recordLocal(id, stat);
      }
    });
  }

  /** These are equal at both sides; `sequence` is the source's. */
  adopt(rows: readonly EqualEntry[], sequence: number): void {
    const catalog = this.#catalog;
    const at = Math.max(sequence, catalog.lastSequence);
    this.#write(() => {
      // What the source told last is of the catalog as it was.
      if (this.#note.apart !== null) this.#keepNote({ apart: null });
      for (const { path, attributes } of rows) {
        const entry = catalog.byPath(path);
        if (attributes === null) {
          if (entry !== null) catalog.recordRemoved(path, at);
          continue;
        }
        const stat = this.#statOf(path);
        if (stat === null || !this.#recordFolders(path, at)) continue;
        this.#replace(path, entryAttributes(attributes), stat, at, false);
      }
    });
    catalog.sweep(performance.now() + sweepMs);
  }

  /** Names within the mirror of a file with this inode. */
  namesOf(inode: number): number {
    return this.#catalog.linked(inode).length;
  }

  isName(path: Buffer, inode: number): boolean {
    return this.#catalog.byPath(path)?.inode === inode;
  }

  /** As it was replicated, or compared. */
  isUntouched(path: Buffer, stat: Stat): boolean {
    const entry = this.#catalog.byPath(path);
    return entry !== null && isUntouched(this.#catalog, entry, stat);
  }

  knows(path: Buffer): boolean {
    return this.#catalog.byPath(path) !== null;
  }

  /** Of a folder with this number, by name (latin1). */
  childrenOf(id: number): Map<string, Entry> {
    return childrenOf(this.#catalog, id);
  }

  /** Changes above the common position with a source; every path of a folder that moved is one. R2. */
  ownChanges(common: number): Generator<OwnChange> {
    return ownChanges(this.#catalog, this.#note, common);
  }

  async flush(): Promise<void> {
    await this.#catalog.flush();
  }

  /** Within a transaction: the catalog and the standing are those after the batch. */
  #reach(batch: Batch, sequence: number, applied: number, own: Note['own']): void {
    const { epoch, checksum } = batch;
    const { distrusted, comparedMs } = this.#note;
    const consistent = batch.consistent && !distrusted;
    const history = distrusted ? [] : batch.history;
    const position = { epoch, sequence: batch.sequence, checksum };
    const { ahead, held } = consistent ? { ahead: null, held: [] } : this.#note;
    const kept = consistent || history.length > 0 ? held : this.#heldNow();
    const goesOn = consistent && this.#standing.consistent && this.#standing.position?.epoch === epoch;
    const apart = goesOn ? this.#note.apart : null;
    this.#catalog.recordSequence(sequence);
    this.#keepStanding(
      { position, history, consistent },
      { applied, reconciled: sequence, position, own, ahead, held: kept, apart, comparedMs, distrusted },
    );
  }

  /** `stats`: what is known of files already. */
  #recordAll(operations: readonly Redo[], sequence: number, taken: Map<number, number>, stats?: Stats): void {
    for (const operation of operations) this.#recordOne(operation, sequence, taken, stats?.get(operation));
  }

  #recordOne(operation: Redo, sequence: number, taken: Map<number, number>, known?: Stat): void {
    const catalog = this.#catalog;
    switch (operation.kind) {
      case 'move': {
        const id = catalog.recordTaken(operation.from, sequence);
        if (id !== null) taken.set(operation.slot, id);
        return;
      }
      case 'remove':
        catalog.recordRemoved(operation.path, sequence);
        return;
      case 'place': {
        const id = taken.get(operation.slot);
        if (id === undefined) return;
        if (catalog.byPath(operation.to) !== null) catalog.recordRemoved(operation.to, sequence);
        catalog.recordPlaced(id, operation.to, sequence);
        const stat = this.#statOf(operation.to);
        if (stat !== null) catalog.recordLocal(id, stat);
        return;
      }
      case 'hard-link': {
        const to = catalog.byPath(operation.to);
        const stat = this.#statOf(operation.path);
        if (to === null || stat === null) return;
        this.#replace(operation.path, to.attributes, stat, sequence, true);
        for (const other of catalog.linked(stat.inode)) catalog.recordLocal(other.id, stat);
        return;
      }
      case 'put':
      case 'patch':
      case 'set': {
        const stat = known ?? this.#statOf(operation.path);
        if (stat === null) return;
        const attributes = entryAttributes(operation.attributes);
        const contents = operation.kind !== 'set';
        this.#replace(operation.path, attributes, stat, sequence, contents);
        if (stat.kind !== 'folder' && stat.nlink > 1) this.#recordNames(attributes, stat, sequence, contents);
      }
    }
  }

  /** All names of a file changed with the one that the batch speaks of. */
  #recordNames(attributes: EntryAttributes, stat: Stat, sequence: number, contents: boolean): void {
    const catalog = this.#catalog;
    for (const { id, attributes: before } of catalog.linked(stat.inode)) {
      const path = before.kind === attributes.kind ? catalog.pathOf(id) : null;
      if (path !== null) catalog.recordPut(path, attributes, stat, sequence, contents);
    }
  }

  #replace(path: Buffer, attributes: EntryAttributes, stat: Stat, sequence: number, contents: boolean): void {
    const catalog = this.#catalog;
    // Somebody put something else there; it is found as a foreign change.
    if (stat.kind !== attributes.kind) return;
    const there = catalog.byPath(path);
    if (there !== null && there.attributes.kind !== attributes.kind) catalog.recordRemoved(path, sequence);
    catalog.recordPut(path, attributes, stat, sequence, contents);
  }

  /** Folders that are here and were never recorded, as in a copy that was brought by hand. */
  #recordFolders(path: Buffer, sequence: number): boolean {
    for (let at = path.indexOf(0x2f); at !== -1; at = path.indexOf(0x2f, at + 1)) {
      const folder = path.subarray(0, at);
      if (this.#catalog.byPath(folder)?.attributes.kind === 'folder') continue;
      const stat = this.#statOf(folder);
      if (stat?.kind !== 'folder') return false;
      this.#replace(folder, onDisk(stat), stat, sequence, false);
    }
    return true;
  }

  #statOf(path: Buffer): Stat | null {
    return statThere(this.#tree, path);
  }

  /** R5. */
  #write<T>(work: () => T): T {
    const [standing, noted] = [this.#standing, this.#note];
    try {
      return this.#catalog.write(work);
    } catch (error) {
      [this.#standing, this.#note] = [standing, noted];
      throw error;
    }
  }

  #heldNow(): History {
    const { history } = this.#standing;
    return history.length > 0 ? history : this.#note.held;
  }

  /** R3. */
  #ownNow(): Note['own'] {
    if (!this.#wasOwner) return null;
    return this.#note.own ?? { epoch: this.ownerEpoch, upTo: this.#catalog.lastSequence };
  }

  #keepNote(change: Partial<Note>): void {
    this.#write(() => {
      this.#keepStanding(this.#standing, { ...this.#note, ...change });
    });
  }

  #keepStanding(standing: Standing, next: Note): void {
    const { position, history, consistent } = standing;
    const { meta } = this.#catalog;
    this.#catalog.setMeta({
      history,
      consistent,
      complete: meta.complete || consistent,
      epoch: position === null ? meta.epoch : position.epoch,
      notes: { ...meta.notes, [note]: noteText(next) },
    });
    this.#standing = standing;
    this.#note = next;
  }
}

/** The last number that a source had too of what is held here; null: it had everything. */
function lacking(source: History, held: History): number | null {
  const last = held.at(-1);
  if (last === undefined) return null;
  const common = lastCommon(source, held) ?? 0;
  return common < last.sequence ? common : null;
}
