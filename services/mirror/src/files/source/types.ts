/**
 * What the rest of the mirror process sees of the source side of a file mirror: how one is made, what it reports, and
 * what can be asked of it. The source itself is in file-source.ts.
 */

import type { BootMs, Epoch, MirrorSourceReport } from '@holdfast/core';
import type { Feed, FeedListener } from '../../feed/types.ts';
import type { EntryKind } from '../../os/types.ts';
import type { Dialed } from '../../transport/types.ts';
import type { Foreign } from '../target/types.ts';

/** One copy to keep in step. Throttle and compression belong to the connection that `dial` makes. */
export interface SourceTarget {
  /** The member that has it. */
  readonly member: string;
  /** Makes a connection, each time anew. Has to give up when the signal says so, and within a deadline of its own. */
  dial(signal: AbortSignal): Promise<Dialed>;
  /** The reason of whoever paused it; null: it is not paused. */
  readonly paused: string | null;
  /** No write waits for it. */
  readonly elsewhere?: true | undefined;
}

/** What a source needs to know of the selection (files/selection.ts). */
export interface SourceSelection {
  readonly digest: Uint8Array;
  /** Relative to the root. False: not part of the mirror. */
  includes(path: Buffer, kind?: EntryKind): boolean;
  /** False: neither the folder nor anything beneath it is part of the mirror. */
  enters(folder: Buffer): boolean;
}

export interface SourceOptions {
  /** DIR/mirror/NAME. Made when missing. */
  readonly dir: string;
  /** The folder that is mirrored, absolute. Has to exist. */
  readonly root: string;
  /** d3/data, or the name of a mirror without a failover. */
  readonly name: string;
  readonly cluster: string;
  /** This member's name. */
  readonly self: string;
  /** Of the group's ownership; written into the history before anything is sent. */
  readonly epoch: Epoch;
  /** On the boot clock: nothing is sent from then on. Null: no grant is needed. Asked before every frame. */
  grantUntil(): BootMs | null;
  bootMs(): BootMs;
  readonly selection: SourceSelection;
  /** Device nodes travel. */
  readonly devices: boolean;
  /** How often everything is looked at, in milliseconds. Default 600,000; from 1,000 up, by itself, without a feed. */
  readonly scanEveryMs?: number;
  /** How long a batch waits for files that change while they are read, in milliseconds. Default 2,000. */
  readonly settleMs?: number;
  /** For how long a target lacks ever more before its line is called too slow, in milliseconds. Default 10,000. */
  readonly slowAfterMs?: number;
  /** Made again when it ended. */
  makeFeed(listener: FeedListener): Feed;
  readonly targets: readonly SourceTarget[];
  /** Tests end the process at a point by its name. */
  readonly failPoint?: (name: string) => void;
  /** One sentence for the log of the process. */
  readonly says?: (sentence: string) => void;
}

/** `rows` in the words of the contract; `sequence` is the last change that was noticed. */
export type SourceReport = MirrorSourceReport;

export type SourceStarted =
  | { readonly kind: 'started' }
  /** The root, the catalog or the epoch does not allow it. */
  | { readonly kind: 'failed'; readonly says: string };

/** One target after drain(). */
export type Drained =
  /** Durable there: everything that happened before drain() was called. */
  | { readonly kind: 'in-step'; readonly member: string; readonly sequence: number }
  /** The deadline came first; `says` has the reason. */
  | { readonly kind: 'behind'; readonly member: string; readonly says: string };

export type Verified =
  | { readonly kind: 'compared'; readonly compared: number; readonly differences: readonly Foreign[] }
  | { readonly kind: 'failed'; readonly says: string };

/** An order of a person that could be given, or why not. */
export type Ordered = { readonly kind: 'done' } | { readonly kind: 'failed'; readonly says: string };
