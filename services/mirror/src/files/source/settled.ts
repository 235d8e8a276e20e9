/**
 * What a source has noticed, and its host may lose with its power: contents that were written in place are on the disk half a
 * minute later, but the time of that change already after a few seconds. Then a file is what it was before, looks as the
 * catalog says, and its copies hold more than it does.
 *
 *   Q1  what was noticed two minutes ago is settled: the kernel writes what is 30 s old (vm.dirty_expire_centisecs), and a disk
 *       may be behind
 *   Q2  in another life of the host files that were noticed later count as changed: a source sends them again, and a former
 *       owner has them compared
 *
 * Source: proc_sys_vm(5).
 */

import type { Catalog, Entry } from '../../catalog/types.ts';
import { bootId } from '../../os/boot-id.ts';
import { readNote } from './notes.ts';

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
  const note = readNote(catalog);
  const isLast = note !== null && note.epoch === catalog.meta.history.at(-1)?.epoch;
  return isLast && note.boot !== boot ? note.settled : null;
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

/** Q2. Of the files of a former owner. */
export function unsettledPaths(catalog: Catalog): readonly Buffer[] {
  const above = unsettledSince(catalog);
  if (above === null) return [];
  return Array.from(filesSince(catalog, above), ({ id }) => catalog.pathOf(id)).filter(
    (path) => path !== null,
  );
}
