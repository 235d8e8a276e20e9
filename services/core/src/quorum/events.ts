/** What the quorum service's loop hears and what it orders. */

import type { Heartbeat } from '../heartbeat.ts';
import type { GroupId, MemberId, OperationId, Revision } from '../names.ts';
import type { ReadAnswer, Txn, TxnAnswer } from '../store.ts';
import type { RowChange } from './view.ts';

export interface RenewRequest {
  /** The shell's handle of the caller who waits for the answer. */
  readonly id: number;
  readonly server: MemberId;
  /** The record as text, exactly as it is believed to stand in the store; null: none. */
  readonly previous: string | null;
  readonly next: string;
  /** Events that the server wants in the history: id and record as text. */
  readonly notes: readonly { readonly id: string; readonly text: string }[];
}

/** What somebody commands of a group that is configured. */
export type GroupCommand =
  | { readonly kind: 'switchover' | 'failback'; readonly group: GroupId; readonly to: MemberId | null }
  | {
      readonly kind: 'failover';
      readonly group: GroupId;
      readonly to: MemberId | null;
      readonly force: boolean;
    }
  | { readonly kind: 'approve' | 'deny'; readonly operation: OperationId };

/** Of one that was removed, and that its owner did not let go of (removed.ts). */
export interface ReleaseCommand {
  readonly kind: 'release';
  readonly group: GroupId;
  readonly force: boolean;
}

export type Command = GroupCommand | ReleaseCommand;

export type QuorumEvent =
  | { readonly kind: 'started' }
  | { readonly kind: 'heard'; readonly from: MemberId; readonly path: number; readonly heartbeat: Heartbeat }
  /** The local agent's relay of what is heard broke or came back. */
  | { readonly kind: 'relay'; readonly connected: boolean }
  | { readonly kind: 'read'; readonly answer: ReadAnswer }
  | { readonly kind: 'changed'; readonly revision: Revision; readonly rows: readonly RowChange[] }
  | { readonly kind: 'watch-lost' }
  | { readonly kind: 'renew'; readonly request: RenewRequest }
  | { readonly kind: 'txn-ended'; readonly id: number; readonly answer: TxnAnswer }
  | {
      readonly kind: 'command';
      readonly id: number;
      readonly by: string;
      readonly command: Command;
      readonly dryRun: boolean;
    }
  /** The process is asked to end. */
  | { readonly kind: 'leaving' }
  | { readonly kind: 'wake' };

export type RenewResult =
  | { readonly kind: 'committed'; readonly revision: Revision; readonly groups: readonly string[] }
  | {
      readonly kind: 'conflict';
      readonly current: string | null;
      readonly revision: Revision;
      readonly groups: readonly string[];
    }
  | { readonly kind: 'no-answer'; readonly says: string };

export type CommandResult =
  | {
      readonly kind: 'accepted';
      readonly operation: OperationId;
      readonly reason: string;
      readonly steps: readonly string[];
    }
  /** A safety rule says no. */
  | { readonly kind: 'refused'; readonly says: string }
  /** There is no such thing, or it makes no sense. */
  | { readonly kind: 'invalid'; readonly says: string }
  /** Ordered, and the store does not answer: it may have been begun, or be begun later. */
  | { readonly kind: 'unknown'; readonly says: string }
  /** Another member leads; ask it. Null: nobody leads now. */
  | { readonly kind: 'not-leader'; readonly leader: MemberId | null };

export type QuorumAction =
  | { readonly kind: 'read' }
  | { readonly kind: 'txn'; readonly id: number; readonly txn: Txn; readonly deadlineMs: number }
  | { readonly kind: 'answer-renew'; readonly id: number; readonly result: RenewResult }
  | { readonly kind: 'answer-command'; readonly id: number; readonly result: CommandResult }
  /** Group records, the configuration, the members or the maintenance changed: tell the agents. */
  | { readonly kind: 'push' }
  | { readonly kind: 'note'; readonly group: GroupId | null; readonly what: string; readonly reason: string };
