/** What a judgement looks at: the store, who is heard, and what each server says of itself. */

import type { GroupConfig } from '../config/types.ts';
import { stretchFor } from '../clock-error.ts';
import type { BootMs, GroupId, MemberId } from '../names.ts';
import { downAt } from '../node.ts';
import type { GroupRecord, GroupReport } from '../records.ts';
import { slowestPace } from '../time.ts';
import { claimOf, heardHere, lastHeard, lastHeardOnPath, type Vantage } from '../vantage.ts';
import type { StoreView } from './view.ts';

/** What the leader saw of the servers since it leads (presence.ts). */
export interface Presence {
  /** Null: silent, when last looked at. */
  readonly heardSince: ReadonlyMap<MemberId, BootMs | null>;
  /** Of groups that go back by themselves: since when the preferred server is well; null: it was not, when last looked at. */
  readonly preferred: ReadonlyMap<GroupId, WellSince | null>;
}

export interface WellSince {
  readonly server: MemberId;
  readonly boot: string;
  readonly at: BootMs;
}

/** Everything that a judgement looks at, on the clock of the one who judges. */
export interface Scene {
  readonly now: BootMs;
  readonly view: StoreView;
  readonly vantage: Vantage;
  readonly heartbeatMs: number;
  readonly presence: Presence;
}

/** The service network is path 0. */
export const servicePath = 0;

/** Without a sound for so many a server counts as silent, long before it is suspect. */
export const silentHeartbeats = 3;

export function reportFor(scene: Scene, server: MemberId, group: string): GroupReport | null {
  return scene.view.renewals.get(server)?.value.groups.find((g) => g.group === group) ?? null;
}

/** What it says of itself in this life: an earlier boot's report is over with it (docs/adr/0009). */
export function liveReportFor(scene: Scene, server: MemberId, group: string): GroupReport | null {
  return bootedSinceRenewal(scene, server) ? null : reportFor(scene, server, group);
}

/** It is heard from another boot than the one of its renewal. */
export function bootedSinceRenewal({ vantage, view }: Scene, server: MemberId): boolean {
  const heard = vantage.ears.get(server)?.bootId ?? null;
  const renewed = view.renewals.get(server)?.value.bootId;
  return heard !== null && renewed !== undefined && heard !== renewed;
}

export function heardAt(scene: Scene, server: MemberId): BootMs {
  return lastHeard(scene.vantage, server, scene.heartbeatMs, scene.now);
}

/** When the server was last heard over any network. What its own host hears of it is no word of any network. */
export function heardOnPaths(scene: Scene, server: MemberId): BootMs | null {
  const paths = scene.view.members.get(server)?.value.addresses.length ?? 0;
  let latest: BootMs | null = null;
  for (let path = 0; path < paths; path += 1) {
    const at = heardOnPath(scene, server, path);
    if (at !== null && (latest === null || at > latest)) latest = at;
  }
  return latest;
}

export function heardOnPath(scene: Scene, server: MemberId, path: number): BootMs | null {
  return lastHeardOnPath(scene.vantage, server, path, scene.heartbeatMs, scene.now);
}

/** When the server is or was down for this group (node.ts). */
export function serverDownAt(scene: Scene, server: MemberId, config: GroupConfig): BootMs {
  const renewal = scene.view.renewals.get(server);
  return downAt(
    { heardAt: heardAt(scene, server), renewalChangedAt: renewal?.changedAt ?? null },
    { outageMs: config.rules.outageMs, waitMs: stretchedWaitMsFor(scene, server, config) },
  );
}

/** G for this server: never shorter than what it told that it counts on, whatever was configured since. */
export function waitMsFor(scene: Scene, server: MemberId, config: GroupConfig): number {
  const told = scene.view.renewals.get(server)?.value.waits[config.name] ?? 0;
  return Math.max(told, config.rules.waitMs);
}

/** It still acts by a longer outage: its heartbeats and renewals need not come at the new pace yet. */
export function keepsFormerPace(scene: Scene, server: MemberId, config: GroupConfig): boolean {
  return waitMsFor(scene, server, config) > config.rules.waitMs;
}

/** What a server that is well is never older by: its last sound, and its last renewal. */
export interface WellPace {
  readonly heardMs: number;
  readonly renewedMs: number;
}

/** A server that is well has renewed within R + 2q. */
export function wellPace(scene: Scene, server: MemberId, config: GroupConfig): WellPace {
  const { suspectMs, renewMs, attemptMs } = config.rules;
  const own = { heardMs: suspectMs, renewedMs: renewMs + 2 * attemptMs };
  return keepsFormerPace(scene, server, config)
    ? {
        heardMs: Math.max(own.heardMs, silentHeartbeats * slowestPace.heartbeatMs),
        renewedMs: slowestPace.renewMs + 2 * slowestPace.attemptMs,
      }
    : own;
}

/** The same, stretched by the rate at which its clock was seen to run. */
export function stretchedWaitMsFor(scene: Scene, server: MemberId, config: GroupConfig): number {
  return waitMsFor(scene, server, config) * stretchFor(scene.vantage, server);
}

/**
 * From when on an owner that is heard, but never renewed at its epoch, may be taken over from: a whole outage after its
 * last renewal, and so after G, it is entitled to nothing, and its own word says that it began nothing. The same when it
 * began in an earlier boot, and is heard from a later one. Null: it did begin, or its word is not fresh.
 */
export function neverBegan(scene: Scene, config: GroupConfig, owner: MemberId, epoch: bigint): BootMs | null {
  const word = heardHere(scene.vantage, owner);
  const renewal = scene.view.renewals.get(owner);
  const record = scene.view.groups.get(config.name);
  if (word === null || scene.now - word >= silentHeartbeats * scene.heartbeatMs) return null;
  if (renewal === undefined || record === undefined) return null;
  const claim = claimOf(scene.vantage, owner, config.name);
  if (claim?.epoch === epoch || liveReportFor(scene, owner, config.name)?.epoch === epoch) return null;
  return Math.max(record.changedAt, renewal.changedAt) + longestWaitMs(scene, owner, config);
}

/** A whole outage, and so G. */
export function longestWaitMs(scene: Scene, server: MemberId, config: GroupConfig): number {
  return Math.max(config.rules.outageMs, stretchedWaitMsFor(scene, server, config));
}

/** The server's own word, renewed or heard, that nothing of this epoch runs there any more. */
export function saysFenced(
  scene: Scene,
  server: MemberId,
  group: string,
  epoch: bigint,
): 'fenced' | 'failed' | null {
  const report = reportFor(scene, server, group);
  if (report?.epoch === epoch && (report.state === 'fenced' || report.state === 'failed'))
    return report.state;
  const claim = claimOf(scene.vantage, server, group);
  if (claim?.epoch === epoch && (claim.state === 'fenced' || claim.state === 'failed')) return claim.state;
  return null;
}

export function lastOwner(record: GroupRecord | null): MemberId | null {
  if (record === null) return null;
  return record.ownership.kind === 'unowned' ? record.ownership.lastOwner : record.ownership.owner;
}

export function seconds(ms: number): string {
  return ms >= 10_000 ? `${String(Math.round(ms / 1_000))} s` : `${(ms / 1_000).toFixed(1)} s`;
}
