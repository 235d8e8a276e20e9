/**
 * The desired state, after validation: every default filled in, every duration in milliseconds.
 * parse.ts makes it from what a person wrote; nothing else in Holdfast sees the raw form.
 */

import type { Command, GroupId, MemberId } from '../names.ts';
import type { TimeRules } from '../time.ts';

export interface ClusterConfig {
  readonly groups: ReadonlyMap<GroupId, GroupConfig>;
  readonly servers: ReadonlyMap<MemberId, ServerConfig>;
}

/** What only concerns one server. All optional in the file. */
export interface ServerConfig {
  /** Address whose silence means "it is me who is cut off". */
  readonly gateway: string | null;
  /** Watchdog device that the guard resets the host through. */
  readonly watchdog: string | null;
  /** Command that powers this server off or cuts it off; called by another server. */
  readonly fence: Command | null;
}

export type TakeoverMode = 'automatic' | 'manual' | 'observe';
/** What an owner does that can neither renew nor collect a full set of promises (rule 11). */
export type ControlLoss = 'failsafe' | 'fence' | 'freeze';

export interface GroupConfig {
  readonly name: GroupId;
  /** In order of preference; the first is the primary. */
  readonly servers: readonly MemberId[];
  readonly rules: TimeRules;
  readonly takeover: TakeoverMode;
  readonly failback: 'manual' | 'automatic';
  /** When an automatic failback may happen; null is always. Minutes of the local day. */
  readonly failbackWindow: FailbackWindow | null;
  readonly onControlLoss: ControlLoss;
  readonly identity: Identity;
  readonly resources: readonly ResourceConfig[];
  readonly hooks: Readonly<Record<HookPoint, readonly Command[]>>;
  /** Failovers in an hour after which the group is held. */
  readonly failoversPerHour: number;
}

export interface FailbackWindow {
  /** 0 is Sunday. */
  readonly days: readonly number[];
  readonly fromMinute: number;
  readonly toMinute: number;
}

export type HookPoint = 'beforeTakeover' | 'afterTakeover' | 'beforeRelease' | 'afterRelease';

export type Identity =
  | {
      readonly mode: 'add';
      /** CIDR, IPv4 or IPv6, such as 10.77.0.100/24. */
      readonly addresses: readonly string[];
      readonly interface: string | null;
      readonly hostname: string | null;
      readonly dns: DnsConfig | null;
    }
  | {
      readonly mode: 'replace';
      /** The primary's own address on the service network, as CIDR: the identity. Null while members are unknown. */
      readonly primaryAddress: string | null;
      /** The standby's own address on the service network, as CIDR: whoever is not the owner may hold it. */
      readonly standbyAddress: string | null;
      readonly interface: string | null;
      readonly hostname: string | null;
      readonly dns: DnsConfig | null;
    };

export interface DnsConfig {
  readonly server: string;
  readonly zone: string;
  readonly ttlMs: number;
  /** Path of a TSIG key file, or null. */
  readonly key: string | null;
}

export interface ResourceConfig {
  readonly name: string;
  readonly runs: ResourceKind;
  readonly monitor: { readonly everyMs: number; readonly timeoutMs: number; readonly restarts: number };
  readonly startTimeoutMs: number;
  readonly stopTimeoutMs: number;
}

export type ResourceKind =
  | {
      readonly kind: 'command';
      readonly start: readonly string[];
      readonly stop: readonly string[];
      /** Exit status 0: running. Null: running once started. */
      readonly status: readonly string[] | null;
    }
  | { readonly kind: 'systemd'; readonly unit: string };
