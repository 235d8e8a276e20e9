/**
 * Groups that were removed from the configuration: released first, then forgotten. The epoch stays on record for ever, so that
 * a group which is given the same name later begins above it: an epoch has one owner (I2).
 *
 *   X1  the owner is asked once; one that refused (a hook said no) keeps the group until a person asks again, by `release`,
 *       or it is configured again
 *   X2  who is asked again hears first that it may stay: only then is a refusal one of this question
 *   X3  by force the owner goes on whatever its hooks say; who takes what the group had waits for its word all the same
 */

import { releaseSteps, stepName } from '../step.ts';
import type { GroupId, MemberId, WallMs } from '../names.ts';
import type { EndedOperation, GroupRecord, Operation, Ownership } from '../records.ts';
import type { Change } from './case.ts';
import { change, ended } from './changes.ts';
import type { Commanded } from './commanded.ts';
import type { ReleaseCommand } from './events.ts';
import { reportFor, type Scene } from './scene.ts';
import type { Held } from './view.ts';

type Owned = Exclude<Ownership, { kind: 'unowned' }>;

export interface Removed {
  readonly owner: MemberId;
  /** Why its owner did not let go of it; null: it is about to. */
  readonly refused: string | null;
  /** What it could not end, and tries to again; null: nothing that it told of. */
  readonly stuck: string | null;
}

/** Null: it is configured, or nobody has it any more. */
export function removedGroup(scene: Scene, group: GroupId): Removed | null {
  const own = scene.view.groups.get(group)?.value.ownership;
  if (own === undefined || own.kind === 'unowned' || isConfigured(scene, group)) return null;
  const refused = own.kind === 'releasing' ? refusalOf(scene, group, own) : null;
  return { owner: own.owner, refused, stuck: stuckAt(scene, group, own) };
}

/** What a person can do about a refusal. */
export function wayOut(group: GroupId): string {
  return (
    `holdfast release ${group} asks again, and with --force goes on whatever the hook says; ` +
    `or apply a configuration that has ${group}`
  );
}

/** What becomes of the record of a group that was removed. Null: nothing now. */
export function dissolve(scene: Scene, record: GroupRecord, wall: WallMs): Change | null {
  const { group, ownership: own, operation: op } = record;
  const reason = `${group} was removed from the configuration`;
  // I7: whoever waits for it is told.
  const failed = ended({ wall }, op, 'failed', reason, []);
  const next = (what: string, ownership: Ownership, over: EndedOperation | null = failed): Change => ({
    what,
    record: { ...record, ownership, operation: null, reason },
    ended: over,
    stale: null,
  });
  if (own.kind === 'unowned')
    return own.lastOwner === null ? null : next('forgotten', { ...own, lastOwner: null });
  // J4 (judge.ts) holds to the end.
  const former = own.kind === 'owned' ? own.after : undefined;
  if (former !== undefined && !renewedAsFenced(scene, former.server, group, former.epoch)) return null;
  const asked = op?.kind === 'release' && op.by !== 'holdfast' ? op : null;
  if (renewedAsFenced(scene, own.owner, group, own.epoch)) {
    const unowned: Ownership = { kind: 'unowned', epoch: own.epoch, lastOwner: own.owner };
    if (asked === null) return next('unowned', unowned);
    const steps = reportFor(scene, own.owner, group)?.steps ?? [];
    return next('unowned', unowned, ended({ wall }, asked, 'done', reason, steps));
  }
  const refused = refusalOf(scene, group, own);
  if (own.kind === 'owned') {
    const change = next('release', { kind: 'releasing', epoch: own.epoch, owner: own.owner, to: null });
    if (asked === null) return change;
    if (refused !== null) return null; // X2
    return { ...change, record: { ...change.record, operation: asked, reason: asked.reason }, ended: null };
  }
  if (asked === null) return op === null ? null : next('release', own); // X1
  if (refused === null) return null;
  const says = `${own.owner} refused: ${refused}`;
  return next('rolled-back', own, ended({ wall }, asked, 'rolled-back', says, []));
}

/** X1, X3: what a person commands. `held`: the group's record; null: there is none. */
export function releaseRemoved(
  scene: Scene,
  held: Held<GroupRecord> | null,
  { group, force }: ReleaseCommand,
  by: string,
  wall: WallMs,
): Commanded {
  const no = (kind: 'invalid' | 'refused', says: string): Commanded => ({
    kind: 'no',
    result: { kind, says },
  });
  if (isConfigured(scene, group))
    return no(
      'refused',
      `${group} is configured, and release is for a group that was removed: apply without it first`,
    );
  const own = held?.value.ownership;
  if (held === null || own === undefined || own.kind === 'unowned')
    return no('invalid', `nobody has a group ${group} that was removed`);
  const busy = held.value.operation;
  if (busy !== null) return no('refused', `${busy.id} (${busy.kind}) is under way, begun by ${busy.by}`);
  const refused = own.kind === 'releasing' ? refusalOf(scene, group, own) : null;
  if (own.kind === 'owned' || (refused === null && !force))
    return no('refused', `${own.owner} is asked to release ${group} already; wait for its answer`);
  const { owner, epoch } = own;
  const reason = `${by} asked for the release of ${group}${force ? ', whatever its hooks say' : ''}`;
  const operation: Operation = {
    id: `${group}-${held.modRevision.toString()}-release`,
    ...{ group, kind: 'release', from: owner, to: null, by, phase: 'releasing', forced: force },
    ...{ reason, startedAt: wall, steps: [] },
  };
  const ownership: Ownership = refused === null ? { ...own, to: null } : { kind: 'owned', owner, epoch }; // X2
  const config = scene.view.config?.value.leaving.findLast((entry) => entry.group.name === group)?.group;
  const steps = config === undefined ? [] : releaseSteps(config, null);
  return {
    kind: 'do',
    judgement: change('releasing', 'release', { ...held.value, ownership, operation, reason }),
    steps: steps.map((step) => `${owner}: ${stepName(step)}`),
  };
}

function isConfigured({ view }: Scene, group: GroupId): boolean {
  return view.config?.value.groups.has(group) !== false;
}

function refusalOf(scene: Scene, group: GroupId, { owner, epoch }: Owned): string | null {
  const report = reportFor(scene, owner, group);
  return report?.epoch === epoch ? report.releaseRefused : null;
}

/** It has no steps to tell of any more: what is left of the group is ended, again and again. */
function stuckAt(scene: Scene, group: GroupId, { owner, epoch }: Owned): string | null {
  const report = reportFor(scene, owner, group);
  const ends = report?.epoch === epoch && report.state === 'releasing' && report.steps.length === 0;
  return ends && report.says !== '' ? report.says : null;
}

/** Its own word, on record. */
function renewedAsFenced(scene: Scene, server: MemberId, group: GroupId, epoch: bigint): boolean {
  const report = reportFor(scene, server, group);
  return report?.epoch === epoch && (report.state === 'fenced' || report.state === 'failed');
}
