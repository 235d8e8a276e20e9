/** The state of an agent, and the paces that follow from its configuration. */

import type { ClusterConfig, GroupConfig } from '../config/types.ts';
import type { Draft } from '../draft.ts';
import type { BootMs, Epoch, GroupId, Member, MemberId, Revision, Role } from '../names.ts';
import type { Step } from '../node.ts';
import type { MirrorOrders } from '../mirror/orders.ts';
import type { MirrorReport, ToldMirrors } from '../mirror/report.ts';
import {
  noMaintenance,
  noPauses,
  type GroupRecord,
  type GroupReport,
  type MaintenanceRecord,
  type PauseRecord,
  type RenewalRecord,
} from '../records.ts';
import { slowestPace, type TimeRules } from '../time.ts';
import { startListening, type Vantage } from '../vantage.ts';
import type { Pings } from './diagnosis.ts';
import type { AgentAction, ArmedGroup, HeldBefore } from './events.ts';
import { heldEpoch, reportOf, type GroupState } from './holding.ts';
import { newRenewal, type Renewal, type RenewalPace } from './renewal.ts';

/** This server's own address, which a group of mode `replace` moved and moves no more. */
export interface OwnAddress {
  readonly group: GroupId;
  readonly address: string;
  readonly tries: number;
}

export interface AgentState {
  readonly self: MemberId;
  readonly role: Role;
  readonly version: string;
  readonly members: ReadonlyMap<MemberId, Member>;
  readonly config: ClusterConfig | null;
  readonly configRevision: Revision;
  /** The newest configuration that all that is here agrees with (configuring.ts). */
  readonly actsUnder: Revision;
  /** Groups that the configuration does not have here any more, and that are here until they are released. */
  readonly kept: readonly GroupId[];
  readonly maintenance: MaintenanceRecord;
  readonly pauses: PauseRecord;
  /** The latest word of this member's mirror process. */
  readonly mirrors: readonly MirrorReport[];
  /** When that came. */
  readonly mirrorsAt: BootMs;
  /** What it was last ordered; null: nothing by this agent. */
  readonly mirrorOrders: MirrorOrders | null;
  readonly mirrorsTold: ToldMirrors;
  /** Records of groups that this member is no server of, for copies of their mirrors. */
  readonly followed: ReadonlyMap<GroupId, GroupRecord>;
  readonly followedRevisions: ReadonlyMap<GroupId, Revision>;
  readonly vantage: Vantage;
  readonly renewal: Renewal;
  readonly groups: ReadonlyMap<GroupId, GroupState>;
  readonly epochs: ReadonlyMap<GroupId, Epoch>;
  readonly ahead: ReadonlyMap<GroupId, Epoch>;
  /** What a former life held can't be read. */
  readonly forgot: boolean;
  readonly started: boolean;
  /** The boot rule was carried out, for all that it was asked for. */
  readonly stripped: boolean;
  /** How often it was asked for and is not yet done. */
  readonly stripping: number;
  readonly leaving: string | null;
  readonly exiting: boolean;
  readonly nextBeatAt: BootMs;
  readonly nextSpareAt: BootMs;
  /** Own addresses of this server that are to be given back to it. */
  readonly own: readonly OwnAddress[];
  readonly pings: Pings;
  readonly nextPingAt: BootMs | null;
  /** When there is something to do, if nothing happens before. */
  readonly wakeAt: BootMs | null;
  /** The same, but for heartbeats and pings: until then they are all there is. Null: it is not known. */
  readonly dutiesAt: BootMs | null;
  readonly armed: readonly ArmedGroup[];
  /** What the guard vouched for when this agent started: completed with the rules once they are known. */
  readonly vouched: readonly HeldBefore[];
  /** G of each group of this server. */
  readonly waits: Readonly<Record<GroupId, number>>;
  /** The servers of each of them. */
  readonly asks: NonNullable<RenewalRecord['asks']>;
}

export type AgentStep = Step<AgentState, AgentAction>;

export interface AgentIdentity {
  readonly self: MemberId;
  readonly role: Role;
  readonly members: readonly Member[];
  readonly incarnation: number;
  readonly bootId: string;
  readonly version: string;
}

export function newAgent(id: AgentIdentity, now: BootMs): AgentState {
  return {
    self: id.self,
    role: id.role,
    version: id.version,
    members: new Map(id.members.map((m) => [m.id, m])),
    config: null,
    configRevision: 0n,
    actsUnder: 0n,
    kept: [],
    maintenance: noMaintenance,
    pauses: noPauses,
    mirrors: [],
    mirrorsAt: now,
    mirrorOrders: null,
    mirrorsTold: new Map(),
    followed: new Map(),
    followedRevisions: new Map(),
    vantage: startListening(id.self, now),
    renewal: newRenewal(id.self, id.incarnation, id.bootId, id.version, now),
    groups: new Map(),
    epochs: new Map(),
    ahead: new Map(),
    forgot: false,
    started: false,
    stripped: false,
    stripping: 0,
    leaving: null,
    exiting: false,
    nextBeatAt: now,
    nextSpareAt: now,
    own: [],
    pings: new Map(),
    nextPingAt: null,
    wakeAt: null,
    dutiesAt: null,
    armed: [],
    vouched: [],
    waits: {},
    asks: {},
  };
}

export function agentDraft(s: AgentState): Draft<AgentState> {
  return {
    self: s.self,
    role: s.role,
    version: s.version,
    members: s.members,
    config: s.config,
    configRevision: s.configRevision,
    actsUnder: s.actsUnder,
    kept: s.kept,
    maintenance: s.maintenance,
    pauses: s.pauses,
    mirrors: s.mirrors,
    mirrorsAt: s.mirrorsAt,
    mirrorOrders: s.mirrorOrders,
    mirrorsTold: s.mirrorsTold,
    followed: s.followed,
    followedRevisions: s.followedRevisions,
    vantage: s.vantage,
    renewal: s.renewal,
    groups: s.groups,
    epochs: s.epochs,
    ahead: s.ahead,
    forgot: s.forgot,
    started: s.started,
    stripped: s.stripped,
    stripping: s.stripping,
    leaving: s.leaving,
    exiting: s.exiting,
    nextBeatAt: s.nextBeatAt,
    nextSpareAt: s.nextSpareAt,
    own: s.own,
    pings: s.pings,
    nextPingAt: s.nextPingAt,
    wakeAt: s.wakeAt,
    dutiesAt: s.dutiesAt,
    armed: s.armed,
    vouched: s.vouched,
    waits: s.waits,
    asks: s.asks,
  };
}

/**
 * Period and deadline of this server's renewals: those of its most demanding group. Rules that were configured a moment
 * ago count, and so do those that it acts under until they are proven.
 */
export function paceOf(state: Pick<AgentState, 'config' | 'self' | 'groups'>): RenewalPace {
  let { renewMs, attemptMs } = slowestPace;
  const by = (rules: TimeRules) => {
    renewMs = Math.min(renewMs, rules.renewMs);
    attemptMs = Math.min(attemptMs, rules.attemptMs);
  };
  for (const g of state.config?.groups.values() ?? []) if (g.servers.includes(state.self)) by(g.rules);
  for (const { holding, entitlement } of state.groups.values()) {
    if (heldEpoch(holding) !== null && entitlement !== null) by(entitlement.rules);
  }
  return { renewMs, attemptMs };
}

/** The groups that this server is a server of. */
export function groupsOf(state: Pick<AgentState, 'config' | 'self'>): readonly GroupConfig[] {
  return [...(state.config?.groups.values() ?? [])].filter((g) => g.servers.includes(state.self));
}

/** The record of a group of others: only copies of its mirrors here need it. */
export function follow(
  { config, followed, followedRevisions }: AgentState,
  record: GroupRecord,
  revision: Revision,
): Pick<AgentState, 'followed' | 'followedRevisions'> {
  const { group } = record;
  if (config?.mirrors.size === 0 || (followedRevisions.get(group) ?? -1n) >= revision)
    return { followed, followedRevisions };
  return {
    followed: new Map(followed).set(group, record),
    followedRevisions: new Map(followedRevisions).set(group, revision),
  };
}

/** What its renewals tell of its groups besides: for how long others wait, and who is asked to hold. */
export function toldOf(groups: readonly GroupConfig[]): Pick<AgentState, 'waits' | 'asks'> {
  return {
    waits: Object.fromEntries(groups.map((g) => [g.name, g.rules.waitMs])),
    asks: Object.fromEntries(groups.map((g) => [g.name, g.servers])),
  };
}

/** What this server says of its groups, as it goes into renewals and heartbeats. */
export function reportsOf(state: Pick<AgentState, 'groups' | 'self'>): readonly GroupReport[] {
  // Asked for several times in every turn, and the groups seldom change between two.
  const known = reports.get(state.groups);
  if (known !== undefined) return known;
  const made: GroupReport[] = [];
  for (const g of state.groups.values()) {
    const report = reportOf(g, state.self);
    if (report !== null) made.push(report);
  }
  const list = sameList(made);
  reports.set(state.groups, list);
  return list;
}

const reports = new WeakMap<AgentState['groups'], readonly GroupReport[]>();

/** The list that was made of the same reports before: what was made from that is not made again. */
function sameList(made: readonly GroupReport[]): readonly GroupReport[] {
  const first = made[0];
  if (first === undefined) return noReports;
  const known = lists.get(first);
  if (known?.length === made.length && known.every((r, i) => r === made[i])) return known;
  lists.set(first, made);
  return made;
}

const noReports: readonly GroupReport[] = [];
const lists = new WeakMap<GroupReport, readonly GroupReport[]>();

/** It was asked to leave, gave everything up, and said so, or can't say anything. */
export function mayExit(state: AgentState): boolean {
  if (state.leaving === null || state.exiting) return false;
  const held = [...state.groups.values()].some((g) => heldEpoch(g.holding) !== null);
  const told = state.renewal.current?.leaving === true && state.renewal.inFlight === null;
  const mute = state.renewal.failingSince !== null || state.role !== 'server';
  return !held && (told || mute);
}

const firstPaths = new Map<number, readonly number[]>();

/** Path i joins the i-th addresses of two members; it exists where both have one. */
export function pathsBetween(state: Pick<AgentState, 'members' | 'self'>, to: MemberId): readonly number[] {
  const mine = state.members.get(state.self)?.addresses.length ?? 0;
  const theirs = state.members.get(to)?.addresses.length ?? 0;
  const count = Math.min(mine, theirs);
  let known = firstPaths.get(count);
  if (known === undefined) {
    known = Array.from({ length: count }, (_, path) => path);
    firstPaths.set(count, known);
  }
  return known;
}
