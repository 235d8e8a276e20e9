/**
 * What the loop is told of a former life of this agent, from its disk and from the guard.
 *
 *   L1  only what was remembered in this same boot of the host, and is armed at the guard for the same epoch with its
 *       deadline still to come, goes on
 *   L2  what was remembered in this boot and the guard does not vouch for is fenced first: its service may still run
 *   L3  a promise of another boot counts as given now: how long ago it was can't be told
 *   L4  an epoch that was on the disk ahead of time was seen only where the guard was armed for it. Else it may have begun,
 *       so it is fenced first as in L2 and never begins again, but nobody is refused a promise for it (memory.ts, M3)
 *   L5  a group that was removed, or moved away from this server, is here until this server let go of it: as it was before,
 *       it is in `leaving`. Of one that is in neither, nobody knows how to end it
 *   L6  where what was held can't be read, all that the guard is armed for was, and is fenced first; what else may run here
 *       is not known, and the loop fences it (configuring.ts)
 */

import type { ClusterConfig } from '../config/types.ts';
import type { BootMs, Epoch, GroupId, MemberId } from '../names.ts';
import type { HoldingState } from '../records.ts';
import type { AgentEvent, HeldBefore } from './events.ts';

/** What was held of a group, as it is kept on disk. */
export interface Remembered {
  readonly bootId: string;
  readonly epoch: Epoch;
  readonly state: HoldingState | 'idle';
  /** On the disk before it was given to anybody (L4). Later than `epoch`. */
  readonly ahead?: Epoch | undefined;
}

export interface KeptPromise {
  readonly bootId: string;
  readonly epoch: Epoch;
  /** On the boot clock of that boot. */
  readonly until: BootMs;
}

interface ArmedAt {
  readonly group: GroupId;
  readonly epoch: Epoch;
  readonly fenceAtMs: BootMs;
}

export interface Traces {
  readonly self: MemberId;
  readonly bootId: string;
  readonly now: BootMs;
  readonly holdings: ReadonlyMap<GroupId, Remembered>;
  readonly holdingsLost: boolean;
  readonly promises: ReadonlyMap<GroupId, KeptPromise>;
  /** Promises were given that can't be read any more. */
  readonly promisesLost: boolean;
  /** Null: the guard does not answer. */
  readonly guard: { readonly armed: readonly ArmedAt[] } | null;
  /** The last known configuration; null: none. */
  readonly config: ClusterConfig | null;
}

export type Started = Extract<AgentEvent, { kind: 'started' }>;

/** G of the reference outage, for groups whose rules are not known yet. */
const waitMsUsual = 20_000;

export function recall(read: Traces): Started {
  const traces = read.holdingsLost ? { ...read, holdings: asArmed(read) } : read;
  return {
    kind: 'started',
    lost: traces.holdingsLost,
    held: [...traces.holdings].flatMap(([group, remembered]) =>
      isKnown(traces, group) ? (heldBefore(traces, group, remembered) ?? []) : [],
    ),
    epochs: new Map([...traces.holdings].map(([group, kept]) => [group, begun(traces, group, kept).epoch])),
    ahead: new Map([...traces.holdings].flatMap(([group, { ahead }]) => (ahead ? [[group, ahead]] : []))),
    promises: promisesNow(traces),
  };
}

/** L6. */
function asArmed({ guard, bootId }: Traces): Traces['holdings'] {
  const state = 'releasing' as const;
  return new Map((guard?.armed ?? []).map(({ group, epoch }) => [group, { bootId, epoch, state }]));
}

/** L5. */
function isKnown({ config, self }: Traces, name: GroupId): boolean {
  if (config === null) return true;
  const left = config.leaving.flatMap(({ group }) => (group.name === name ? [group] : []));
  return [config.groups.get(name), ...left].some((group) => group?.servers.includes(self) === true);
}

function heldBefore(traces: Traces, group: GroupId, remembered: Remembered): HeldBefore | null {
  if (remembered.bootId !== traces.bootId) return null;
  const { epoch, state, ahead } = begun(traces, group, remembered);
  const ended = state === 'idle' || state === 'fenced' || state === 'failed';
  const fenced = { group, state: 'releasing', fenceAt: traces.now } as const;
  if (ended) return ahead === undefined ? null : { ...fenced, epoch: ahead }; // L4
  const armed = armedAt(traces, group, epoch);
  if (armed === undefined || armed.fenceAtMs <= traces.now) return { ...fenced, epoch }; // L2
  return { group, epoch, state, fenceAt: armed.fenceAtMs }; // L1
}

/** L4. */
function begun(traces: Traces, group: GroupId, remembered: Remembered): Remembered {
  const { bootId, ahead } = remembered;
  if (ahead === undefined || bootId !== traces.bootId || armedAt(traces, group, ahead) === undefined)
    return remembered;
  return { bootId, epoch: ahead, state: 'acquiring' };
}

const armedAt = ({ guard }: Traces, group: GroupId, epoch: Epoch) =>
  guard?.armed.find((a) => a.group === group && a.epoch === epoch);

type PromiseBefore = Started['promises'][number];

function promisesNow(traces: Traces): readonly PromiseBefore[] {
  const { now, bootId, config, self } = traces;
  const waitMs = (group: GroupId): number => config?.groups.get(group)?.rules.waitMs ?? waitMsUsual;
  const known = [...traces.promises].map(([group, promise]) => ({
    group,
    epoch: promise.epoch,
    until: promise.bootId === bootId ? promise.until : now + waitMs(group), // L3
  }));
  if (!traces.promisesLost) return known;
  const groups = [...(config?.groups.values() ?? [])].filter((g) => g.servers.includes(self));
  return groups.map(({ name, rules }) => ({ group: name, epoch: 0n, until: now + rules.waitMs }));
}
