/**
 * What would have been done and was not, because of maintenance or because the group is only observed (J3 of judge.ts):
 * the history tells each such decision once, by the leader that made it.
 *
 *   H1  a decision is made anew in every turn and told once: again only after a whole outage in which it was not made
 *   H2  until the store confirmed it, the very same event is put, so that an unknown outcome does not make two of one
 *   H3  nothing but the event is put (I8)
 */

import type { BootMs, GroupId } from '../names.ts';
import type { EventRecord } from '../records.ts';
import type { Txn } from '../store.ts';
import type { Case, Change } from './case.ts';
import { eventPuts } from './commit.ts';

export interface Told {
  readonly event: EventRecord;
  readonly puts: Txn['puts'];
  /** When it was last made. */
  readonly madeAt: BootMs;
  /** The store has it. */
  readonly isKept: boolean;
}

/** By what would have been done. */
type OfGroup = ReadonlyMap<string, Told>;

export type Withheld = ReadonlyMap<GroupId, OfGroup>;

export const nothingWithheld: Withheld = new Map();

/** Of one group within an outage; there are not so many servers to choose from. */
const decisionsMax = 32;

/** The same whatever it is made from: not how long somebody was silent. */
export function decisionOf({ what, record: { ownership: own } }: Change): string {
  const owner = own.kind === 'unowned' ? '' : own.owner;
  const to = own.kind === 'releasing' ? (own.to ?? '') : '';
  return `${what} ${own.kind} ${owner} ${to} ${own.epoch.toString()}`;
}

/** H1. `event`: as it would be told now. */
export function madeAgain(
  before: Withheld,
  c: Case,
  decision: string,
  event: () => EventRecord,
): { readonly withheld: Withheld; readonly told: Told } {
  const { name, rules } = c.config;
  const { now } = c.scene;
  const recent = [...(before.get(name) ?? [])].filter(([, t]) => now - t.madeAt < rules.outageMs);
  const known = new Map(recent.slice(-decisionsMax));
  const told = { ...(known.get(decision) ?? firstTold(c, event())), madeAt: now };
  return { withheld: new Map(before).set(name, known.set(decision, told)), told };
}

function firstTold(c: Case, event: EventRecord): Omit<Told, 'madeAt'> {
  return { event, puts: eventPuts(event, { made: c, commanded: null }), isKept: false };
}

/** The store confirmed it. */
export function kept(before: Withheld, group: GroupId, decision: string): Withheld {
  const known = before.get(group);
  const told = known?.get(decision);
  if (known === undefined || told === undefined) return before;
  return new Map(before).set(group, new Map(known).set(decision, { ...told, isKept: true }));
}
