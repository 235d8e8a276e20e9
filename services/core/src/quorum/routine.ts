/**
 * Events that a quorum service hears all the time and that decide nothing: a server is heard again, it renewed again, the
 * leader beat again. They postpone what is due later, so no group is judged and the moment to wake stays what it was.
 *
 *   O1  only while nothing is being changed
 *   O2  only when the same was told a moment ago: after a silence everything is judged anew. Beats are no word of any server:
 *       they only put off who may lead next
 *   O3  a group that is not active, or whose judgement waits for no moment that is known, is judged again within a heartbeat:
 *       it may be held by how old something is, or by the revision of a renewal (rule 10), and such news tells of either
 */

import { heartbeatMsOf } from '../pace.ts';
import type { ClusterConfig } from '../config/types.ts';
import { keys } from '../keys.ts';
import type { BootMs } from '../names.ts';
import { isRoutine } from '../vantage.ts';
import type { Judgement } from './case.ts';
import type { QuorumEvent } from './events.ts';
import type { QuorumState } from './state.ts';
import type { RowChange, StoreView } from './view.ts';

export function decidesNothing(state: QuorumState, event: QuorumEvent, now: BootMs): boolean {
  if (now >= state.wakeAt || isChanging(state)) return false;
  switch (event.kind) {
    case 'heard': {
      const heartbeatMs = heartbeatMsOf(state.view.config?.value ?? null);
      return isRoutine(state.vantage, event.from, event.path, event.heartbeat, heartbeatMs, now);
    }
    case 'renew':
      return true;
    case 'changed':
      return areRoutine(state, event.rows, now);
    case 'txn-ended': {
      const purpose = state.underway.get(event.id)?.kind;
      if (purpose !== 'renewals' && purpose !== 'beat') return false;
      return event.answer.kind === 'succeeded' && areRoutine(state, event.answer.rows, now);
    }
    case 'started':
    case 'relay':
    case 'read':
    case 'watch-lost':
    case 'command':
    case 'leaving':
    case 'wake':
      return false;
  }
}

/** O3. When a group that was judged now is judged again at the latest, whatever is heard until then. */
export function judgedAgainBy({ phase, wakeAt }: Judgement, now: BootMs, heartbeatMs: number): BootMs {
  const soon = now + heartbeatMs;
  if (wakeAt === null || wakeAt <= now) return soon;
  return phase === 'active' ? wakeAt : Math.min(wakeAt, soon);
}

/** O1. */
function isChanging(state: QuorumState): boolean {
  for (const j of state.judgements.values()) if (j.change !== null) return true;
  return false;
}

function areRoutine(state: QuorumState, rows: readonly RowChange[], now: BootMs): boolean {
  const lateMs = 1.5 * renewMsOf(state.view.config?.value ?? null);
  return rows.every((row) => isRoutineRow(state.view, row, now - lateMs));
}

/** O2. `since`: what was told before then was told too long ago. */
function isRoutineRow(view: StoreView, row: RowChange, since: BootMs): boolean {
  const { key, value } = row;
  if (key === keys.beat) return view.beat !== null && value !== null;
  if (key.startsWith(keys.renewals)) {
    const held = view.renewals.get(key.slice(keys.renewals.length));
    if (held === undefined || value === null) return false;
    if (row.modRevision <= held.modRevision) return true;
    return held.changedAt >= since && sameButCounted(held.text, value);
  }
  if (!key.startsWith(keys.groups)) return false;
  const held = view.groups.get(key.slice(keys.groups.length));
  return held !== undefined && row.modRevision <= held.modRevision;
}

/** Every renewal counts. Quotes within other fields are escaped; where a group is named so, no two renewals are the same. */
function sameButCounted(a: string, b: string): boolean {
  const at = a.indexOf(counter);
  if (at < 0 || at !== b.indexOf(counter)) return a === b;
  const digits = at + counter.length;
  return (
    a.slice(0, at) === b.slice(0, at) && a.slice(afterDigits(a, digits)) === b.slice(afterDigits(b, digits))
  );
}

const counter = '"counter":';

function afterDigits(text: string, from: number): number {
  let at = from;
  while (text.charCodeAt(at) >= 48 && text.charCodeAt(at) <= 57) at += 1;
  return at;
}

/** The shortest period of any server's renewals. */
function renewMsOf(config: ClusterConfig | null): number {
  if (config === null) return 0;
  const known = paces.get(config);
  if (known !== undefined) return known;
  const ms = Math.min(...[...config.groups.values()].map((g) => g.rules.renewMs));
  paces.set(config, ms);
  return ms;
}

/** Asked for at every row. */
const paces = new WeakMap<ClusterConfig, number>();
