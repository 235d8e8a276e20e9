/**
 * The transactions that follow from judgements: a change of a group with its event, or an event alone. Both compare what
 * was judged (U1 of quorum.ts).
 */

import { encode } from '../codec.ts';
import { keys } from '../keys.ts';
import type { GroupId, Revision } from '../names.ts';
import type { EventRecord } from '../records.ts';
import type { Compare, Txn } from '../store.ts';
import type { Change } from './case.ts';
import { encodeDecision, type Decision } from './decision.ts';
import type { StoreView } from './view.ts';

/** `decision`: null where nothing had to be judged. */
export function changeTxn(
  view: StoreView,
  revision: Revision,
  change: Change,
  event: EventRecord,
  decision: Decision | null,
): Txn {
  const { group } = change.record;
  const puts = [{ key: keys.group(group), value: encode(change.record) }, ...eventPuts(event, decision)];
  if (change.ended !== null) puts.push({ key: keys.operation(change.ended.id), value: encode(change.ended) });
  return { compares: judgedOf(view, revision, change), puts, deletes: [], reads: [keys.group(group)] };
}

/** Only tells: whatever would have been changed stays as it is. */
export function eventTxn(view: StoreView, revision: Revision, change: Change, puts: Txn['puts']): Txn {
  return {
    compares: judgedOf(view, revision, change),
    puts,
    deletes: [],
    reads: [keys.group(change.record.group)],
  };
}

/** An event, with what it was decided from. */
export function eventPuts(event: EventRecord, decision: Decision | null): Txn['puts'][number][] {
  const kept = decision === null ? null : encodeDecision(decision);
  return [
    { key: keys.event(event.id), value: encode(event) },
    ...(kept === null ? [] : [{ key: keys.decision(event.id), value: kept }]),
  ];
}

/** U1: that we lead, what people want, the group, and the renewal that was judged stale. */
function judgedOf(view: StoreView, revision: Revision, { record, stale }: Change): readonly Compare[] {
  const { leader, config, maintenance, renewals } = view;
  const as = (key: string, held: { readonly modRevision: Revision } | null | undefined): Compare => ({
    kind: 'mod-revision',
    key,
    revision: held?.modRevision ?? 0n,
  });
  return [
    as(keys.leader, leader),
    as(keys.config, config),
    as(keys.maintenance, maintenance),
    as(keys.group(record.group), { modRevision: revision }),
    ...(stale === null ? [] : [as(keys.renewal(stale), renewals.get(stale))]),
  ];
}

const eventIdDigits = 15;

/** In the order of time, and unique: one group changes once in a revision. */
export function eventId(wall: number, subject: GroupId, revision: Revision): string {
  return `${String(Math.round(wall)).padStart(eventIdDigits, '0')}-${subject}-${revision.toString()}`;
}
