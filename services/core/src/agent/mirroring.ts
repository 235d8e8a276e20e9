/**
 * The agent's side of mirrors: orders for the mirror process whenever they change, and what of its reports goes into the
 * history.
 */

import type { GroupConfig } from '../config/types.ts';
import {
  isStuck,
  type MirrorReport,
  type MirrorRow,
  type MirrorState,
  type MirrorTargetReport,
  type ToldMirrors,
} from '../mirror/report.ts';
import type { MirrorOrders } from '../mirror/orders.ts';
import { mirrorsOf } from '../mirror/mirror-id.ts';
import { ordersOf, sameOrders, type Cast } from '../mirror/roles.ts';
import type { BootMs, GroupId, MirrorId } from '../names.ts';
import type { AgentAction } from './events.ts';
import type { Moved } from './here.ts';
import type { GroupState } from './holding.ts';
import type { Vantage } from '../vantage.ts';
import type { AgentState } from './state.ts';

/** A state that lasts less than this is not worth an event. */
const steadyMs = 5_000;

interface Ordering {
  readonly orders: MirrorOrders | null;
  readonly actions: readonly AgentAction[];
}

/** Whether what is ordered follows from the same as before: asked after every event. */
export function sameCast(before: AgentState, after: AgentState): boolean {
  return (
    before.mirrorOrders !== null &&
    before.started === after.started &&
    before.config === after.config &&
    samePlots(before.groups, after.groups) &&
    before.members === after.members &&
    before.pauses === after.pauses &&
    before.stripped === after.stripped &&
    before.followed === after.followed &&
    sameAddresses(before.vantage, after.vantage)
  );
}

/** Of a group, all that its roles follow from (mirror/roles.ts). */
function samePlots(before: Cast['groups'], after: Cast['groups']): boolean {
  if (before === after) return true;
  if (before.size !== after.size) return false;
  for (const [name, g] of after) {
    const known = before.get(name);
    if (known === g) continue;
    const same =
      known?.holding === g.holding &&
      known.entitlement === g.entitlement &&
      known.entitledEpoch === g.entitledEpoch &&
      known.opened === g.opened &&
      known.seen === g.seen &&
      known.highestEpoch === g.highestEpoch;
    if (!same) return false;
  }
  return true;
}

function sameAddresses(before: Vantage, after: Vantage): boolean {
  if (before === after) return true;
  for (const [member, { addresses }] of after.ears) {
    const known = before.ears.get(member)?.addresses ?? [];
    if (known !== addresses && known.join() !== addresses.join()) return false;
  }
  return true;
}

/** What is to be ordered now; an action only when it is not what was ordered before. */
export function ordering(cast: Cast, before: MirrorOrders | null): Ordering {
  // An earlier agent's orders stand until it is known what the new ones are.
  if (cast.config === null) return { orders: before, actions: [] };
  const orders = ordersOf(cast, cast.config);
  if (sameOrders(orders, before)) return { orders: before, actions: [] };
  return { orders, actions: [{ kind: 'order-mirrors', orders }] };
}

/** What an owner had opened when an earlier agent of it ended: what was active had opened all of its mirrors. */
export function openNow({ holding }: GroupState, config: GroupConfig): GroupState['opened'] {
  return holding.kind === 'active' ? { epoch: holding.epoch, mirrors: mirrorsOf(config) } : null;
}

/** An owner whose data can't be written asks for a move: rather that, to a copy in step, than a service that fails. */
export function watchData(g: GroupState, reports: readonly MirrorReport[]): Moved {
  const isActive = g.holding.kind === 'active';
  const trouble = isActive ? dataTrouble(reports, g.group) : null;
  if (trouble === g.dataTrouble) return { group: g, actions: [] };
  const group = { ...g, dataTrouble: trouble };
  if (trouble === null && !isActive) return { group, actions: [] };
  const [what, reason] =
    trouble === null
      ? ['data-writable', `the data of ${g.group} can be written again`]
      : ['wants-release', trouble];
  return { group, actions: [{ kind: 'note', group: g.group, what, reason }] };
}

/** Why the data of one of the group's mirrors can't be written here, where it is the source; null when it can. */
function dataTrouble(reports: readonly MirrorReport[], group: GroupId): string | null {
  for (const r of reports) {
    if (r.kind === 'target' || groupOf(r.mirror) !== group) continue;
    const trouble = r.dataTrouble ?? '';
    if (trouble !== '') return `the data of ${r.mirror} can't be written: ${trouble}`;
  }
  return null;
}

/**
 * What was told as events by now, and those for what changed and stayed so for a while. Of a copy here its source tells,
 * except that it can't go on, which that may never hear: that is told once, until it is in step again.
 */
export function mirrorNews(
  told: ToldMirrors,
  reports: readonly MirrorReport[],
  now: BootMs,
): {
  readonly mirrorsTold: ToldMirrors;
  readonly actions: readonly AgentAction[];
} {
  const next = new Map<string, { readonly state: MirrorState; readonly at: BootMs }>();
  const actions: AgentAction[] = [];
  for (const r of reports) {
    if (r.kind === 'target') {
      const foreign = foreignNews(told, r, now);
      for (const [key, at] of foreign.told) next.set(key, at);
      actions.push(...foreign.actions);
      const before = told.get(r.mirror);
      const { mirror, state } = r;
      if (state === 'replicating') continue;
      if (!isStuck(state) || before?.state === state) {
        if (before !== undefined) next.set(mirror, before);
        continue;
      }
      next.set(mirror, { state, at: now });
      const reason = ownSentence(r);
      actions.push({ kind: 'note', group: groupOf(mirror), what: `mirror-${state}`, reason });
      continue;
    }
    for (const row of r.targets) {
      const key = `${r.mirror} ${row.target}`;
      const before = told.get(key) ?? { state: 'disconnected', at: -Infinity };
      if (before.state === row.state || now - before.at < steadyMs) {
        next.set(key, before);
        continue;
      }
      next.set(key, { state: row.state, at: now });
      const what = `mirror-${row.state}`;
      actions.push({ kind: 'note', group: groupOf(r.mirror), what, reason: sentence(r.mirror, row) });
    }
  }
  return { mirrorsTold: next, actions };
}

/** That others changed entries here is told once, until a search finds none. */
function foreignNews(
  told: ToldMirrors,
  { mirror, state, notes }: MirrorTargetReport,
  now: BootMs,
): { readonly told: ToldMirrors; readonly actions: readonly AgentAction[] } {
  const key = `${mirror}!`;
  const before = told.get(key);
  const count = notes?.foreign ?? null;
  // Nobody has looked in this life of the mirror process.
  if (count === null && before !== undefined) return { told: new Map([[key, before]]), actions: [] };
  if (count === null || count === 0) return { told: new Map(), actions: [] };
  const next = new Map([[key, before ?? { state, at: now }]]);
  if (before !== undefined) return { told: next, actions: [] };
  const entries = count === 1 ? '1 entry' : `${String(count)} entries`;
  const reason = `${entries} of the copy of ${mirror} on this server ${count === 1 ? 'was' : 'were'} changed by others`;
  return { told: next, actions: [{ kind: 'note', group: groupOf(mirror), what: 'mirror-foreign', reason }] };
}

function ownSentence({ mirror, state, says }: MirrorTargetReport): string {
  const what = state === 'diverged' ? 'holds writes of its own' : "can't go on";
  return `the copy of ${mirror} on this server ${what}${says === '' ? '' : `: ${says}`}`;
}

/** The group of a mirror; null for one without a failover. */
function groupOf(mirror: MirrorId): GroupId | null {
  const slash = mirror.indexOf('/');
  return slash < 0 ? null : mirror.slice(0, slash);
}

function sentence(mirror: MirrorId, { target, state, says, consistent }: MirrorRow): string {
  const why = says === '' ? '' : `: ${says}`;
  switch (state) {
    case 'initial-copy':
      return `the initial copy of ${mirror} to ${target} began${why}`;
    case 'resync':
      return `${target} catches up with ${mirror}${why}`;
    case 'replicating':
      return `${target} holds a complete copy of ${mirror}, and every change is replicated${why}`;
    case 'paused':
      return `the mirror ${mirror} to ${target} is paused${why}`;
    case 'waiting':
      return `the mirror ${mirror} to ${target} waits${why}`;
    case 'disconnected':
      return `${mirror} has no connection to ${target}, whose copy is ${consistent ? 'complete up to then' : 'incomplete'}${why}`;
    case 'diverged':
      return `${target} holds writes to ${mirror} of its own${why}`;
    case 'failed':
      return `the mirror ${mirror} to ${target} can't go on${why}`;
  }
}
