/**
 * A person's no to a takeover that waited for approval. It holds until something has changed: nothing is asked again that
 * was answered.
 *
 *   D1  it is about one epoch and one kind of word, a silent owner or one that says it is fenced; another is a new question
 *   D2  a silent owner that is heard again ends it, so that its next silence is asked about
 *   D3  whatever else becomes of the group ends it: it is carried over into no other record
 */

import type { Ownership } from '../records.ts';
import type { Case, Judgement } from './case.ts';
import { change, ended, withOwnership } from './changes.ts';
import { heardAt, saysFenced } from './scene.ts';

type Owned = Extract<Ownership, { kind: 'owned' }>;
export type Word = 'silent' | 'fenced';

/** Null: nobody said no to this. */
export function deniedBecause(c: Case, word: Word): string | null {
  const denied = c.record?.denied;
  if (denied === undefined || denied.word !== word || denied.epoch !== c.record?.ownership.epoch) return null;
  return `the failover was denied by ${denied.by}; use holdfast failover --to SERVER to go on`;
}

/** The question that is on record is answered with no. */
export function deny(c: Case, own: Ownership, by: string): Judgement {
  const op = c.record?.operation ?? null;
  const says = `denied by ${by}`;
  const fenced = own.kind !== 'unowned' && saysFenced(c.scene, own.owner, c.config.name, own.epoch) !== null;
  const denied = { epoch: own.epoch, word: fenced ? 'fenced' : 'silent', by } as const;
  const record = { ...withOwnership(c, own, null, says), denied };
  return change('blocked', 'denied', record, ended(c, op, 'denied', says, []));
}

/** D2, of an owner that is active. Null: it is silent still, or nothing was denied. */
export function denialOver(c: Case, own: Owned): Judgement | null {
  if (c.record?.denied === undefined) return null;
  if (c.scene.now - heardAt(c.scene, own.owner) >= c.config.rules.suspectMs) return null;
  const reason = `${own.owner} is heard again, so that what ${c.record.denied.by} denied is over`;
  return change('active', 'denial-over', withOwnership(c, own, null, reason));
}
