/**
 * What a source has noticed, and its host may lose with its power: contents that were written in place are on the disk half a
 * minute later, but the time of that change already after a few seconds. Then a file is what it was before, looks as the
 * catalog says, and its copies hold more than it does.
 *
 *   Q1  what was noticed two minutes ago is settled: the kernel writes what is 30 s old (vm.dirty_expire_centisecs), and a disk
 *       may be behind
 *   Q2  in another life of the host files that were noticed later count as changed: a source sends them again, and a former
 *       owner has them compared
 *   Q3  a former owner has those of them compared in any life that may have changed again without a new time (C7 of the
 *       catalog): nobody may have looked at them any more
 *
 * Source: proc_sys_vm(5).
 */

import type { Catalog, Entry } from '../../catalog/types.ts';
import { bootId } from '../../os/boot-id.ts';
import { readNote, type SourceNote } from './notes.ts';

const settledMs = 120_000;
/** Between two that are remembered. */
const rowMs = 5_000;
const changesMax = 1_000;

export class Settled {
  #sequence: number;
  #rows: { readonly atMs: number; readonly sequence: number }[];

  /** `sequence`: settled already. `noticed`: up to now, by performance.now(). */
  constructor(sequence: number, noticed: number, nowMs: number) {
    this.#sequence = sequence;
    this.#rows = [{ atMs: nowMs, sequence: noticed }];
  }

  /** Q1. Up to which number. `noticed`: up to now. */
  at(noticed: number, nowMs: number): number {
    if (nowMs - (this.#rows.at(-1)?.atMs ?? -Infinity) >= rowMs)
      this.#rows.push({ atMs: nowMs, sequence: noticed });
    for (
      let [first] = this.#rows;
      first !== undefined && nowMs - first.atMs >= settledMs;
      [first] = this.#rows
    ) {
      this.#sequence = first.sequence;
      this.#rows.shift();
    }
    return this.#sequence;
  }
}

/** Q2. Null: this host was not started again since, or nothing is known. */
export function unsettledSince(catalog: Catalog, boot = bootId()): number | null {
  const note = lastNote(catalog);
  return note !== null && note.boot !== boot ? note.settled : null;
}

/** Of the last owner; null: it noted nothing. */
function lastNote(catalog: Catalog): SourceNote | null {
  const note = readNote(catalog);
  return note?.epoch === catalog.meta.history.at(-1)?.epoch ? note : null;
}

/** Files that were noticed after this number. */
export function* filesSince(catalog: Catalog, above: number): Generator<Entry> {
  const { lastSequence } = catalog;
  let [sequence, afterId] = [above, Infinity];
  for (;;) {
    const changes = catalog.changesSince(sequence, changesMax, afterId);
    for (const change of changes) {
      if (change.sequence > lastSequence) return;
      [sequence, afterId] = [change.sequence, change.id];
      if (change.kind === 'entry' && change.entry.attributes.kind === 'file') yield change.entry;
    }
    if (changes.length < changesMax) return;
  }
}

/** Q2, Q3. Of the files of a former owner. */
export function unsettledPaths(catalog: Catalog, boot = bootId()): readonly Buffer[] {
  const note = lastNote(catalog);
  if (note === null || note.settled === null) return [];
  const paths: Buffer[] = [];
  for (const { id, racy } of filesSince(catalog, note.settled)) {
    const path = racy || note.boot !== boot ? catalog.pathOf(id) : null;
    if (path !== null) paths.push(path);
  }
  return paths;
}
