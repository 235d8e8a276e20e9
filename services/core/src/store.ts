/**
 * The store as the core sees it: a small linearizable map with revisions, changed only by transactions that
 * compare first. etcd implements it in production, services/sim in simulations.
 *
 * An answer is one of three things, and the third matters most: an unknown outcome is neither success nor failure.
 * The transaction may have happened, may happen later, or never.
 */

import type { Revision } from './names.ts';

export interface Row {
  readonly key: string;
  readonly value: string;
  /** Revision of the last change of this key. */
  readonly modRevision: Revision;
}

export type Compare =
  /** modRevision 0 means: the key does not exist. */
  | { readonly kind: 'mod-revision'; readonly key: string; readonly revision: Revision }
  | { readonly kind: 'value'; readonly key: string; readonly value: string };

export interface Txn {
  readonly compares: readonly Compare[];
  readonly puts: readonly { readonly key: string; readonly value: string }[];
  readonly deletes: readonly string[];
  /** Prefixes read in the same transaction, whether or not the compares held; after the puts when they did. */
  readonly reads: readonly string[];
}

/** etcd refuses more than 128 in a transaction; the margin is for what a caller may not count. */
export const opsMax = 120;

/** As etcd counts: the compares by themselves, and what is done when they hold. */
export function opsOf({ compares, puts, deletes, reads }: Txn): number {
  return Math.max(compares.length, puts.length + deletes.length + reads.length);
}

export type TxnAnswer =
  | { readonly kind: 'succeeded'; readonly revision: Revision; readonly rows: readonly Row[] }
  /** A compare did not hold: nothing was changed. */
  | { readonly kind: 'compare-failed'; readonly revision: Revision; readonly rows: readonly Row[] }
  | { readonly kind: 'unknown'; readonly says: string };

export type ReadAnswer =
  | { readonly kind: 'read'; readonly revision: Revision; readonly rows: readonly Row[] }
  | { readonly kind: 'unknown'; readonly says: string };
