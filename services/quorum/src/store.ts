/** The store as the shell of the quorum service calls it; the data shapes are core's. */

import type { ReadAnswer, Revision, Row, Txn, TxnAnswer } from '@holdfast/core';

export interface Store {
  /** Linearizable read of everything under the prefix. Never rejects; no answer in time is 'unknown'. */
  read(prefix: string, deadlineMs: number): Promise<ReadAnswer>;
  /** Never rejects; no answer in time is 'unknown', and it may still happen. */
  txn(txn: Txn, deadlineMs: number): Promise<TxnAnswer>;
  /**
   * Changes under the prefix as they happen. A hint: it may lose some, so read again after `lost`
   * and on a period. Reconnects by itself until closed.
   */
  watch(prefix: string, on: StoreWatch): StoreWatchHandle;
  close(): void;
}

export interface StoreWatch {
  /** Deleted keys come with a null value. */
  changed(revision: Revision, rows: readonly (Row | DeletedRow)[]): void;
  /** Events may have been lost: the connection broke or was re-established. */
  lost(says: string): void;
}

export interface DeletedRow {
  readonly key: string;
  readonly value: null;
  readonly modRevision: Revision;
}

export interface StoreWatchHandle {
  close(): void;
}
