/**
 * Whether a member may be removed for good. To remove it is a person's word that it is off: what it was asked and what it told
 * is forgotten with it, and nobody waits for it any more.
 *
 *   V1  nobody heard it for the longest outage, and its renewal did not change for the longest G that it told or that is
 *       configured: whatever a renewal entitled it to is over
 *   V2  nothing that is configured names it: it has no group and no mirror to come back to
 *   V3  its rows go in one transaction, which compares all that was judged
 */

import type { ClusterConfig } from '../config/types.ts';
import { stretchFor } from '../clock-error.ts';
import { keys } from '../keys.ts';
import type { BootMs, MemberId, WallMs } from '../names.ts';
import type { EventRecord } from '../records.ts';
import { encode } from '../codec.ts';
import type { Txn } from '../store.ts';
import { eventId } from './commit.ts';
import { heardAt, seconds } from './scene.ts';
import { sceneOf, type QuorumState } from './state.ts';

/** Those of an outage of 35 s, the usual one: for a member that no group waits for. */
const outageMsUsual = 35_000;
const waitMsUsual = 20_000;

export type Removal =
  { readonly kind: 'may' } | { readonly kind: 'unknown-member' | 'refused'; readonly says: string };

export function mayRemove(state: QuorumState, member: MemberId, now: BootMs): Removal {
  const { view, vantage } = state;
  if (!view.members.has(member)) {
    const names = [...view.members.keys()].join(', ');
    return { kind: 'unknown-member', says: `there is no member ${member}; members: ${names}` };
  }
  const places = placesOf(view.config?.value ?? null, member);
  if (places.length > 0) {
    const says = `${places.join(', ')} names ${member}: apply a configuration without it first`;
    return { kind: 'refused', says }; // V2
  }
  const groups = [...(view.config?.value.groups.values() ?? [])];
  const renewal = view.renewals.get(member);
  const outageMs = Math.max(outageMsUsual, ...groups.map((g) => g.rules.outageMs));
  const waits = [...groups.map((g) => g.rules.waitMs), ...Object.values(renewal?.value.waits ?? {})];
  const waitMs = Math.max(waitMsUsual, ...waits) * stretchFor(vantage, member);
  const heard = heardAt(sceneOf(state, now), member);
  const goneFrom = Math.max(heard + outageMs, (renewal?.changedAt ?? -Infinity) + waitMs);
  if (now >= goneFrom) return { kind: 'may' };
  const says =
    `${member} was heard ${seconds(now - heard)} ago, or may have been: stop it for good, ` +
    `and ask again in ${seconds(goneFrom - now)}`;
  return { kind: 'refused', says }; // V1
}

/** V3. */
export function removalOf(state: QuorumState, member: MemberId, by: string, wall: WallMs): Txn {
  const { view } = state;
  const reason = `${by} removed ${member} from the cluster`;
  const event: EventRecord = {
    id: eventId(wall, member, view.revision),
    time: wall,
    group: null,
    server: member,
    kind: 'removed',
    reason,
    epoch: null,
    inputs: null,
  };
  const revisions = [
    [keys.member(member), view.members.get(member)?.modRevision],
    [keys.renewal(member), view.renewals.get(member)?.modRevision],
    [keys.config, view.config?.modRevision],
  ] as const;
  return {
    compares: revisions.map(([key, revision]) => ({ kind: 'mod-revision', key, revision: revision ?? 0n })),
    puts: [{ key: keys.event(event.id), value: encode(event) }],
    deletes: [keys.member(member), keys.renewal(member), keys.problemsOf(member)],
    reads: [],
  };
}

/** Where the configuration names it. */
function placesOf(config: ClusterConfig | null, member: MemberId): readonly string[] {
  if (config === null) return [];
  const groups = [...config.groups.values()].filter((g) => g.servers.includes(member));
  const mirrors = [...config.mirrors.values()].filter(
    ({ to, from }) => to.includes(member) || (from.kind === 'server' && from.server === member),
  );
  return [
    ...groups.map((g) => `groups.${g.name}.servers`),
    ...mirrors.map((m) => `mirrors.${m.name}`),
    ...(config.servers.has(member) ? [`servers.${member}`] : []),
  ];
}
