/** The two roles that a mirror can have on a member, as its seat (seat.ts) handles them. */

import type { Epoch, MemberId, MirrorDataset, MirrorOrder, MirrorReport, MirrorRole } from '@holdfast/core';
import { errorCode, errorText, type MemberDirectory } from '@holdfast/wire/directory';
import type { Log } from '@holdfast/wire/log';
import type { MirrorRun, MirrorRunRow } from '@holdfast/wire/mirror';
import type { Door } from './door.ts';

export type SourceRole = Extract<MirrorRole, { kind: 'source' }>;
export type TargetRole = Extract<MirrorRole, { kind: 'target' }>;
export type SourceReport = Extract<MirrorReport, { kind: 'source' }>;
export type TargetReport = Extract<MirrorReport, { kind: 'target' }>;

/** What became of something that was asked. */
export type Answered =
  /** settled: nobody else need be told. */
  | { readonly kind: 'done'; readonly says: string; readonly settled?: true }
  | { readonly kind: 'drained'; readonly targets: readonly MemberId[] }
  | { readonly kind: 'failed'; readonly as: 'not-found' | 'invalid' | 'failed'; readonly says: string };

export const failed = (says: string): Extract<Answered, { kind: 'failed' }> => ({
  kind: 'failed',
  as: 'failed',
  says,
});

/** What the disk says is an answer; anything else is a mistake. */
export function refused(error: unknown): Extract<Answered, { kind: 'failed' }> {
  if (errorCode(error) === '') throw error;
  return failed(errorText(error));
}

export interface RunPorts {
  readonly row: (row: MirrorRunRow) => void;
  /** Between two pieces of a long list: resolves when whoever asked has taken what was told, or went away. */
  readonly room: () => Promise<void>;
  /** Aborted when whoever asked went away. */
  readonly signal: AbortSignal;
}

/** over: it may not be the source any more. restart: the process ends, and the next one may go on. */
export type Closing = 'over' | 'restart';

export interface SourceSide {
  /** Targets, their rates and pauses, the selection's periods: whatever changed of the order but not its epoch. */
  change(order: MirrorOrder, role: SourceRole): void;
  report(): SourceReport;
  /** Empty while the root is the folder that it was when this was opened; else why not: it has to be opened anew. */
  readonly lost?: string;
  /** Resolves at `limitMs` at the latest, with the targets that hold everything. */
  drain(to: MemberId | null, limitMs: number): Promise<readonly MemberId[]>;
  /** It stays the source after all: what was held for a drain goes on. Absent: nothing is. */
  writable?(): void;
  run(run: MirrorRun, ports: RunPorts): Promise<Answered>;
  /** With a clean mark on disk. */
  close(why: Closing): Promise<void>;
}

export interface TargetSide {
  /** Whose frames are taken; null: nobody's. */
  change(order: MirrorOrder, role: TargetRole | null): void;
  report(): TargetReport;
  /** As of a source. */
  readonly lost?: string;
  /** Whether the copy is at a position that the source was in. */
  readonly consistent: boolean;
  /** Nothing is taken any more, everything durable is applied, and the root is writable. */
  promote(epoch: Epoch): Promise<Answered>;
  run(run: MirrorRun, ports: RunPorts): Promise<Answered>;
  close(): Promise<void>;
}

/** What the roles of every kind are made from. */
export interface SidesPorts {
  readonly directory: MemberDirectory;
  readonly log: Log;
  readonly door: Door;
}

/** Opens a role on disk, of mirrors with one kind of dataset. A failure may pass: it is tried again. */
export interface Sides<D extends MirrorDataset = MirrorDataset> {
  source(
    order: MirrorOrder<D>,
    role: SourceRole,
    grantUntil: () => number | null,
  ): Promise<Opened<SourceSide>>;
  target(order: MirrorOrder<D>, role: TargetRole | null): Promise<Opened<TargetSide>>;
  /** What diverged, of a mirror that has no role open here. */
  kept(order: MirrorOrder<D>, run: MirrorRun, ports: RunPorts): Promise<Answered>;
  /** A person says that a root that was refused is meant to be as it is. Nothing of this mirror is open. */
  confirm?(order: MirrorOrder<D>): Promise<Answered>;
  /** It is nobody's target any more: whoever works here may write to its data again. Empty when it is so. */
  release(order: MirrorOrder<D>): string;
  /** Its order was taken away, and nobody sees what is written to its data from now on. Empty when that is on record. */
  forget(order: MirrorOrder<D>): Promise<string>;
}

export type Opened<Side> =
  { readonly kind: 'open'; readonly side: Side } | { readonly kind: 'failed'; readonly says: string };
