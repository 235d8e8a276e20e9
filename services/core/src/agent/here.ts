/** Arguments and results of every transition of one group. */

import type { ClusterConfig, GroupConfig } from '../config/types.ts';
import type { BootMs, GroupId, MemberId } from '../names.ts';
import type { AgentAction } from './events.ts';
import type { GroupState } from './holding.ts';

/** What every transition needs to know and none may change. */
export interface Here {
  readonly self: MemberId;
  readonly now: BootMs;
  readonly config: GroupConfig;
  /** The boot rule was carried out. */
  readonly stripped: boolean;
  readonly leaving: boolean;
  /** The command that fences a server, where one is configured. */
  readonly fenceCommand: (server: MemberId) => AgentAction | null;
}

export interface Moved {
  readonly group: GroupState;
  readonly actions: readonly AgentAction[];
}

/** Null: none is configured for this server. */
export function fenceCommandOf(
  config: ClusterConfig | null,
  group: GroupId,
  server: MemberId,
): AgentAction | null {
  const command = config?.servers.get(server)?.fence ?? null;
  const reason = `somebody answers at an address of ${group}`;
  return command === null ? null : { kind: 'fence-server', server, command, reason };
}
