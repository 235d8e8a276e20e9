/** Where records live in the store. `live/` is read whole and watched; `past/` only grows and is read on demand. */

import type { GroupId, MemberId, OperationId } from './names.ts';

export const root = '/holdfast/';
export const live = `${root}live/`;
export const past = `${root}past/`;

export const keys = {
  leader: `${live}leader`,
  beat: `${live}beat`,
  config: `${live}config`,
  maintenance: `${live}maintenance`,
  pauses: `${live}pauses`,
  renewals: `${live}renewals/`,
  renewal: (server: MemberId) => `${live}renewals/${server}`,
  groups: `${live}groups/`,
  group: (group: GroupId) => `${live}groups/${group}`,
  members: `${live}members/`,
  member: (member: MemberId) => `${live}members/${member}`,
  problems: `${live}problems/`,
  problemsOf: (server: MemberId) => `${live}problems/${server}`,
  tokens: `${past}tokens/`,
  token: (id: string) => `${past}tokens/${id}`,
  operations: `${past}operations/`,
  operation: (id: OperationId) => `${past}operations/${id}`,
  events: `${past}events/`,
  event: (id: string) => `${past}events/${id}`,
  /** What the event's decision was made from. */
  decisions: `${past}decisions/`,
  decision: (event: string) => `${past}decisions/${event}`,
} as const;
