/** What members say to each other over UDP, after it was authenticated and parsed. */

import type { BootMs, Epoch, GroupId, MemberId } from './names.ts';
import type { LiveMirror } from './mirror/report.ts';
import type { HoldingState } from './records.ts';

export type Message =
  | Heartbeat
  | HoldRequest
  | HoldPromise
  | { readonly kind: 'sighting-request'; readonly round: number; readonly addresses: readonly string[] }
  | {
      readonly kind: 'sighting';
      readonly round: number;
      readonly address: string;
      /** Null: nobody answered. */
      readonly linkAddress: string | null;
    };

export interface Heartbeat {
  readonly kind: 'heartbeat';
  /** On the sender's boot clock. */
  readonly sentAt: BootMs;
  /** What the sender last heard from the receiver on this path, for the round trip. */
  readonly echo: { readonly sentAt: BootMs; readonly ageMs: number } | null;
  readonly version: string;
  /** Boot of the sender's host: a renewal of another boot says nothing about it. Absent: not told. */
  readonly bootId?: string | undefined;
  readonly leaving: boolean;
  /** Current address of each path of the sender. */
  readonly addresses: readonly string[];
  readonly groups: readonly HeldClaim[];
  readonly vantage: readonly HeardRow[];
  readonly diagnoses: readonly DiagnosisRow[];
  /** Some of the targets of the sender's mirrors, in turn. Absent: it tells of none. */
  readonly mirrors?: readonly LiveMirror[] | undefined;
}

/** The sender's own word on a group. Once it says fenced at an epoch, that stays true for ever. */
export interface HeldClaim {
  readonly group: GroupId;
  readonly epoch: Epoch;
  readonly state: HoldingState;
  /** As in the renewal; here it comes together with the word that it is fenced. Absent: none. */
  readonly drained?: readonly MemberId[] | undefined;
}

/** The sender heard this member on this path that long ago. */
export interface HeardRow {
  readonly member: MemberId;
  readonly path: number;
  readonly ageMs: number;
  readonly rttMs: number | null;
}

export interface DiagnosisRow {
  readonly member: MemberId;
  readonly path: number;
  readonly says: string;
}

/** Rule 11: please promise not to accept a takeover of this group for G. */
export interface HoldRequest {
  readonly kind: 'hold-request';
  readonly group: GroupId;
  readonly epoch: Epoch;
  readonly round: number;
  /** G of the one who asks; the promise lasts at least so long. Absent: the receiver's own. */
  readonly waitMs?: number;
}

export interface HoldPromise {
  readonly kind: 'hold-promise';
  readonly group: GroupId;
  readonly epoch: Epoch;
  readonly round: number;
  readonly promised: boolean;
  readonly reason: string;
}
