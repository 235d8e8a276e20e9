/**
 * The steps of a takeover and of a release, as data. Each is idempotent, so a crash in the middle starts the list
 * again. Order: hooks, probe, mirrors, addresses, announcement, name, resources, hooks; a release is about the reverse,
 * but drains the mirrors as soon as the resources are stopped, while the group can still stay.
 */

import type { GroupConfig, HookPoint, Identity } from './config/types.ts';
import { mirrorsOf } from './mirror/mirror-id.ts';
import type { Command, MemberId, MirrorId } from './names.ts';

export type TakeoverStep =
  /** The copies here become writable at the new epoch: nothing of a lower one is taken any more. */
  | { readonly kind: 'open-mirrors'; readonly mirrors: readonly MirrorId[] }
  /** Everything that was written goes to the copies; `to`: that server's must hold it all. Null: as far as they can. */
  | {
      readonly kind: 'drain-mirrors';
      readonly mirrors: readonly MirrorId[];
      readonly to: MemberId | null;
    }
  | { readonly kind: 'hook'; readonly point: HookPoint; readonly index: number; readonly command: Command }
  /** Rule 9: ask whether somebody answers at the addresses. */
  | { readonly kind: 'probe'; readonly addresses: readonly string[] }
  /** `replace`: the server's own service address gives way. */
  | { readonly kind: 'yield-own'; readonly address: string }
  | { readonly kind: 'hold-addresses'; readonly addresses: readonly string[] }
  | { readonly kind: 'announce'; readonly addresses: readonly string[] }
  | { readonly kind: 'name' }
  | { readonly kind: 'start'; readonly resource: string }
  | { readonly kind: 'stop'; readonly resource: string }
  | { readonly kind: 'unname' }
  | { readonly kind: 'drop-addresses'; readonly addresses: readonly string[] };

export function stepName(step: TakeoverStep): string {
  switch (step.kind) {
    case 'hook':
      return `hook ${step.point} ${String(step.index + 1)}`;
    case 'open-mirrors':
      return 'open mirrors';
    case 'drain-mirrors':
      return 'drain mirrors';
    case 'probe':
      return 'probe addresses';
    case 'yield-own':
      return 'yield own address';
    case 'hold-addresses':
      return 'add addresses';
    case 'announce':
      return 'announce addresses';
    case 'name':
      return 'take name';
    case 'start':
      return `start ${step.resource}`;
    case 'stop':
      return `stop ${step.resource}`;
    case 'unname':
      return 'give up name';
    case 'drop-addresses':
      return 'drop addresses';
  }
}

/** The addresses that clients use, as CIDR. */
export function identityAddresses(identity: Identity): readonly string[] {
  switch (identity.mode) {
    case 'add':
      return identity.addresses;
    case 'replace':
      return identity.primaryAddress === null ? [] : [identity.primaryAddress];
  }
}

/** In `replace`, the address of the pair that is not the identity: whoever does not own the group may hold it. */
export function spareAddress(identity: Identity): string | null {
  return identity.mode === 'replace' ? identity.standbyAddress : null;
}

export function takeoverSteps(group: GroupConfig): readonly TakeoverStep[] {
  const addresses = identityAddresses(group.identity);
  const spare = spareAddress(group.identity);
  const steps: TakeoverStep[] = [...hookSteps(group, 'beforeTakeover')];
  if (addresses.length > 0) steps.push({ kind: 'probe', addresses });
  // Not before it is known that nobody else answers, and before anybody can write.
  if (group.mirrors.length > 0) steps.push({ kind: 'open-mirrors', mirrors: mirrorsOf(group) });
  if (addresses.length > 0) {
    if (spare !== null) steps.push({ kind: 'yield-own', address: spare });
    steps.push({ kind: 'hold-addresses', addresses }, { kind: 'announce', addresses });
  }
  if (group.identity.hostname !== null) steps.push({ kind: 'name' });
  for (const resource of group.resources) steps.push({ kind: 'start', resource: resource.name });
  steps.push(...hookSteps(group, 'afterTakeover'));
  return steps;
}

/** There is nothing to it but the addresses: nothing that could be refused, must be brought in step, or takes long. */
export function isReleasedAtOnce(group: GroupConfig): boolean {
  if (group.identity.mode !== 'add') return false;
  const steps = releaseSteps(group, null);
  return steps.length > 0 && steps.every((step) => step.kind === 'drop-addresses');
}

/** `to`: who takes the group over, and has to have everything; null when nobody does. */
export function releaseSteps(group: GroupConfig, to: MemberId | null): readonly TakeoverStep[] {
  const addresses = identityAddresses(group.identity);
  const steps: TakeoverStep[] = [...hookSteps(group, 'beforeRelease')];
  for (const resource of [...group.resources].reverse())
    steps.push({ kind: 'stop', resource: resource.name });
  if (group.mirrors.length > 0) steps.push({ kind: 'drain-mirrors', mirrors: mirrorsOf(group), to });
  if (group.identity.hostname !== null) steps.push({ kind: 'unname' });
  if (addresses.length > 0) steps.push({ kind: 'drop-addresses', addresses });
  steps.push(...hookSteps(group, 'afterRelease'));
  return steps;
}

/** Whether a release may still be called off at this step: nothing but hooks has run before it. */
export function beforePointOfNoReturn(step: TakeoverStep): boolean {
  return step.kind === 'hook' && step.point === 'beforeRelease';
}

function hookSteps(group: GroupConfig, point: HookPoint): readonly TakeoverStep[] {
  return group.hooks[point].map((command, index) => ({ kind: 'hook', point, index, command }));
}

/** A log that is applied to its end, or the last batches on a slow line: longer than that, and it is better not to move. */
const mirrorsLimitMs = 60_000;
const lastDrainMs = 10_000;

/** How long one step may take at most before the agent counts it as failed. */
export function stepLimitMs(step: TakeoverStep, group: GroupConfig): number {
  const graceMs = 2_000;
  switch (step.kind) {
    case 'hook':
      return step.command.timeoutMs + graceMs;
    case 'start':
    case 'stop': {
      const resource = group.resources.find((r) => r.name === step.resource);
      if (resource === undefined) return graceMs;
      return (step.kind === 'start' ? resource.startTimeoutMs : resource.stopTimeoutMs) + graceMs;
    }
    case 'open-mirrors':
      return mirrorsLimitMs;
    case 'drain-mirrors':
      // Nobody waits for it at the other end, and perhaps a host wants to go down.
      return step.to === null ? lastDrainMs : mirrorsLimitMs;
    case 'probe':
    case 'yield-own':
    case 'hold-addresses':
    case 'announce':
    case 'name':
    case 'unname':
    case 'drop-addresses':
      return 5_000;
  }
}

/** Who may own the group besides this server. */
export function otherServers(group: GroupConfig, self: MemberId): readonly MemberId[] {
  return group.servers.filter((s) => s !== self);
}

/** The addresses of the group are not what they were: whatever is here of them was not put here for it. */
export function identityMoved(before: GroupConfig, after: GroupConfig): boolean {
  const all = (g: GroupConfig) => [...identityAddresses(g.identity), spareAddress(g.identity)].join();
  return all(before) !== all(after);
}
