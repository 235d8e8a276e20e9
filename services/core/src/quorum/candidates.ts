/**
 * Who could take a group over, and what stands in the way of each of the others, in words.
 *
 *   C1  a candidate is heard and renews: a commanded leader that slept can do no harm, but a dead candidate would. Its
 *       renewal must be of the boot that is heard, or an old one would hide that it was down
 *   C2  rule 10: a server that was down together with the owner waits for the owner, whose data may be newer
 *   C3  one that failed is tried again after a rest, for want of anybody else, and never where nothing is urgent
 *   C4  of several that could, one that would lose clearly more is passed over, whatever the order of preference
 *   C5  one that has not done the boot rule would begin nothing
 *   C6  nor would one that has yet to end an earlier epoch, because something there does not stop (docs/adr/0074)
 */

import type { GroupConfig } from '../config/types.ts';
import type { MemberId } from '../names.ts';
import type { GroupRecord } from '../records.ts';
import { claimOf, heardHere } from '../vantage.ts';
import { coarseMs, judgeCopies, lossText, notInStep, type Loss } from './copies.ts';
import {
  bootedSinceRenewal,
  heardAt,
  lastOwner,
  longestWaitMs,
  reportFor,
  saysFenced,
  type Scene,
  seconds,
  wellPace,
} from './scene.ts';
import { maintenanceOf } from './view.ts';

export interface Candidate {
  readonly server: MemberId;
  /** Null: it could take over. */
  readonly blocker: string | null;
  /** It is there and could, but for rule 10 or an earlier failure: a person may force it. */
  readonly forceable: boolean;
  /** It could, and a person has to be asked first: why. */
  readonly ask: string | null;
  /** It could not, the last time, and nobody else being able it is tried again: in words; null when it did not fail. */
  readonly failed: string | null;
  /** What would be lost of the group's mirrors; null when it has none. */
  readonly loss: Loss | null;
}

export function candidates(
  scene: Scene,
  config: GroupConfig,
  record: GroupRecord | null,
): readonly Candidate[] {
  return config.servers.map((server) => assess(scene, config, record, server));
}

export function assess(
  scene: Scene,
  config: GroupConfig,
  record: GroupRecord | null,
  server: MemberId,
  despiteFailure = askedFor(record, server),
): Candidate {
  const copies = judgeCopies(scene, config, record, server);
  const loss = config.mirrors.length === 0 ? null : copies.loss;
  const no = (blocker: string, forceable = false): Candidate => ({
    server,
    blocker,
    forceable,
    ask: null,
    failed: null,
    loss,
  });
  const renewal = scene.view.renewals.get(server);
  if (!scene.view.members.has(server)) return no(`${server} is not a member of the cluster`);
  if (renewal === undefined) return no(`${server} has never run`);
  const maintenance = maintenanceOf(scene.view);
  const pause = maintenance.servers[server];
  if (pause !== undefined) return no(`${server} is in maintenance${pause === '' ? '' : ` (${pause})`}`);
  const silentMs = scene.now - heardAt(scene, server);
  const everHeard = scene.vantage.ears.has(server);
  const pace = wellPace(scene, server, config);
  if (!everHeard || silentMs >= pace.heardMs) {
    return no(
      everHeard ? `${server} has not been heard for ${seconds(silentMs)}` : `${server} has not been heard`,
    );
  }
  if (bootedSinceRenewal(scene, server)) return no(`${server} has not renewed since its host booted`);
  // One that fences itself has not renewed, and can't take over either.
  if (scene.now - renewal.changedAt >= pace.renewedMs) {
    return no(`${server} has not renewed for ${seconds(scene.now - renewal.changedAt)}`);
  }
  if (renewal.value.leaving) return no(`${server} is shutting down`);
  if (renewal.value.clearing === true) return no(hasToClear(server));
  const unended = unendedEpoch(scene, record, server, config.name); // C6
  if (unended !== null) return no(unended);
  const failed = despiteFailure ? null : failureOf(scene, server, config.name);
  if (failed?.rested === false) return no(`${failed.says}; it rests before it is tried again`, true);
  const able: Candidate = {
    server,
    blocker: null,
    forceable: false,
    ask: null,
    failed: failed?.says ?? null,
    loss,
  };
  if (forcedTo(record, server)) return able;
  if (wasDownToo(scene, config, record, server)) {
    const last = lastOwner(record) ?? 'the last owner';
    return no(
      `${server} was down together with ${last}, whose data may be newer: it waits for ${last}, or for --force`,
      true,
    );
  }
  if (copies.blocker !== null) return no(copies.blocker, true);
  return { ...able, ask: copies.ask };
}

export const hasToClear = (server: MemberId): string =>
  `${server} has yet to clear what an earlier life left there (see holdfast check)`;

/** In words; null: nothing is left there of an epoch before this one. */
function unendedEpoch(
  scene: Scene,
  record: GroupRecord | null,
  server: MemberId,
  group: string,
): string | null {
  const report = reportFor(scene, server, group);
  if (report === null || record === null || report.epoch >= record.ownership.epoch) return null;
  if (saysFenced(scene, server, group, report.epoch) !== null) return null;
  const says = report.says === '' ? '' : `: ${report.says}`;
  return `${server} has yet to end epoch ${report.epoch.toString()}, which it had before${says}`;
}

/** The server's own word that it could not take the group over, renewed or, until it renews, heard; null: it does not say so. */
function failureOf(
  scene: Scene,
  server: MemberId,
  group: string,
): { readonly says: string; readonly rested: boolean } | null {
  const report = reportFor(scene, server, group);
  const says = (epoch: bigint, why: string) =>
    `${server} could not take it over at epoch ${epoch.toString()}: ${why}`;
  if (report?.state === 'failed')
    return { says: says(report.epoch, report.says), rested: report.rested === true };
  const claim = claimOf(scene.vantage, server, group);
  if (claim?.state !== 'failed' || claim.epoch < (report?.epoch ?? 0n)) return null;
  return { says: says(claim.epoch, 'it says so itself'), rested: false };
}

/** As `assess`, for a move that is not urgent: what would have to be drained for long stays where it is. */
export function plannedCandidates(
  scene: Scene,
  config: GroupConfig,
  record: GroupRecord | null,
): readonly Candidate[] {
  return candidates(scene, config, record).map((s) =>
    s.blocker === null ? { ...s, blocker: s.failed ?? notInStep(scene, config, record, s.server) } : s,
  );
}

/** A person overruled rule 10 for this very operation, and its reason names the estimated loss. */
function forcedTo(record: GroupRecord | null, server: MemberId): boolean {
  const op = record?.operation ?? null;
  return op !== null && op.forced && op.to === server;
}

/** A person is moving the group there: what failed before is meant to be tried again, and is rolled back if it fails. */
function askedFor(record: GroupRecord | null, server: MemberId): boolean {
  const op = record?.operation ?? null;
  return op !== null && op.to === server && op.phase === 'releasing' && op.by !== 'holdfast';
}

/**
 * It was heard from another boot after its last renewal: it may say that it is fenced before it renews. A whole outage
 * later it is not waited for.
 */
function heardFromNewBoot(scene: Scene, config: GroupConfig, server: MemberId): boolean {
  if (!bootedSinceRenewal(scene, server)) return false;
  const renewedAt = scene.view.renewals.get(server)?.changedAt ?? -Infinity;
  if (scene.now >= renewedAt + longestWaitMs(scene, server, config)) return false;
  return (heardHere(scene.vantage, server) ?? -Infinity) > renewedAt;
}

/** C2. Unknown counts as down. */
function wasDownToo(
  scene: Scene,
  config: GroupConfig,
  record: GroupRecord | null,
  server: MemberId,
): boolean {
  const last = lastOwner(record);
  if (record === null || last === null || last === server) return false;
  const theirs = scene.view.renewals.get(last);
  const mine = scene.view.renewals.get(server);
  if (theirs === undefined) return false;
  // The owner's host booted again since: its last sign of life as owner is no longer in the store.
  if (theirs.value.bootId !== record.ownerBoot) return true;
  if (heardFromNewBoot(scene, config, last)) return true;
  const bootRevision = mine?.value.bootRevision ?? null;
  return bootRevision === null || bootRevision >= theirs.modRevision;
}

/** The first of those that can, by preference or as wished; one whose copy is clearly further behind comes last (C4). */
export function choose(all: readonly Candidate[], first?: MemberId | null): MemberId | undefined {
  const able = closest(all.filter((s) => s.blocker === null));
  const unasked = able.filter((s) => s.ask === null);
  const asked = unasked.length > 0 ? unasked : able;
  const proven = asked.filter((s) => s.failed === null);
  const best = proven.length > 0 ? proven : asked;
  return (best.find((s) => s.server === first) ?? best[0])?.server;
}

/** Why a person has to be asked before this one takes over; null when nobody has. */
export function askFor(all: readonly Candidate[], server: MemberId): string | null {
  return all.find((s) => s.server === server)?.ask ?? null;
}

/** C4. */
function closest(able: readonly Candidate[]): readonly Candidate[] {
  const least = Math.min(...able.map(lossMsOf));
  return able.filter((s) => lossMsOf(s) <= least + coarseMs);
}

function lossMsOf({ loss }: Candidate): number {
  return loss === null ? 0 : (loss.ms ?? Infinity);
}

/**
 * "; estimated loss: ...", for the reason of a takeover, and whom that passed over; empty for a group without mirrors.
 */
export function lossClause(all: readonly Candidate[], server: MemberId): string {
  const at = all.findIndex((s) => s.server === server);
  const loss = all[at]?.loss ?? null;
  if (loss === null) return '';
  const before = all.slice(0, at).filter((s) => s.blocker === null);
  const worse = before.filter((s) => !closest(all.filter((c) => c === s || c.server === server)).includes(s));
  const passed = worse.map((s) => `, on ${s.server}: ${lossText(s.loss ?? loss)}`);
  return `; estimated loss: ${lossText(loss)}${passed.join('')}`;
}

export function blockerList(all: readonly Candidate[]): readonly string[] {
  return all.map((s) => s.blocker).filter((b): b is string => b !== null);
}

export function blockers(all: readonly Candidate[]): string {
  const list = blockerList(all);
  return list.length === 0 ? 'there is no other server' : list.join('; ');
}

export function blockerOf(all: readonly Candidate[], server: MemberId): string {
  return all.find((s) => s.server === server)?.blocker ?? `${server} is not a server of this group`;
}
