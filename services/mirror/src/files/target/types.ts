/**
 * What the rest of the mirror process sees of the target side of a file mirror: how one is made, what it reports, and
 * what can be asked of it. The target itself is in file-target.ts.
 */

import type { Epoch, Position } from '@holdfast/core';
import type { Catalog } from '../../catalog/types.ts';
import type { RefusalCode } from '../../transport/types.ts';
import type { Protection } from './cover.ts';

/** What a target needs to know of the selection: that both sides have the same one, and what is part of the mirror. */
export interface TargetSelection {
  /** Both sides compare it; a target refuses a source that mirrors other files. */
  readonly digest: Uint8Array;
  /** Relative to the root. False: not part of the mirror (excluded, a staging folder, state of Holdfast). */
  includes(path: Buffer): boolean;
}

export interface TargetOptions {
  /** DIR/mirror/NAME, where the log, the seen epoch and what is kept aside live. Made when missing. */
  readonly dir: string;
  /** The folder that is mirrored, absolute. Has to exist. */
  readonly root: string;
  /** d3/data, or the name of a mirror without a failover. */
  readonly name: string;
  readonly cluster: string;
  /** This member's name. */
  readonly self: string;
  readonly selection: TargetSelection;
  /** Roots of all other mirrors of which this member is a target, absolute. One inside the other is refused. */
  readonly otherRoots: readonly string[];
  /** Most bytes that are kept aside. Null: 10 % of the file system, at least 1 GiB. */
  readonly keepMaxBytes: number | null;
  readonly catalog: Catalog;
  /**
   * The root is protected against writes of others from the first consistent position on (os/read-only.ts).
   */
  readonly covered: boolean;
  /** How long something that the disk refused is tried again before the connection is dropped. Default 60,000. */
  readonly retryMs?: number;
  /** The longest pause between two tries. Default 2,000. */
  readonly pauseMs?: number;
  /** Period of the search for foreign changes, in milliseconds. Default 3,600,000; 0 searches on demand only. */
  readonly foreignPeriodMs?: number;
  /** A staging folder inside the root goes when nothing needed it for so long, in milliseconds. Default 5,000. */
  readonly unusedMs?: number;
  /** Tests end the process at a point by its name. */
  readonly failPoint?: (name: string) => void;
  /** One sentence for the log of the process. */
  readonly says?: (sentence: string) => void;
}

export type TargetPhase =
  /** No connection. */
  | 'disconnected'
  /** Connected, and not consistent before the first copy is complete. */
  | 'initial-copy'
  /** Connected, comparing or out of order after a break. */
  | 'resync'
  | 'replicating'
  /** It was an owner, and holds writes of its own that are not kept aside yet, or that nobody compared. */
  | 'diverged'
  /** The disk, or the room for what is kept aside, does not let it apply; `says` has the reason. */
  | 'waiting'
  /** promote() was called: it accepts nothing any more. */
  | 'promoted'
  /** Can't go on without a person; `says` has the reason. */
  | 'failed';

export interface TargetReport {
  readonly phase: TargetPhase;
  /** One sentence. Empty when there is nothing to say. */
  readonly says: string;
  /** Who is connected as the source, or null. */
  readonly source: string | null;
  /** The last position that is durable here. Null: nothing was ever received. */
  readonly position: Position | null;
  /** The highest epoch that was durably seen. */
  readonly epoch: Epoch;
  readonly consistent: boolean;
  /** Bytes received of the open batch. */
  readonly receivedBytes: number;
  /** Bytes of the log that are committed and not yet applied. */
  readonly unappliedBytes: number;
  readonly protection: Protection;
  /** Entries that differ from what was replicated, as the last search found; null before the first. */
  readonly foreignChanges: number | null;
  /** Of the divergence store. */
  readonly kept: { readonly entries: number; readonly bytes: number; readonly maxBytes: number };
}

/** What became of a connection that was handed over. */
export type Accepted =
  | { readonly kind: 'accepted' }
  | { readonly kind: 'refused'; readonly code: RefusalCode; readonly says: string };

/**
 * One entry of the divergence store, as `holdfast mirror divergence -o json` shows it. `path` is bytes, and shown as UTF-8
 * by the border.
 */
export interface Kept {
  readonly path: Buffer;
  readonly size: number;
  /** Wall time in milliseconds. Of a deletion: when it was noticed. */
  readonly modifiedMs: number;
  readonly change: 'written' | 'created' | 'deleted';
  /** The member that made the change. */
  readonly from: string;
  readonly epoch: Epoch;
  /** False for what has no contents to keep (a deletion). */
  readonly kept: boolean;
}

export type KeptAnswer = { readonly kind: 'done' } | { readonly kind: 'failed'; readonly says: string };

/** Who waits for something long. */
export interface Watched {
  /** Aborted: nobody does any more. */
  readonly signal: AbortSignal;
  readonly progress: (doneBytes: number, totalBytes: number) => void;
}

/** The divergence store, as the orders of a person see it. */
export interface Divergence {
  list(): readonly Kept[];
  show(path: Buffer): Kept | null;
  /** Copies kept contents into the folder `to` (absolute, has to exist); never overwrites. Durable when it is done. */
  restore(path: Buffer, to: string, watched?: Watched): Promise<KeptAnswer>;
  /** Null: everything. */
  discard(path: Buffer | null): KeptAnswer;
}

export interface Foreign {
  readonly path: Buffer;
  readonly kind: 'missing' | 'extra' | 'contents' | 'metadata';
}

export interface Promoted {
  readonly position: Position | null;
  readonly consistent: boolean;
}
