/** The past: events with reasons, and operations that ended. Read on demand; the oldest are dropped. */

import {
  keys,
  parseEndedOperation,
  parseEvent,
  type EndedOperation,
  type EventRecord,
  type Operation,
  type Revision,
  type Row,
} from '@holdfast/core';
import type { admin } from '@holdfast/proto';
import { failure, type Answer } from '@holdfast/wire/rpc';
import type { Store } from './store.ts';

const storeMs = 2_000;
const eventsMax = 5_000;
const operationsMax = 500;
const decisionsMax = 500;
const deletesAtOnce = 100;

export interface KeptEvent {
  readonly event: EventRecord;
  /** At which it came to the store. */
  readonly revision: Revision;
}

/** In the order in which they happened. */
export async function readEvents(store: Pick<Store, 'read'>): Promise<readonly KeptEvent[] | null> {
  const answer = await store.read(keys.events, storeMs);
  if (answer.kind === 'unknown') return null;
  return answer.rows
    .flatMap((row) => {
      const parsed = parseEvent(row.value);
      return parsed.kind === 'ok' ? [{ event: parsed.value, revision: row.modRevision }] : [];
    })
    .sort((a, b) => (a.event.id < b.event.id ? -1 : 1));
}

export async function readOperations(store: Store): Promise<readonly EndedOperation[] | null> {
  const answer = await store.read(keys.operations, storeMs);
  if (answer.kind === 'unknown') return null;
  return answer.rows
    .flatMap((row) => {
      const parsed = parseEndedOperation(row.value);
      return parsed.kind === 'ok' ? [parsed.value] : [];
    })
    .sort((a, b) => a.endedAt - b.endedAt);
}

export async function readOperation(store: Pick<Store, 'read'>, id: string): Promise<Answer<EndedOperation>> {
  const answer = await store.read(keys.operation(id), storeMs);
  if (answer.kind === 'unknown')
    return failure('unreachable', `the cluster's store does not answer: ${answer.says}`);
  const row = answer.rows.find((r) => r.key === keys.operation(id));
  if (row === undefined) return failure('not-found', `there is no operation ${id}`);
  const parsed = parseEndedOperation(row.value);
  return parsed.kind === 'ok'
    ? { kind: 'ok', value: parsed.value }
    : failure('internal', `operation ${id} can't be read: ${parsed.says}`);
}

/** An event with what its decision was made from. */
export async function readDecision(store: Store, event: string): Promise<Answer<admin.GetDecisionReply>> {
  const [told, kept] = await Promise.all([
    store.read(keys.event(event), storeMs),
    store.read(keys.decision(event), storeMs),
  ]);
  if (told.kind === 'unknown') return failure('unreachable', told.says);
  if (kept.kind === 'unknown') return failure('unreachable', kept.says);
  const valueOf = (rows: readonly Row[], key: string): string | null =>
    rows.find((row) => row.key === key)?.value ?? null;
  const text = valueOf(told.rows, keys.event(event));
  if (text === null) return failure('not-found', `there is no event ${event}`);
  const parsed = parseEvent(text);
  if (parsed.kind === 'garbage') return failure('internal', `event ${event} can't be read: ${parsed.says}`);
  const decision = valueOf(kept.rows, keys.decision(event)) ?? '';
  return { kind: 'ok', value: { event: eventMessage(parsed.value, 0n), decision } };
}

/** Drops what is beyond the limits; called by the leader now and then. Says what could not be done, or null. */
export async function forgetOldest(store: Store): Promise<string | null> {
  for (const [prefix, max] of [
    [keys.events, eventsMax],
    [keys.operations, operationsMax],
    [keys.decisions, decisionsMax],
  ] as const) {
    const answer = await store.read(prefix, storeMs);
    if (answer.kind === 'unknown') return answer.says;
    const oldest = answer.rows.map((row) => row).sort((a, b) => (a.modRevision < b.modRevision ? -1 : 1));
    const surplus = oldest.slice(0, Math.max(0, oldest.length - max)).map((row) => row.key);
    for (let i = 0; i < surplus.length; i += deletesAtOnce) {
      const deletes = surplus.slice(i, i + deletesAtOnce);
      const done = await store.txn({ compares: [], puts: [], deletes, reads: [] }, storeMs);
      if (done.kind === 'unknown') return done.says;
    }
  }
  return null;
}

export function eventMessage(e: EventRecord, revision: Revision): admin.Event {
  return {
    id: e.id,
    timeMs: e.time,
    group: e.group ?? '',
    server: e.server ?? '',
    kind: e.kind,
    reason: e.reason,
    epoch: e.epoch ?? 0n,
    inputs: e.inputs === null || e.inputs === undefined ? '' : JSON.stringify(e.inputs),
    revision,
  };
}

export function endedMessage(op: EndedOperation): admin.Operation {
  return {
    id: op.id,
    group: op.group,
    kind: op.kind,
    outcome: op.outcome,
    from: op.from ?? '',
    to: op.to ?? '',
    by: op.by,
    reason: op.outcome === 'done' ? op.reason : op.says,
    steps: op.steps.map((s) => ({ ...s })),
    startedMs: op.startedAt,
    endedMs: op.endedAt,
  };
}

/** An operation that is under way; `steps` are those that servers told so far. */
export function runningMessage(op: Operation, steps: readonly Operation['steps'][number][]): admin.Operation {
  const outcome =
    op.phase === 'awaiting-approval'
      ? 'awaiting-approval'
      : op.phase === 'rolling-back'
        ? 'rolling-back'
        : 'running';
  return {
    id: op.id,
    group: op.group,
    kind: op.kind,
    outcome,
    from: op.from ?? '',
    to: op.to ?? '',
    by: op.by,
    reason: op.reason,
    steps: [...op.steps, ...steps].map((s) => ({ ...s })),
    startedMs: op.startedAt,
    endedMs: 0,
  };
}
