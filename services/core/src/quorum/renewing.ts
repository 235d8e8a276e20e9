/**
 * Renewals of many servers go into one transaction, so that the store's write rate does not grow with their number:
 * while one is under way the next ones gather. A renewal whose compare does not hold never takes the others with it.
 */

import type { ClusterConfig } from '../config/types.ts';
import { keys } from '../keys.ts';
import type { BootMs } from '../names.ts';
import { opsMax, type Row, type Txn, type TxnAnswer } from '../store.ts';
import type { QuorumAction, RenewRequest } from './events.ts';

export interface Renewing {
  readonly waiting: readonly Waiting[];
  readonly inFlight: { readonly txn: number; readonly batch: readonly Waiting[] } | null;
}

export interface Waiting {
  readonly request: RenewRequest;
  readonly arrivedAt: BootMs;
}

export const noRenewals: Renewing = { waiting: [], inFlight: null };

const notesMax = 2;
/** Of each server its renewal is put and read, and its notes are put; the groups are read once. */
const batchMax = Math.floor((opsMax - 1) / (2 + notesMax));
/** Requests beyond this are refused at once: the agent asks again, or elsewhere. */
const waitingMax = 1_000;

/** A busy disk needs so long now and then. */
const deadlineMsMin = 400;
const deadlineMsMax = 1_500;

/**
 * After q the answer is worthless to the most demanding of the servers, and a transaction that was passed on to a leader
 * that is dead by now is never answered: the next one must not wait behind it for long.
 */
export function renewalDeadlineMs(config: ClusterConfig | null): number {
  const attempts = [...(config?.groups.values() ?? [])].map((g) => g.rules.attemptMs);
  return Math.max(deadlineMsMin, Math.min(deadlineMsMax, ...attempts));
}

export function enqueue(
  r: Renewing,
  request: RenewRequest,
  now: BootMs,
): { readonly renewing: Renewing; readonly actions: readonly QuorumAction[] } {
  if (r.waiting.length >= waitingMax) {
    const result = { kind: 'no-answer', says: 'too many renewals are waiting here' } as const;
    return { renewing: r, actions: [{ kind: 'answer-renew', id: request.id, result }] };
  }
  const older = r.waiting.filter((w) => w.request.server === request.server);
  const others = r.waiting.filter((w) => w.request.server !== request.server);
  return {
    renewing: { waiting: [...others, { request, arrivedAt: now }], inFlight: r.inFlight },
    actions: older.map(superseded),
  };
}

/** Only the latest word of a server counts, and the store refuses a transaction that writes a key twice. */
function superseded(older: Waiting): QuorumAction {
  const result = { kind: 'no-answer', says: 'superseded by a later attempt' } as const;
  return { kind: 'answer-renew', id: older.request.id, result };
}

/** The next transaction, when none is under way and somebody waits. */
export function nextBatch(
  r: Renewing,
  txnId: number,
): { readonly renewing: Renewing; readonly txn: Txn } | null {
  if (r.inFlight !== null || r.waiting.length === 0) return null;
  const batch = r.waiting.slice(0, batchMax);
  const renewing = { waiting: r.waiting.slice(batchMax), inFlight: { txn: txnId, batch } };
  return { renewing, txn: batchTxn(batch.map((w) => w.request)) };
}

function batchTxn(batch: readonly RenewRequest[]): Txn {
  return {
    compares: batch.map((r) =>
      r.previous === null
        ? { kind: 'mod-revision', key: keys.renewal(r.server), revision: 0n }
        : { kind: 'value', key: keys.renewal(r.server), value: r.previous },
    ),
    puts: batch.flatMap((r) => [
      { key: keys.renewal(r.server), value: r.next },
      ...r.notes.slice(0, notesMax).map((n) => ({ key: keys.event(n.id), value: n.text })),
    ]),
    deletes: [],
    reads: [keys.groups, ...batch.map((r) => keys.renewal(r.server))],
  };
}

/**
 * Answers the batch; those that were only held up by a neighbour's conflict go back to the head of the queue, unless their
 * server has asked again meanwhile.
 */
export function batchEnded(
  r: Renewing,
  answer: TxnAnswer,
): { readonly renewing: Renewing; readonly actions: readonly QuorumAction[] } {
  const batch = r.inFlight?.batch ?? [];
  const done: Renewing = { waiting: r.waiting, inFlight: null };
  if (answer.kind === 'unknown') {
    const result = { kind: 'no-answer', says: answer.says } as const;
    return {
      renewing: done,
      actions: batch.map((w) => ({ kind: 'answer-renew', id: w.request.id, result })),
    };
  }
  const groups = answer.rows.filter((row) => row.key.startsWith(keys.groups)).map((row) => row.value);
  if (answer.kind === 'succeeded') {
    const result = { kind: 'committed', revision: answer.revision, groups } as const;
    return {
      renewing: done,
      actions: batch.map((w) => ({ kind: 'answer-renew', id: w.request.id, result })),
    };
  }
  const actions: QuorumAction[] = [];
  const again: Waiting[] = [];
  for (const w of batch) {
    const current = rowOf(answer.rows, keys.renewal(w.request.server))?.value ?? null;
    if (current === w.request.previous) {
      const newer = done.waiting.some(({ request }) => request.server === w.request.server);
      if (newer) actions.push(superseded(w));
      else again.push(w);
      continue;
    }
    const result = { kind: 'conflict', current, revision: answer.revision, groups } as const;
    actions.push({ kind: 'answer-renew', id: w.request.id, result });
  }
  return { renewing: { waiting: [...again, ...done.waiting], inFlight: null }, actions };
}

function rowOf(rows: readonly Row[], key: string): Row | undefined {
  return rows.find((row) => row.key === key);
}
