/**
 * What the store (etcd) holds, parsed once into immutable records.
 *
 *   renewals/SERVER   RenewalRecord   written only by its server, through a quorum service
 *   groups/GROUP      GroupRecord     written only by the leader, by compare-and-swap
 *   leader            LeaderRecord
 *   config            the desired state
 *   pauses            mirrors that a person paused
 *   operations/ID     ended operations
 *   events/ID         the history
 */

import type { MirrorCopy } from './mirror/report.ts';
import type { Epoch, GroupId, MemberId, MirrorId, OperationId, Revision, WallMs } from './names.ts';

/**
 * Who may act for a group. `owned` is the only kind in which the owner may acquire or stay active;
 * in `releasing` the owner still owns, and is asked to stop.
 */
export type Ownership =
  | { readonly kind: 'unowned'; readonly epoch: Epoch; readonly lastOwner: MemberId | null }
  | {
      readonly kind: 'owned';
      readonly epoch: Epoch;
      readonly owner: MemberId;
      /** Who may still be letting go: until that is known to be over, the owner begins nothing (docs/adr/0023). */
      readonly after?: Former | undefined;
    }
  | {
      readonly kind: 'releasing';
      readonly epoch: Epoch;
      readonly owner: MemberId;
      /** Null: nobody is to take over; the group is to be left unowned. */
      readonly to: MemberId | null;
    };

/** A server and the epoch at which it had a group. */
export interface Former {
  readonly server: MemberId;
  readonly epoch: Epoch;
}

export interface GroupRecord {
  readonly group: GroupId;
  readonly ownership: Ownership;
  /** At most one at a time (I7). */
  readonly operation: Operation | null;
  /** Boot of the host in which the (last) owner was given the group; null while nobody ever was. */
  readonly ownerBoot: string | null;
  /** Cluster times (quorum/cluster-clock.ts) of the failovers of the last hour (I11). */
  readonly failovers: readonly number[];
  /** Cluster times of the last hour's moves away from an owner in trouble (quorum/trouble.ts). Absent: none. */
  readonly moves?: readonly number[] | undefined;
  /** Cluster time of the last automatic failback, for an hour. */
  readonly failedBackAt?: number | undefined;
  /** No automatic failback to this server: the next one is a person's, and why. */
  readonly failbackWaits?: FailbackWaits | undefined;
  /** Cluster time at which the owner refused to release it. Absent: it did not, or something became of the group since. */
  readonly refusedAt?: number | undefined;
  /** A person's no to the takeover from this epoch's owner (quorum/denial.ts). */
  readonly denied?:
    { readonly epoch: Epoch; readonly word: 'silent' | 'fenced'; readonly by: string } | undefined;
  /** One sentence: why the ownership is what it is. */
  readonly reason: string;
  readonly since: WallMs;
  /** How long takeovers took, the newest last, at most 8. From declaration to active. */
  readonly takeoverMs: readonly number[];
  /** Whose data counts, and of which epoch: the last owner that may have written before the present one is active. */
  readonly data?: { readonly server: MemberId; readonly epoch: Epoch } | undefined;
  /** The last epoch at which it was given by force, away from an owner whose writes nobody waited for. Absent: it never was. */
  readonly forced?: Epoch | undefined;
}

export interface FailbackWaits {
  readonly server: MemberId;
  readonly why: string;
  /** A person moved the group there: that holds for as long as it is there. Absent: it is not a person's wish. */
  readonly chosen?: MemberId | undefined;
}

export type OperationKind = 'start' | 'failover' | 'switchover' | 'failback' | 'release';

export type OperationPhase =
  | 'awaiting-approval'
  /** The former owner is asked to release. */
  | 'releasing'
  /** The new owner acquires. */
  | 'acquiring'
  /** The new owner could not; the former one is taking back over. */
  | 'rolling-back';

/** What administrators see of a group. */
export type Phase =
  | 'stopped'
  | 'starting'
  | 'active'
  | 'releasing'
  | 'failing-over'
  | 'awaiting-approval'
  | 'blocked'
  | 'observe';

export type OperationOutcome = 'done' | 'failed' | 'rolled-back' | 'denied';

export interface Operation {
  readonly id: OperationId;
  readonly group: GroupId;
  readonly kind: OperationKind;
  readonly from: MemberId | null;
  readonly to: MemberId | null;
  /** "holdfast" or the name of the operator. */
  readonly by: string;
  readonly phase: OperationPhase;
  readonly forced: boolean;
  readonly reason: string;
  readonly startedAt: WallMs;
  readonly steps: readonly StepRecord[];
}

export interface EndedOperation extends Omit<Operation, 'phase'> {
  readonly outcome: OperationOutcome;
  readonly endedAt: WallMs;
  readonly says: string;
}

export interface StepRecord {
  readonly name: string;
  readonly server: MemberId;
  readonly ms: number;
  readonly outcome: 'running' | 'done' | 'failed';
  readonly says: string;
}

/** A server's proof of life, and its own account of its groups. Level-triggered: always the whole truth. */
export interface RenewalRecord {
  readonly server: MemberId;
  /** Rises with every start of the agent. */
  readonly incarnation: number;
  /** Rises with every renewal tried. */
  readonly counter: number;
  /** The kernel's boot id: a new one means the host was down. */
  readonly bootId: string;
  /**
   * Store revision of the first renewal of this boot; null until it is known. A standby whose boot is younger than
   * the owner's last renewal was down together with it, and its data may be older (rule 10).
   */
  readonly bootRevision: bigint | null;
  readonly version: string;
  /** The agent is on its way down and takes nothing over. */
  readonly leaving: boolean;
  /**
   * G of each group of this server, by the configuration that it acts under. Who judges it waits at least so long, so
   * that a shorter outage can't be applied behind an owner's back.
   */
  readonly waits: Readonly<Record<GroupId, number>>;
  /** It begins nothing while a former owner lets go. Absent: version 0.1.0, which does not know of that. */
  readonly awaitsFormer?: boolean | undefined;
  /** The boot rule is not done yet, so it takes nothing over. Absent: it is, or an older version, which does not tell. */
  readonly clearing?: boolean | undefined;
  /** The newest configuration that everything here agrees with. Absent: an older version, which does not tell. */
  readonly actsUnder?: Revision | undefined;
  /** The servers of each group that it asks to hold when it can't renew. Absent: an older version, which does not tell. */
  readonly asks?: Readonly<Record<GroupId, readonly MemberId[]>> | undefined;
  readonly groups: readonly GroupReport[];
  /** The copies of which this server is a target. Absent: none. */
  readonly mirrors?: readonly MirrorCopy[] | undefined;
}

export type HoldingState = 'acquiring' | 'active' | 'releasing' | 'fenced' | 'failed';

/** What a server says of a group that it holds or held. */
export interface GroupReport {
  readonly group: GroupId;
  readonly epoch: Epoch;
  /**
   * fenced: nothing of this epoch runs here any more, and never will again.
   * failed: acquiring did not work; everything was undone, as with fenced.
   */
  readonly state: HoldingState;
  /** Why, in words; empty when there is nothing to say. */
  readonly says: string;
  readonly steps: readonly StepRecord[];
  readonly resources: Readonly<Record<string, ResourceState>>;
  /** A planned release that the owner asks for, with its reason: a resource that can't be restarted, for one. */
  readonly wantsRelease: string | null;
  /** A release that could not be carried out (a hook said no): the owner is active again. */
  readonly releaseRefused: string | null;
  /** Servers whose copies hold everything that was ever written at this epoch: it was drained to them. Absent: none. */
  readonly drained?: readonly MemberId[] | undefined;
  /** It failed long enough ago to be tried again, where nobody else can. Absent: no. */
  readonly rested?: boolean | undefined;
}

export type ResourceState = 'running' | 'stopped' | 'starting' | 'stopping' | 'failed' | 'unknown';

export interface LeaderRecord {
  readonly member: MemberId;
  readonly incarnation: number;
  /** Rises with every change of leader. */
  readonly term: number;
  /** It let go: whoever can may lead at once. Absent: no. */
  readonly left?: boolean | undefined;
}

/** Somebody's word that decisions are to be explained and not carried out. */
export interface MaintenanceRecord {
  readonly cluster: string | null;
  readonly servers: Readonly<Record<MemberId, string>>;
  readonly groups: Readonly<Record<GroupId, string>>;
}

export const noMaintenance: MaintenanceRecord = { cluster: null, servers: {}, groups: {} };

/** Mirrors that a person paused: for each, the target (or `everyTarget`) and the reason. */
export interface PauseRecord {
  readonly mirrors: Readonly<Record<MirrorId, Readonly<Record<MemberId, string>>>>;
}

export const everyTarget = '*';

export const noPauses: PauseRecord = { mirrors: {} };

export interface EventRecord {
  readonly id: string;
  readonly time: WallMs;
  readonly group: GroupId | null;
  readonly server: MemberId | null;
  readonly kind: string;
  readonly reason: string;
  readonly epoch: Epoch | null;
  /** What the decision was made from, at a glance; quorum/decision.ts keeps all of it. */
  readonly inputs: unknown;
}
