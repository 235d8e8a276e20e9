/**
 * What the mirror process of a member is to do now: one order for each mirror that lies on this member. Level-triggered:
 * always the whole truth, so a lost order costs nothing, and one that comes twice changes nothing.
 *
 *   O1  a member is the source only while it holds the group, and never longer than its grant: grantUntil is the moment
 *       at which the owner begins to fence (node.ts, mayActUntil)
 *   O2  whoever does not hold the group is a target of the owner on record, or idle; never both roles
 *   O3  the epoch of an order never falls: it is that of the group's record, or of the configuration
 */

import type { FilesConfig, Throttle, VolumeConfig } from '../config/types.ts';
import type { BootMs, Epoch, MemberId, MirrorId } from '../names.ts';

export interface MirrorOrders {
  /** Sorted by name. A mirror that is not among them has no business here any more: its data stays where it is. */
  readonly mirrors: readonly MirrorOrder[];
}

export interface MirrorOrder<D extends MirrorDataset = MirrorDataset> {
  /** GROUP/NAME, or the name of a mirror without a failover. A copy of a group's mirror goes by the group's name. */
  readonly mirror: MirrorId;
  /** What is copied, as it lies on this member. */
  readonly dataset: D;
  readonly keepMaxBytes: number | null;
  readonly role: MirrorRole;
}

export type MirrorDataset = FilesDataset | VolumeDataset;

export interface FilesDataset extends FilesConfig {
  readonly kind: 'files';
  /** Period of the metadata scan that is the truth behind the change feed. */
  readonly scanEveryMs: number;
}

/** The owner exports it over NBD; whoever attaches it there is the agent's concern. */
export interface VolumeDataset extends Omit<VolumeConfig, 'attach'> {
  readonly kind: 'volume';
}

export type MirrorRole =
  | {
      readonly kind: 'source';
      readonly epoch: Epoch;
      /** On the boot clock; nothing is sent from then on. Null: a mirror without a failover needs no grant. */
      readonly grantUntil: BootMs | null;
      readonly targets: readonly MirrorTarget[];
    }
  | MirrorTargetRole
  /** Neither sends nor takes anything. */
  | { readonly kind: 'idle'; readonly epoch: Epoch; readonly says: string };

/** Frames are taken from these members only, at this epoch or a higher one. */
export interface MirrorTargetRole {
  readonly kind: 'target';
  readonly epoch: Epoch;
  readonly sources: readonly MemberId[];
  /** The last epoch at which the group was given by force (both-written.ts). Absent: it never was. */
  readonly forced?: Epoch | undefined;
}

export interface MirrorTarget {
  readonly member: MemberId;
  /** In the order in which to try them: the private path before the service network. */
  readonly addresses: readonly string[];
  readonly port: number;
  readonly throttle: Throttle | null;
  readonly compress: 'auto' | 'always' | 'never';
  readonly encrypt: 'always' | 'never';
  /** The reason of whoever paused it; null: it is not paused. */
  readonly paused: string | null;
  /** A copy elsewhere of a group's mirror, with which nobody takes over: no write waits for it. Absent: it may be waited for. */
  readonly elsewhere?: true | undefined;
}
