/**
 * What the agent's loop hears and what it orders. Every order is idempotent data; each that can fail ends in an
 * event, so a half-done thing is visible to the loop.
 */

import type { ClusterConfig } from '../config/types.ts';
import type { Message } from '../heartbeat.ts';
import type { MirrorOrders } from '../mirror/orders.ts';
import type { MirrorReport } from '../mirror/report.ts';
import type { BootMs, Command, Epoch, GroupId, Member, MemberId, Revision } from '../names.ts';
import type {
  GroupRecord,
  HoldingState,
  MaintenanceRecord,
  PauseRecord,
  RenewalRecord,
  ResourceState,
} from '../records.ts';
import type { TakeoverStep } from '../step.ts';

export type Ended = { readonly kind: 'done' } | { readonly kind: 'failed'; readonly says: string };

export type RenewAnswer =
  | {
      readonly kind: 'committed';
      readonly revision: Revision;
      readonly groups: readonly GroupRecord[];
    }
  /** The store holds something else than `previous`: `current`, as of `revision`. */
  | {
      readonly kind: 'conflict';
      readonly current: RenewalRecord | null;
      readonly revision: Revision;
      readonly groups: readonly GroupRecord[];
    }
  | { readonly kind: 'no-answer'; readonly says: string };

/** What an earlier agent of this same boot held, as the guard and the state directory tell. */
export interface HeldBefore {
  readonly group: GroupId;
  readonly epoch: Epoch;
  readonly state: HoldingState;
  /** The guard's armed deadline: what is left of the entitlement. */
  readonly fenceAt: BootMs;
}

export type AgentEvent =
  /** First of all. `held` is empty after a boot of the host, or when the guard does not vouch for it. */
  | {
      readonly kind: 'started';
      readonly held: readonly HeldBefore[];
      /** The highest that was seen of each group. */
      readonly epochs: ReadonlyMap<GroupId, Epoch>;
      /** Epochs that were on the disk before they were given to anybody: never begun here, and not seen. */
      readonly ahead: ReadonlyMap<GroupId, Epoch>;
      /** What a former life held can't be read, so anything may run here still. Absent: it could. */
      readonly lost?: boolean;
      readonly promises: readonly {
        readonly group: GroupId;
        readonly epoch: Epoch;
        readonly until: BootMs;
      }[];
    }
  /** The boot rule was carried out: no address of a former life is left. */
  | { readonly kind: 'stripped' }
  | { readonly kind: 'heard'; readonly from: MemberId; readonly path: number; readonly message: Message }
  | {
      readonly kind: 'configured';
      readonly config: ClusterConfig;
      readonly revision: Revision;
      /** The next life of this agent would not know it: `config-kept` tells when it would. Absent: it would. */
      readonly unkept?: boolean;
    }
  | { readonly kind: 'config-kept'; readonly revision: Revision }
  | { readonly kind: 'members'; readonly members: readonly Member[] }
  | { readonly kind: 'maintenance'; readonly maintenance: MaintenanceRecord }
  | { readonly kind: 'pauses'; readonly pauses: PauseRecord }
  /** What the mirror process of this member says: all of it each time. */
  | { readonly kind: 'mirrors'; readonly reports: readonly MirrorReport[] }
  | { readonly kind: 'renewed'; readonly attempt: number; readonly answer: RenewAnswer }
  /** News of a group record, with no authority. `revision` is that of the record's own last change, not of the news. */
  | { readonly kind: 'hint'; readonly revision: Revision; readonly groups: readonly GroupRecord[] }
  | {
      readonly kind: 'step-ended';
      readonly group: GroupId;
      readonly epoch: Epoch;
      readonly run: number;
      readonly ended: Ended;
      readonly ms: number;
      /** The probe step: somebody answers. Worth waiting for, not a failure. */
      readonly occupied?: boolean;
      /** The drain step: servers whose copies of all mirrors now hold everything. */
      readonly drained?: readonly MemberId[];
    }
  /** From the guard or from our own fence: everything of this epoch is gone, or not. */
  | { readonly kind: 'fence-ended'; readonly group: GroupId; readonly epoch: Epoch; readonly ended: Ended }
  | {
      readonly kind: 'monitored';
      readonly group: GroupId;
      readonly epoch: Epoch;
      readonly resource: string;
      readonly run: number;
      readonly state: ResourceState;
      readonly says: string;
    }
  | {
      readonly kind: 'restarted';
      readonly group: GroupId;
      readonly epoch: Epoch;
      readonly resource: string;
      readonly run: number;
      readonly ended: Ended;
    }
  /** A promise is on disk and may be given. */
  | {
      readonly kind: 'promise-kept';
      readonly group: GroupId;
      readonly epoch: Epoch;
      readonly round: number;
      readonly to: MemberId;
      readonly ended: Ended;
    }
  | {
      readonly kind: 'pinged';
      readonly member: MemberId;
      readonly path: number;
      readonly answers: boolean;
      /** Null: no gateway is configured. */
      readonly gatewayAnswers: boolean | null;
    }
  /** What another member saw at one of our addresses. */
  | {
      readonly kind: 'sighted';
      readonly group: GroupId;
      readonly round: number;
      readonly verdict: 'ours' | 'nobody' | 'other';
      readonly says: string;
    }
  /** The host or the product goes down in an orderly way: give up every group, then exit. */
  | { readonly kind: 'release-all'; readonly why: string }
  | { readonly kind: 'wake' };

/** What a group that is held here has rightly, whoever else may claim it. */
export interface Spared {
  /** In lower case. */
  readonly hostnames: readonly string[];
  /** Where something is mounted. */
  readonly folders: readonly string[];
}

export type AgentAction =
  | { readonly kind: 'send'; readonly to: MemberId; readonly path: number; readonly message: Message }
  | {
      readonly kind: 'renew';
      readonly attempt: number;
      readonly previous: RenewalRecord | null;
      readonly next: RenewalRecord;
      readonly deadlineMs: number;
    }
  | {
      readonly kind: 'run-step';
      readonly group: GroupId;
      readonly epoch: Epoch;
      readonly run: number;
      readonly step: TakeoverStep;
      readonly limitMs: number;
      /** Addresses get a kernel lifetime that ends by then. */
      readonly goneBy: BootMs;
      /** The former owner told that it is fenced: nobody need be waited for. */
      readonly planned: boolean;
      /** A person ordered it although a safety rule says no: a copy that is not complete is opened all the same. */
      readonly forced: boolean;
    }
  | {
      readonly kind: 'extend';
      readonly group: GroupId;
      readonly epoch: Epoch;
      readonly addresses: readonly string[];
      readonly goneBy: BootMs;
    }
  /** The whole of what the guard is to watch over, replacing what it had. */
  | { readonly kind: 'arm'; readonly groups: readonly ArmedGroup[] }
  | {
      readonly kind: 'fence';
      readonly group: GroupId;
      readonly epoch: Epoch;
      readonly doneBy: BootMs;
      readonly reason: string;
    }
  /** The whole of what the mirror process of this member is to do, replacing what it was told before. */
  | { readonly kind: 'order-mirrors'; readonly orders: MirrorOrders }
  /** Boot rule: drop all of these, whoever put them there. Ends in `stripped`. */
  | {
      readonly kind: 'strip';
      readonly addresses: readonly string[];
      /** Whose names, mounts and devices go, except what is spared. */
      readonly groups: readonly GroupId[];
      readonly spared: Spared;
    }
  | {
      readonly kind: 'monitor' | 'restart';
      readonly group: GroupId;
      readonly epoch: Epoch;
      readonly resource: string;
      readonly run: number;
    }
  /** Durable: the highest epoch seen, and what is held, for the next agent of this boot. */
  | {
      readonly kind: 'remember';
      readonly group: GroupId;
      readonly epoch: Epoch;
      readonly state: HoldingState | 'idle';
    }
  | {
      readonly kind: 'keep-promise';
      readonly group: GroupId;
      readonly epoch: Epoch;
      readonly round: number;
      readonly to: MemberId;
      readonly until: BootMs;
    }
  | { readonly kind: 'ping'; readonly member: MemberId; readonly path: number }
  /** Look who answers for these addresses and tell the one who asked. */
  | {
      readonly kind: 'sight';
      readonly to: MemberId;
      readonly path: number;
      readonly round: number;
      readonly addresses: readonly string[];
    }
  | {
      /** `keep-own`: the group moves this address no more, and it is this server's own. */
      readonly kind: 'keep-spare' | 'keep-own';
      readonly group: GroupId;
      readonly address: string;
    }
  | { readonly kind: 'announce'; readonly group: GroupId }
  /** Cut the power of another server, or whatever its fence command does. */
  | {
      readonly kind: 'fence-server';
      readonly server: MemberId;
      readonly command: Command;
      readonly reason: string;
    }
  | { readonly kind: 'note'; readonly group: GroupId | null; readonly what: string; readonly reason: string }
  /** Everything is given up: the process may end. */
  | { readonly kind: 'exit' };

export interface ArmedGroup {
  readonly group: GroupId;
  readonly epoch: Epoch;
  readonly fenceAt: BootMs;
  readonly goneBy: BootMs;
}
