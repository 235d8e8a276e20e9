/** The words of the domain as types. Identifiers are plain strings; an epoch is 64 bits wide. */

/** A host in the cluster, known by this name and never by an address. */
export type MemberId = string;
export type GroupId = string;
export type OperationId = string;
/** GROUP/NAME, or the name of a mirror without a failover. */
export type MirrorId = string;
/** Fencing number of a group; rises by one with every change of owner. */
export type Epoch = bigint;
/** A revision of the store (etcd's, over the whole key space). */
export type Revision = bigint;

/** Boot time of the local host in milliseconds: monotonic, counts suspend. The only time for deadlines. */
export type BootMs = number;
/** Wall time in milliseconds since 1970. Only for display. */
export type WallMs = number;

export type Role = 'server' | 'witness';

/** A member as every other member knows it. Address i is path i; the first is the service network. */
export interface Member {
  readonly id: MemberId;
  readonly role: Role;
  readonly addresses: readonly string[];
  readonly voter: boolean;
  /** Where its mirror process listens. Absent: the default port. */
  readonly mirrorPort?: number | undefined;
}

/** One argument vector with a limit. Never a shell string. */
export interface Command {
  readonly argv: readonly string[];
  readonly timeoutMs: number;
}
