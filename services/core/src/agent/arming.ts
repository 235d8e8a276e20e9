/**
 * Deadlines on their way to those who enforce them without us: the guard, and the kernel's address lifetimes. The guard also
 * learns of what begins here as soon as its former owner has let go: then nothing has to wait for it (docs/adr/0071).
 */

import { goneBy, mayActUntil } from '../node.ts';
import type { AgentAction, ArmedGroup } from './events.ts';
import { heldEpoch, type GroupState } from './holding.ts';
import type { BootMs, MemberId } from '../names.ts';
import { awaitedEpoch } from './ownership.ts';
import type { AgentState } from './state.ts';

export interface Arming {
  readonly armed: readonly ArmedGroup[];
  /** The guard first, then the addresses. Empty when nothing moved. */
  readonly actions: readonly AgentAction[];
}

/** What is to be enforced now, and the orders for what moved since `state.armed`. */
export function arming(state: Pick<AgentState, 'self' | 'groups' | 'armed'>, now: BootMs): Arming {
  const armed: ArmedGroup[] = [];
  const extensions: AgentAction[] = [];
  for (const g of state.groups.values()) {
    const until = armedGroup(g, state.self, now);
    if (until === null) continue;
    armed.push(until);
    const before = state.armed.find((a) => a.group === g.group);
    if (before?.goneBy !== until.goneBy && g.held.length > 0) {
      extensions.push({
        kind: 'extend',
        group: g.group,
        epoch: until.epoch,
        addresses: g.held,
        goneBy: until.goneBy,
      });
    }
  }
  if (sameArmed(armed, state.armed)) return { armed: state.armed, actions: [] };
  return { armed, actions: [{ kind: 'arm', groups: armed }, ...extensions] };
}

function armedGroup(g: GroupState, self: MemberId, now: BootMs): ArmedGroup | null {
  // While it fences, the guard still needs its orders.
  const held = heldEpoch(g.holding);
  const epoch = held ?? awaitedEpoch(g, self);
  const { entitlement } = g;
  if (entitlement === null || epoch === null) return null;
  // What is only waited for may get another renewal: the guard would end it at once, and for good.
  if (held === null && now >= mayActUntil(entitlement)) return null;
  return {
    group: g.group,
    epoch,
    fenceAt: mayActUntil(entitlement),
    goneBy: goneBy(entitlement),
  };
}

function sameArmed(a: readonly ArmedGroup[], b: readonly ArmedGroup[]): boolean {
  return (
    a.length === b.length &&
    a.every((x, i) => x.group === b[i]?.group && x.epoch === b[i].epoch && x.fenceAt === b[i].fenceAt)
  );
}
