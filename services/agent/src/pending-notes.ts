/**
 * What happened here, for the cluster's history. It travels with renewals, the one write that a server has, and is kept
 * until a renewal that carried it was committed. Writing one twice does no harm: its id is its key.
 */

import { encode, type EventRecord, type GroupId, type MemberId, type WallMs } from '@holdfast/core';
import type { agents } from '@holdfast/proto';

const pendingMax = 200;
/** What a quorum service takes with one renewal. */
const perRenewal = 2;
const reasonMax = 2_000;

export class PendingNotes {
  readonly #self: MemberId;
  #notes: agents.Note[] = [];
  #number = 0;
  #dropped = 0;

  constructor(self: MemberId) {
    this.#self = self;
  }

  get size(): number {
    return this.#notes.length;
  }

  /** How many were given up because too many waited. */
  get dropped(): number {
    return this.#dropped;
  }

  add(group: GroupId | null, kind: string, reason: string, wallMs: WallMs): void {
    this.#number += 1;
    const time = Math.round(wallMs);
    const id = `${String(time).padStart(15, '0')}-${this.#self}-${this.#number}`;
    const record: EventRecord = {
      id,
      time,
      group,
      server: this.#self,
      kind,
      reason: reason.slice(0, reasonMax),
      epoch: null,
      inputs: null,
    };
    this.#notes.push({ id, text: encode(record) });
    if (this.#notes.length <= pendingMax) return;
    this.#notes.shift();
    this.#dropped += 1;
  }

  /** The oldest, for the next renewal. */
  next(): agents.Note[] {
    return this.#notes.slice(0, perRenewal);
  }

  committed(notes: readonly agents.Note[]): void {
    const ids = new Set(notes.map((n) => n.id));
    this.#notes = this.#notes.filter((n) => !ids.has(n.id));
  }
}
