/**
 * The desired state, after validation: every default filled in, every duration in milliseconds.
 * parse.ts makes it from what a person wrote; nothing else in Holdfast sees the raw form.
 */

import type { Command, Epoch, GroupId, MemberId, MirrorId, Revision } from '../names.ts';
import type { TimeRules } from '../time.ts';

export interface ClusterConfig {
  readonly groups: ReadonlyMap<GroupId, GroupConfig>;
  readonly servers: ReadonlyMap<MemberId, ServerConfig>;
  /** Mirrors without a failover, and copies of a group's mirror on servers outside of the group. */
  readonly mirrors: ReadonlyMap<MirrorId, CopyConfig>;
  /** What earlier configurations had, and a server may still have; added when it is applied (quorum/leaving.ts). */
  readonly leaving: readonly LeavingGroup[];
}

/** A group that was removed, or lost a server or some of what it claimed, as it was before. */
export interface LeavingGroup {
  readonly group: GroupConfig;
  /** A server that acts under a configuration of a higher revision has let go. */
  readonly above: Revision;
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
  /** By name; the owner is the source, and every other server of the group a target. */
  readonly mirrors: readonly MirrorConfig[];
  readonly gate: GateConfig;
}

/** How a copy travels and is kept. The same for a group's mirror and for one without a failover. */
export interface CopyTerms {
  readonly throttle: Throttle | null;
  /** auto: only where the line, and not the processor, is the limit. */
  readonly compress: 'auto' | 'always' | 'never';
  /** never: the peer is authenticated all the same. */
  readonly encrypt: 'always' | 'never';
  /** Most bytes that are kept aside on a member after a divergence; null: 10 % of the file system, at least 1 GiB. */
  readonly keepMaxBytes: number | null;
  /** Period of the metadata scan that is the truth behind the change feed. */
  readonly scanEveryMs: number;
}

/** Which files are mirrored. */
export interface FilesConfig {
  /** Absolute and normalised, no final slash. */
  readonly root: string;
  /** Globs relative to the root; none means everything. */
  readonly include: readonly string[];
  readonly exclude: readonly string[];
  /** Whether device nodes travel, too. */
  readonly devices: boolean;
}

/** Blocks of a device or an image file, at the same path on every server of the group. */
export interface VolumeConfig {
  readonly path: string;
  readonly sizeBytes: number;
  /** async: a write is done when the owner has it. sync: when every target in step has it, too. */
  readonly mode: 'async' | 'sync';
  /** In mode sync, when a target goes away: without it after `targetLossMs`, or not at all. */
  readonly onTargetLoss: 'continue' | 'block';
  readonly targetLossMs: number;
  /** Bytes for which one bit says that they were written: a power of two. */
  readonly granularityBytes: number;
  /** How the owner makes a device of it. none: its clients speak NBD. */
  readonly attach: 'none' | AttachMethod;
}

/** nbdfuse: a file and a loop device, where the kernel has no nbd; for tests and labs. */
export type AttachMethod = 'nbd-client' | 'nbdfuse';

/** What is mirrored. */
export type DatasetConfig =
  ({ readonly kind: 'files' } & FilesConfig) | ({ readonly kind: 'volume' } & VolumeConfig);

/** A mirror of a group: GROUP/NAME. */
export interface MirrorConfig extends CopyTerms {
  readonly name: string;
  readonly dataset: DatasetConfig;
}

/** A mirror without a failover, by its own name. */
export interface CopyConfig extends CopyTerms {
  readonly name: MirrorId;
  readonly from: CopySource;
  readonly to: readonly MemberId[];
  /** Where the copy lies on the targets, a folder or a volume's path; as at the source unless said otherwise. */
  readonly root: string;
}

export type CopySource =
  /** One more target of the group's mirror: it follows the owner, whose epoch counts. */
  | { readonly kind: 'group'; readonly group: GroupId; readonly mirror: string }
  | {
      readonly kind: 'server';
      readonly server: MemberId;
      readonly dataset: DatasetConfig;
      /** Rises when the source changes; given when the configuration is applied (mirror/epoch.ts). */
      readonly epoch: Epoch;
    };

/** Wire rates in bits per second; 1 Kbit to 999 Gbit. The first window that holds now wins, in local time of the source. */
export interface Throttle {
  /** Outside of all windows; null: no limit. */
  readonly otherwiseBits: number | null;
  readonly windows: readonly ThrottleWindow[];
}

export interface ThrottleWindow {
  readonly window: FailbackWindow;
  /** Null: no limit. */
  readonly bits: number | null;
}

/** How far behind a copy may be that is taken over to. */
export interface GateConfig {
  /** Null: no limit. */
  readonly maxLagMs: number | null;
  readonly maxBytes: number | null;
  readonly onStale: 'wait' | 'takeover' | 'ask';
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
  | { readonly kind: 'systemd'; readonly unit: string }
  /** An agent of the Linux-HA world. */
  | {
      readonly kind: 'ocf';
      readonly provider: string;
      readonly type: string;
      readonly parameters: Readonly<Record<string, string>>;
    }
  /** A device of one of the group's volumes. */
  | { readonly kind: 'attach'; readonly mirror: string; readonly method: AttachMethod }
  /** A file system on such a device. */
  | {
      readonly kind: 'mount';
      readonly mirror: string;
      readonly at: string;
      /** Null: mount(8) finds out. */
      readonly type: string | null;
      readonly options: string | null;
      /** Before it is mounted. preen: what is safe to mend. force: all of it, even when it looks clean. */
      readonly fsck: 'preen' | 'none' | 'force';
    };
