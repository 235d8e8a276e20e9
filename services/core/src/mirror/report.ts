/**
 * What the mirror process of a member tells its agent, and what of that the others get to know: with every renewal what
 * a takeover may rest on (MirrorCopy), and with heartbeats what is shown (LiveMirror).
 */

import type { BootMs, Epoch, MemberId, MirrorId } from '../names.ts';

export type MirrorState = (typeof mirrorStates)[number];

export const mirrorStates = [
  'initial-copy',
  'resync',
  'replicating',
  /** A person paused it. */
  'paused',
  /** It paused by itself: the line or the disk can't keep up, or there is no room to keep versions aside. */
  'waiting',
  'disconnected',
  /** The target holds writes of its own that could not be kept aside yet, or may not be before a person chose a side. */
  'diverged',
  'failed',
] as const;

/**
 * When a mirror process tells its agent: it looks every `lookMs`, figures that changed go out after `figuresMs`, and what
 * stayed as it was after `restMs`, so that silence means that nobody looks.
 */
export const telling = { lookMs: 100, figuresMs: 200, restMs: 1_000 } as const;

/** How long nobody has looked, of a silence: nothing of one in which it would not have told. */
export const unseenMs = (silentMs: number): number => (silentMs > 2 * telling.restMs ? silentMs : 0);

/** The figures of a source's report that its agent has are not older than this, while the mirror process looks. */
export const figuresAgeMs = 400;

/** A word of the source that reached a target is not older than this, where that counts it as fresh: beats come every 250 ms. */
export const freshWordMs = 1_500;

/** A target knows that it can't go on; its source may see no more than that it is not there. */
export const isStuck = (state: MirrorState): boolean => state === 'failed' || state === 'diverged';

/** Level-triggered: the whole list each time, one row for each mirror that has a role here. */
export type MirrorReport = MirrorSourceReport | MirrorTargetReport;

export interface MirrorSourceReport {
  readonly kind: 'source';
  readonly mirror: MirrorId;
  readonly epoch: Epoch;
  /** The last change of the source itself. */
  readonly sequence: number;
  /** Why it can't work (the root is missing); empty when it can. */
  readonly says: string;
  /** Of a volume that is open: where NBD clients find it, nbd+unix:///NAME?socket=PATH. */
  readonly export: string | null;
  readonly targets: readonly MirrorRow[];
  /** Why the data itself can't be written here (disk full, input/output error). Absent: it can. */
  readonly dataTrouble?: string | undefined;
  /** What this server keeps aside of a former life as an owner. Absent: nothing. */
  readonly kept?: { readonly entries: number; readonly bytes: number } | undefined;
}

/** One target as its source sees it. */
export interface MirrorRow {
  readonly target: MemberId;
  readonly state: MirrorState;
  readonly consistent: boolean;
  readonly behindBytes: number;
  /** Age of the oldest change that the target lacks. */
  readonly behindMs: number;
  /** Of the copy or resync under way. */
  readonly totalBytes: number;
  readonly doneBytes: number;
  readonly rateBytesPerSecond: number;
  /** Why, in words; empty when there is nothing to say. */
  readonly says: string;
  /** Absent: none. */
  readonly hot?: HotFiles | undefined;
}

/** Files that never held still while they were read: at the target they may be of two moments. */
export interface HotFiles {
  readonly count: number;
  /** Some of them, as a person reads paths. */
  readonly named: readonly string[];
}

export interface MirrorTargetReport {
  readonly kind: 'target';
  readonly mirror: MirrorId;
  /** Of the source that it last heard in this life of the mirror process; 0n: of none. */
  readonly epoch: Epoch;
  /** The last position that is durable here. */
  readonly sequence: number;
  readonly consistent: boolean;
  readonly state: MirrorState;
  /** The last word of the source on what this copy lacks; null: none in this life. */
  readonly word: { readonly at: BootMs; readonly behindMs: number; readonly behindBytes: number } | null;
  readonly says: string;
  /** diverged: because a person has to choose which side survives. Absent: for want of room. */
  readonly choice?: true | undefined;
  /** Sources that were refused because of their epoch, in this life of the mirror process; absent: no copy is open. */
  readonly refusedEpochs?: number | undefined;
  /** Absent: it has nothing to tell, as a volume has not. */
  readonly notes?: CopyNotes | undefined;
}

/** What a person should know of a copy that goes on all the same. */
export interface CopyNotes {
  /** Entries that somebody else changed here, as the last search found; null: none in this life. */
  readonly foreign: number | null;
  /** Why its folder is not protected; empty while it is, and before there is anything to protect. */
  readonly unprotected: string;
  /** What is kept aside here, by a former owner. */
  readonly keptEntries: number;
  readonly keptBytes: number;
}

/** A copy as its server tells of it in its renewals. Coarse: it changes only with what somebody decides by. */
export interface MirrorCopy {
  readonly mirror: MirrorId;
  readonly epoch: Epoch;
  readonly sequence: number;
  readonly consistent: boolean;
  readonly state: MirrorState;
  /** By the last word of the source. Null: not known in this life. */
  readonly lossMs: number | null;
  readonly lossBytes: number | null;
  /** How old that word was when the renewal was sent; 0 while it is fresh, null when there is none. */
  readonly wordAgeMs: number | null;
  readonly says: string;
  /** As its server says it (MirrorTargetReport). */
  readonly choice?: true | undefined;
  /** Of its notes, what others see. Absent: none, protected, nothing. */
  readonly foreign?: number | undefined;
  readonly unprotected?: string | undefined;
  readonly kept?: number | undefined;
}

/** A row of a source as it travels in heartbeats. */
export interface LiveMirror extends MirrorRow {
  readonly mirror: MirrorId;
  readonly epoch: Epoch;
  /** Where NBD clients on the source find the volume. */
  readonly export?: string | undefined;
}

/** The state of each target that was last told as an event, by "mirror target"; of a copy here that is stuck, by "mirror", and of one that others changed, by "mirror!". */
export type ToldMirrors = ReadonlyMap<string, { readonly state: MirrorState; readonly at: BootMs }>;
