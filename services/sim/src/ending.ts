/**
 * I9, after everything has healed: one owner, active, everywhere the same; nothing of a group anywhere else; no
 * operation that is stuck; and every process answers. A group without an owner must say why, and the reason must be one
 * that only a person can do away with.
 */

import { lastCommon, type GroupConfig } from '@holdfast/core';
import type { Cluster } from './cluster.ts';

/** What may hold a group for good, by the words of its judgement. */
const heldFor: readonly (readonly [string, RegExp])[] = [
  ['observed', /only observed/],
  ['approval', /once approved|awaiting/],
  ['denied', /denied by/],
  ['failovers', /held after \d+ failovers/],
  ['failed', /could not take it over/],
  ['rule 10', /was down together/],
  ['mirror', /nothing was ever copied|the copy of .* is not complete|how much is not known|the gate allows/],
];

export interface Ending {
  /** Why groups had no owner, counted. */
  readonly held: ReadonlyMap<string, number>;
}

export function settleMs(cluster: Cluster): number {
  const outages = [...cluster.config.groups.values()].map((g) => g.rules.outageMs);
  return 3 * Math.max(3_000, ...outages) + 60_000;
}

export function auditEnding(cluster: Cluster): Ending {
  const held = new Map<string, number>();
  for (const host of cluster.hosts) {
    if (host.agent?.mailbox.runs !== true) cluster.sim.fail('I9', `the agent of ${host.id} does not run`);
    else if (!host.agent.state.stripped) cluster.sim.fail('I9', `the agent of ${host.id} has never stripped`);
  }
  if (cluster.leader() === null) cluster.sim.fail('I9', 'nobody leads');
  for (const group of cluster.config.groups.values()) {
    const why = endOf(cluster, group);
    if (why !== null) held.set(why, (held.get(why) ?? 0) + 1);
  }
  return { held };
}

/** Null when all is well with the group; else what holds it. */
function endOf(cluster: Cluster, group: GroupConfig): string | null {
  const { sim } = cluster;
  const record = cluster.records.recordOf(group.name);
  const judged = cluster.judgement(group.name);
  const own = record?.ownership;
  const fail = (says: string) =>
    sim.fail('I9', `${group.name}: ${says}; judged: ${judged?.reason ?? 'nothing'}`);
  const owner = own?.kind === 'owned' ? cluster.host(own.owner) : null;
  strangers(cluster, group, owner?.id ?? null, fail);
  const holding = owner?.agent?.state.groups.get(group.name)?.holding;
  const active = own?.kind === 'owned' && holding?.kind === 'active' && holding.epoch === own.epoch;
  if (active) {
    complete(cluster, group, owner?.id ?? '', fail);
    inStep(cluster, group, owner?.id ?? '', fail);
    cluster.mirrors.nothingVanished(group.name, cluster.host(own.owner).machine);
    const op = record?.operation ?? null;
    if (op !== null && op.phase !== 'awaiting-approval') fail(`${op.id} (${op.phase}) never ended`);
    return null;
  }
  const words = `${judged?.reason ?? ''} ${judged?.warnings.join(' ') ?? ''} ${record?.reason ?? ''}`;
  const why = heldFor.find(([, pattern]) => pattern.test(words));
  if (why === undefined) {
    const now = `${own?.kind ?? 'no record'} ${owner?.id ?? ''} is ${holding?.kind ?? 'nothing'}`;
    fail(`nobody is active (${now}), and no reason that holds it is given`);
    return null;
  }
  return why[0];
}

/** Writes that may be under way. */
const behindMax = 100;

/** Every other server holds what the owner holds, and nothing else. */
function inStep(cluster: Cluster, group: GroupConfig, owner: string, fail: (says: string) => void): void {
  if (group.mirrors.length === 0) return;
  const { now } = cluster.sim;
  const data = cluster.host(owner).machine.copyOf(group.name).historyAt(now);
  for (const server of group.servers) {
    if (server === owner) continue;
    const copy = cluster.host(server).machine.copyOf(group.name);
    const theirs = copy.historyAt(now);
    const held = theirs.at(-1)?.sequence ?? 0;
    const common = held === 0 ? 0 : (lastCommon(theirs, data) ?? 0);
    const behind = (data.at(-1)?.sequence ?? 0) - common;
    if (!copy.consistent) fail(`the copy on ${server} is not complete`);
    else if (common !== held || behind > behindMax)
      fail(`the copy on ${server} holds ${String(held)} writes and lacks ${String(behind)}`);
  }
}

/** Nothing of the group is left anywhere else. */
function strangers(
  cluster: Cluster,
  group: GroupConfig,
  owner: string | null,
  fail: (says: string) => void,
): void {
  for (const { machine, address } of cluster.audit.holders(group.name)) {
    if (machine !== owner) fail(`${address} is left on ${machine}`);
  }
  for (const host of cluster.hosts) {
    if (host.id === owner) continue;
    for (const [key, r] of host.machine.resources)
      if (r.group === group.name) fail(`${key} is left on ${host.id}`);
  }
}

/** The owner has everything that it should have; with `replace`, the other server has the spare address. */
function complete(cluster: Cluster, group: GroupConfig, owner: string, fail: (says: string) => void): void {
  const { machine } = cluster.host(owner);
  const { identity } = group;
  const wanted = identity.mode === 'add' ? identity.addresses : [identity.primaryAddress ?? ''];
  for (const address of wanted)
    if (!machine.addresses.has(address)) fail(`${owner} owns it without ${address}`);
  for (const r of group.resources) {
    if (!machine.resources.has(`${group.name}/${r.name}`))
      fail(`${owner} owns it and ${r.name} does not run`);
  }
  if (identity.mode !== 'replace') return;
  const spare = identity.standbyAddress ?? '';
  const holders = cluster.hosts.filter((h) => h.machine.addresses.has(spare)).map((h) => h.id);
  if (holders.length !== 1 || holders[0] === owner)
    fail(`the spare ${spare} is held by [${holders.join(', ')}]`);
}
