/**
 * The store on etcd: linearizable reads and compare-first transactions, each with a deadline.
 *
 * S1: every transport error and every missing answer is 'unknown'. A transaction is never repeated here: the first
 *     one may still be executed, even after its deadline.
 * S2: an answer from another etcd cluster, or one older than what was already seen, is 'unknown' too: its data was
 *     restored, wiped or truncated, and to decide by it could give a group two owners.
 * S3: a read is one revision, whatever its number of pages.
 */

import { status } from '@grpc/grpc-js';
import type { ReadAnswer, Revision, Row, Txn, TxnAnswer } from '@holdfast/core';
import { etcd } from '@holdfast/proto';
import type { Store } from '../store.ts';
import { createCaller, type CallOutcome, type Invoke } from './call.ts';
import { createEndpoints, type EtcdAddress } from './endpoints.ts';
import { prefixRange, rowsOf, rowsOfTxn, txnRequest } from './request.ts';
import { openWatch } from './watch.ts';

export type CompactAnswer =
  | { readonly kind: 'compacted' }
  | { readonly kind: 'refused'; readonly says: string }
  | { readonly kind: 'unknown'; readonly says: string };

export interface EtcdStore extends Store {
  /**
   * Forgets the history before the revision; the current rows stay. Older than an earlier compaction is 'compacted',
   * a revision that does not exist yet is 'refused'.
   */
  compactBefore(revision: Revision, deadlineMs: number): Promise<CompactAnswer>;
}

const pageRows = 500n;
const rowsMax = 50_000;

const range: Invoke<etcd.RangeRequest, etcd.RangeResponse> = (to, ...rest) => to.kv.range(...rest);
const execute: Invoke<etcd.TxnRequest, etcd.TxnResponse> = (to, ...rest) => to.kv.txn(...rest);
const compact: Invoke<etcd.CompactionRequest, etcd.CompactionResponse> = (to, ...rest) =>
  to.kv.compact(...rest);

/** Opens no connection before the first call. `close()` ends all calls and watches. */
export function createEtcdStore(address: EtcdAddress): EtcdStore {
  const endpoints = createEndpoints(address);
  const caller = createCaller(endpoints);
  const watches = new Set<{ close(): void }>();
  const history = createHistory();

  const ask = async <Request, Response extends { readonly header: etcd.ResponseHeader | undefined }>(
    invoke: Invoke<Request, Response>,
    request: Request,
    deadlineMs: number,
  ): Promise<Asked<Response>> => {
    const floor = history.floor();
    return history.judge(await caller.call(invoke, request, deadlineMs), floor);
  };

  const read = async (prefix: string, deadlineMs: number): Promise<ReadAnswer> => {
    const until = performance.now() + deadlineMs;
    const rows: Row[] = [];
    let request: etcd.RangeRequest = { ...prefixRange(prefix), limit: pageRows };
    for (;;) {
      const page = await ask(range, request, until - performance.now());
      if (page.kind === 'unknown') return page;
      rows.push(...rowsOf(page.value));
      const last = page.value.kvs.at(-1);
      const revision = request.revision === 0n ? page.revision : request.revision;
      if (!page.value.more || last === undefined) return { kind: 'read', revision, rows };
      if (rows.length >= rowsMax)
        return { kind: 'unknown', says: `more than ${rowsMax} keys under ${prefix}: not read` };
      // S3: the next page starts right after the last key, at the revision of the first page.
      request = { ...request, key: Buffer.concat([last.key, Buffer.from([0])]), revision };
    }
  };

  const txn = async (request: etcd.TxnRequest, deadlineMs: number): Promise<TxnAnswer> => {
    const answer = await ask(execute, request, deadlineMs);
    if (answer.kind === 'unknown') return answer;
    const kind = answer.value.succeeded ? 'succeeded' : 'compare-failed';
    return { kind, revision: answer.revision, rows: rowsOfTxn(answer.value) };
  };

  return {
    read,
    // Not async: a transaction that can't be asked for throws where it was written.
    txn: (wanted: Txn, deadlineMs) => txn(txnRequest(wanted), deadlineMs),
    watch(prefix, on) {
      const watch = openWatch(endpoints, prefix, on);
      watches.add(watch);
      return {
        close() {
          watches.delete(watch);
          watch.close();
        },
      };
    },
    async compactBefore(revision, deadlineMs) {
      const outcome = await caller.call(compact, { revision, physical: false }, deadlineMs);
      if (outcome.kind === 'answer') return { kind: 'compacted' };
      if (outcome.code !== status.OUT_OF_RANGE) return { kind: 'unknown', says: outcome.says };
      if (outcome.details.includes('has been compacted')) return { kind: 'compacted' };
      return { kind: 'refused', says: outcome.says };
    },
    close() {
      for (const watch of watches) watch.close();
      watches.clear();
      endpoints.close();
    },
  };
}

type Asked<T> =
  | { readonly kind: 'answer'; readonly value: T; readonly revision: Revision }
  | { readonly kind: 'unknown'; readonly says: string };

/** S2: what this store has seen so far, against which each answer is judged. */
interface History {
  /** Taken before a call: its answer may not be older. Calls that overlap may be answered in any order. */
  floor(): Revision;
  judge<T extends { readonly header: etcd.ResponseHeader | undefined }>(
    outcome: CallOutcome<T>,
    floor: Revision,
  ): Asked<T>;
}

function createHistory(): History {
  let clusterId: bigint | null = null;
  let highest: Revision = 0n;
  return {
    floor: () => highest,
    judge(outcome, floor) {
      if (outcome.kind === 'failed') return { kind: 'unknown', says: outcome.says };
      const { value, endpoint } = outcome;
      const header = value.header;
      if (header === undefined)
        return { kind: 'unknown', says: `etcd at ${endpoint} answered without a header` };
      clusterId ??= header.clusterId;
      if (header.clusterId !== clusterId) {
        const says = `etcd at ${endpoint} belongs to another cluster (${header.clusterId.toString(16)}, not ${clusterId.toString(16)})`;
        return { kind: 'unknown', says };
      }
      if (header.revision < floor) {
        const says = `etcd at ${endpoint} went back from revision ${floor.toString()} to ${header.revision.toString()}: its data was restored or damaged`;
        return { kind: 'unknown', says };
      }
      if (header.revision > highest) highest = header.revision;
      return { kind: 'answer', value, revision: header.revision };
    },
  };
}
