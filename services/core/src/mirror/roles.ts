/**
 * Which role each mirror has on this member now: a pure function of the configuration, the groups' records, and what this
 * server itself holds. Rules O1 to O3 (orders.ts) are kept here.
 */

import type { CopyConfig, CopyTerms, DatasetConfig, GroupConfig, MirrorConfig } from '../config/types.ts';
import type { ClusterConfig } from '../config/types.ts';
import type { GroupState } from '../agent/holding.ts';
import type { GroupId, Member, MemberId, MirrorId } from '../names.ts';
import { mayActUntil } from '../node.ts';
import { everyTarget, type GroupRecord, type PauseRecord } from '../records.ts';
import type { Vantage } from '../vantage.ts';
import { mirrorId } from './mirror-id.ts';
import type { MirrorDataset, MirrorOrder, MirrorOrders, MirrorRole, MirrorTarget } from './orders.ts';

/** What roles follow from. */
export interface Cast {
  readonly self: MemberId;
  readonly config: ClusterConfig | null;
  readonly members: ReadonlyMap<MemberId, Member>;
  readonly vantage: Vantage;
  /** The boot rule was carried out: until then a service of a former life may still write. */
  readonly stripped: boolean;
  readonly pauses: PauseRecord;
  readonly groups: ReadonlyMap<GroupId, GroupState>;
  /** Records of groups that this member is not a server of. */
  readonly followed: ReadonlyMap<GroupId, GroupRecord>;
}

const defaultMirrorPort = 7445;

/** The copies of a group's mirror on servers outside of the group. */
export function copiesOf(config: ClusterConfig, group: GroupId, mirror: string): readonly CopyConfig[] {
  return [...config.mirrors.values()].filter(
    ({ from }) => from.kind === 'group' && from.group === group && from.mirror === mirror,
  );
}

export function ordersOf(cast: Cast, config: ClusterConfig): MirrorOrders {
  const orders: MirrorOrder[] = [];
  for (const group of config.groups.values()) {
    for (const mirror of group.mirrors) {
      const order = groupOrder(cast, config, group, mirror);
      const none = order === null || (order.role.kind === 'idle' && isForeign(cast, group));
      if (!none) orders.push(order);
    }
  }
  for (const copy of config.mirrors.values()) {
    const order = copyOrder(cast, copy);
    if (order !== null) orders.push(order);
  }
  orders.sort((a, b) => (a.mirror < b.mirror ? -1 : 1));
  return { mirrors: orders };
}

/**
 * An observed group belongs to somebody else (I8), unless it has an owner of ours. An order that is taken away is taken for the end
 * of its mirror, so a server that has just begun goes by what it remembers.
 */
function isForeign({ groups, followed }: Cast, { name, takeover }: GroupConfig): boolean {
  if (takeover !== 'observe') return false;
  const g = groups.get(name);
  const record = g?.seen ?? followed.get(name);
  return record === undefined ? (g?.highestEpoch ?? 0n) === 0n : record.ownership.kind === 'unowned';
}

function groupOrder(
  cast: Cast,
  config: ClusterConfig,
  group: GroupConfig,
  mirror: MirrorConfig,
): MirrorOrder | null {
  const id = mirrorId(group.name, mirror.name);
  const copies = copiesOf(config, group.name, mirror.name);
  const chained = copies.find((c) => c.to.includes(cast.self));
  const g = cast.groups.get(group.name);
  const member = group.servers.includes(cast.self);
  if (g !== undefined && (member || isOpen(g, id))) {
    const targets = (): readonly MirrorTarget[] => [
      ...targetsOf(cast, id, group.servers, mirror),
      ...copies.flatMap((copy) =>
        targetsOf(cast, copy.name, copy.to, copy).map((target) => ({ ...target, elsewhere: true as const })),
      ),
    ];
    return order(id, mirror.dataset, null, mirror, heldRole(cast, g, id, targets));
  }
  if (chained === undefined) return null;
  const role = followRole(cast, g?.seen ?? cast.followed.get(group.name) ?? null, group.name);
  return order(id, mirror.dataset, chained.root, chained, role);
}

/** O1, O2 (orders.ts). */
function heldRole(
  cast: Cast,
  g: GroupState,
  id: MirrorId,
  targets: () => readonly MirrorTarget[],
): MirrorRole {
  const h = g.holding;
  switch (h.kind) {
    case 'acquiring':
    case 'active':
    case 'releasing':
      if (!isOpen(g, id) || g.entitlement === null || g.entitledEpoch !== h.epoch)
        return { kind: 'idle', epoch: h.epoch, says: 'it is not open yet' };
      return {
        kind: 'source',
        epoch: h.epoch,
        grantUntil: mayActUntil(g.entitlement),
        targets: targets(),
      };
    case 'fencing':
    case 'stuck':
      return { kind: 'idle', epoch: h.epoch, says: `${g.group} is being fenced here` };
    case 'idle':
    case 'fenced':
      if (!cast.stripped) return { kind: 'idle', epoch: g.highestEpoch, says: 'this server has just begun' };
      return followRole(cast, g.seen, g.group);
  }
}

function isOpen(g: GroupState, id: MirrorId): boolean {
  const h = g.holding;
  if (h.kind !== 'acquiring' && h.kind !== 'active' && h.kind !== 'releasing') return false;
  return g.opened?.epoch === h.epoch && g.opened.mirrors.includes(id);
}

/** A target of whoever owns the group on record. */
function followRole(cast: Cast, record: GroupRecord | null, group: GroupId): MirrorRole {
  if (record === null) return { kind: 'idle', epoch: 0n, says: `nothing is known of ${group} yet` };
  const own = record.ownership;
  if (own.kind === 'unowned') return { kind: 'idle', epoch: own.epoch, says: `nobody owns ${group}` };
  if (own.owner === cast.self)
    return { kind: 'idle', epoch: own.epoch, says: `this server is about to take ${group}` };
  const { forced } = record;
  const role = { kind: 'target', epoch: own.epoch, sources: [own.owner] } as const;
  return forced === undefined ? role : { ...role, forced };
}

function copyOrder(cast: Cast, copy: CopyConfig): MirrorOrder | null {
  const { from, to, name, root } = copy;
  if (from.kind === 'group') return null;
  const { epoch, dataset } = from;
  if (from.server === cast.self) {
    const targets = targetsOf(cast, name, to, copy);
    return order(name, dataset, null, copy, { kind: 'source', epoch, grantUntil: null, targets });
  }
  if (!to.includes(cast.self)) return null;
  return order(name, dataset, root, copy, { kind: 'target', epoch, sources: [from.server] });
}

/** `root`: where it lies here, when not where the source has it. */
function order(
  mirror: MirrorId,
  dataset: DatasetConfig,
  root: string | null,
  terms: CopyTerms,
  role: MirrorRole,
): MirrorOrder {
  return { mirror, dataset: datasetHere(dataset, root, terms), keepMaxBytes: terms.keepMaxBytes, role };
}

function datasetHere(dataset: DatasetConfig, root: string | null, terms: CopyTerms): MirrorDataset {
  switch (dataset.kind) {
    case 'files':
      return { ...dataset, root: root ?? dataset.root, scanEveryMs: terms.scanEveryMs };
    case 'volume': {
      const { kind, path, sizeBytes, mode, onTargetLoss, targetLossMs, granularityBytes } = dataset;
      return { kind, path: root ?? path, sizeBytes, mode, onTargetLoss, targetLossMs, granularityBytes };
    }
  }
}

/** `name`: by which a person pauses them. */
function targetsOf(
  cast: Cast,
  name: MirrorId,
  servers: readonly MemberId[],
  terms: CopyTerms,
): readonly MirrorTarget[] {
  return servers.flatMap((server) => {
    const member = cast.members.get(server);
    if (server === cast.self || member === undefined) return [];
    // An identity may have moved one of its addresses; the private path comes first.
    const told = cast.vantage.ears.get(server)?.addresses ?? [];
    const addresses = told.length === 0 ? member.addresses : told;
    return [
      {
        member: server,
        addresses: [...addresses].reverse(),
        port: member.mirrorPort ?? defaultMirrorPort,
        throttle: terms.throttle,
        compress: terms.compress,
        encrypt: terms.encrypt,
        paused: pausedBy(cast.pauses, name, server),
      },
    ];
  });
}

/** Why a mirror to this target is paused; null when it is not. */
export function pausedBy(pauses: PauseRecord, mirror: MirrorId, target: MemberId): string | null {
  const paused = pauses.mirrors[mirror];
  return paused?.[target] ?? paused?.[everyTarget] ?? null;
}

/** Whether two values of plain data are equal, field by field. */
export function sameOrders(a: unknown, b: unknown): boolean {
  if (a === b) return true;
  if (typeof a !== 'object' || typeof b !== 'object' || a === null || b === null) return false;
  const mine = a as Readonly<Record<string, unknown>>;
  const theirs = b as Readonly<Record<string, unknown>>;
  const fields = Object.keys(a);
  return fields.length === Object.keys(b).length && fields.every((f) => sameOrders(mine[f], theirs[f]));
}
