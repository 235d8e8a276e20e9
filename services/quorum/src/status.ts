/** The whole cluster at a glance, from what this quorum service knows. Any of them can answer. */

import {
  caseOf,
  claimOf,
  heardAt,
  identityAddresses,
  judge,
  isListenedTo,
  lastHeardOnPath,
  leads,
  maintenanceOf,
  phaseTold,
  sceneOf,
  serverDownAt,
  type Case,
  type GroupConfig,
  type Member,
  type QuorumState,
  type Scene,
} from '@holdfast/core';
import type { admin } from '@holdfast/proto';
import { copyMirrors, groupMirrors, leastLoss } from './mirror-status.ts';
import { statusWarnings } from './status-warnings.ts';
import type { StoreHealth, VoterStore } from './voter-health.ts';

const storeFreshMs = 8_000;
const defaultOutageMs = 35_000;

export interface ClusterName {
  readonly name: string;
  /** etcd is run by somebody else: one quorum service is enough, and votes are not ours to count. */
  readonly externalEtcd: boolean;
}

export function statusOf(
  state: QuorumState,
  cluster: ClusterName,
  health: StoreHealth,
  now: number,
  wall: number,
): admin.StatusReply {
  const scene = sceneOf(state, now);
  const { view } = state;
  const members = [...view.members.values()].map((held) => held.value).sort((a, b) => (a.id < b.id ? -1 : 1));
  const quorum = quorumStatus(state, scene, members, health, cluster.externalEtcd);
  const groups = [...(view.config?.value.groups.values() ?? [])];
  return {
    cluster: cluster.name,
    timeMs: wall,
    quorum,
    servers: Object.fromEntries(members.map((m) => [m.id, serverStatus(state, scene, m, groups)])),
    groups: Object.fromEntries(groups.map((g) => [g.name, groupStatus(state, g, now, wall)])),
    warnings: statusWarnings(state, scene, { members, quorum, health, ...cluster }).map(({ says }) => says),
    mirrors: copyMirrors(state, scene),
  };
}

function quorumStatus(
  state: QuorumState,
  scene: Scene,
  members: readonly Member[],
  health: StoreHealth,
  externalEtcd: boolean,
): admin.QuorumStatus {
  const voters = members.filter((m) => m.voter);
  const stores = [...health.values()];
  const isLed = stores.length === 0 || stores.some((store) => store.isWell);
  // Without a majority nobody knows a leader, and what is missing is whoever does not answer.
  const votes = (store: VoterStore | undefined): boolean =>
    store === undefined || store.isWell || (!isLed && store.dbBytes !== null);
  const rows = members.map((m): [string, admin.QuorumMember] => {
    const heard = scene.now - heardAt(scene, m.id) < 4 * scene.heartbeatMs;
    return [m.id, { voter: m.voter, healthy: heard && (!m.voter || votes(health.get(m.id))) }];
  });
  const well = rows.filter(([, m]) => m.voter && m.healthy).length;
  const majority = externalEtcd ? 1 : Math.floor(voters.length / 2) + 1;
  const answered = state.storeAnsweredAt !== null && scene.now - state.storeAnsweredAt < storeFreshMs;
  const record = state.view.leader?.value;
  const leader = record === undefined || record.left === true ? '' : record.member;
  return {
    healthy: answered && isLed && leader !== '' && well >= majority,
    leader: answered || leads(state.view, state.self, state.incarnation) ? leader : '',
    members: Object.fromEntries(rows),
    spareVotes: isLed ? Math.max(0, well - majority) : 0,
  };
}

function serverStatus(
  state: QuorumState,
  scene: Scene,
  m: Member,
  groups: readonly GroupConfig[],
): admin.ServerStatus {
  const own = groups.filter((g) => g.servers.includes(m.id));
  const outageMs = own.length === 0 ? defaultOutageMs : Math.min(...own.map((g) => g.rules.outageMs));
  const heard = heardAt(scene, m.id);
  const silentMs = scene.now - heard;
  const downFrom =
    own.length === 0 ? heard + outageMs : Math.min(...own.map((g) => serverDownAt(scene, m.id, g)));
  const renewal = state.view.renewals.get(m.id)?.value;
  const everHeard = state.vantage.ears.has(m.id);
  const suspect = silentMs >= outageMs / 4;
  const diagnoses = diagnosesOf(state, m.id);
  const paths = m.addresses.map((address, path) => pathStatus(state, scene, m, address, path, outageMs));
  return {
    state: stateOf(),
    role: m.role,
    lastHeardMs: Math.round(silentMs),
    timeToFailMs: Math.max(0, Math.round(downFrom - scene.now)),
    maintenance: maintenanceOf(state.view).servers[m.id] !== undefined,
    version: renewal?.version ?? state.vantage.ears.get(m.id)?.version ?? '',
    paths,
    diagnosis: suspect ? (diagnoses[0] ?? '') : '',
    outageMs,
    everHeard,
  };

  function stateOf(): string {
    if (!everHeard || scene.now >= downFrom) return 'down';
    if (renewal?.leaving === true) return 'leaving';
    if (suspect) return 'suspect';
    return isFenced(state, m.id) ? 'fenced' : 'up';
  }
}

/** It owns a group on record, and says that nothing of it runs there. */
function isFenced(state: QuorumState, server: string): boolean {
  return [...state.view.groups.values()].some(({ value }) => {
    const own = value.ownership;
    if (own.kind === 'unowned' || own.owner !== server) return false;
    const claim = claimOf(state.vantage, server, value.group);
    return claim?.epoch === own.epoch && (claim.state === 'fenced' || claim.state === 'failed');
  });
}

function diagnosesOf(state: QuorumState, member: string): readonly string[] {
  const rows = [...state.vantage.ears].flatMap(([observer, ear]) =>
    observer === member ? [] : ear.diagnoses.filter((d) => d.member === member).map((d) => d.says),
  );
  return [...new Set(rows)];
}

function pathStatus(
  state: QuorumState,
  scene: Scene,
  m: Member,
  address: string,
  path: number,
  outageMs: number,
): admin.PathStatus {
  const at = lastHeardOnPath(scene.vantage, m.id, path, scene.heartbeatMs, scene.now);
  const silentMs = at === null ? Infinity : scene.now - at;
  const said = [...state.vantage.ears].flatMap(([observer, ear]) =>
    observer === m.id
      ? []
      : ear.diagnoses.filter((d) => d.member === m.id && d.path === path).map((d) => d.says),
  );
  const oneWay = said.find((s) => s.startsWith('asymmetric'));
  const alone = !isListenedTo(scene.vantage, m.id, scene.heartbeatMs, scene.now);
  const word = alone
    ? 'unknown'
    : silentMs >= outageMs
      ? 'down'
      : silentMs >= outageMs / 4
        ? 'suspect'
        : oneWay === undefined
          ? 'up'
          : 'one-way';
  // That of the last sound tells nothing of a path that is silent since.
  const sound =
    word === 'up' || word === 'one-way' ? state.vantage.ears.get(m.id)?.paths.get(path) : undefined;
  const rttMs = sound?.rttMs ?? 0;
  const moved = state.vantage.ears.get(m.id)?.addresses[path];
  return {
    address: moved ?? address,
    state: word,
    rttMs: Math.round(rttMs * 1_000) / 1_000,
    says: alone
      ? 'no other member is heard that could hear it'
      : word === 'up'
        ? ''
        : (oneWay ?? said[0] ?? ''),
  };
}

function groupStatus(state: QuorumState, config: GroupConfig, now: number, wall: number): admin.GroupStatus {
  const c = caseOf(state, config.name, now, wall);
  if (c === null) throw new Error(`${config.name} has no configuration`);
  const judged = judge(c);
  const own = c.record?.ownership;
  const owner = own === undefined || own.kind === 'unowned' ? '' : own.owner;
  const maintenance = maintenanceOf(state.view);
  const identity = config.identity;
  return {
    owner,
    epoch: own?.epoch ?? 0n,
    phase: phaseTold(judged, c.record),
    reason: judged.reason,
    sinceMs: c.record?.since ?? 0,
    identity: {
      mode: identity.mode,
      addresses: [...identityAddresses(identity)],
      hostname: identity.hostname ?? '',
    },
    resources: resourcesOf(c, config, owner),
    mirrors: groupMirrors(c),
    objectives: objectivesOf(c),
    operation: c.record?.operation?.id ?? '',
    maintenance: maintenance.cluster !== null || maintenance.groups[config.name] !== undefined,
    servers: [...config.servers],
    warnings: [...new Set(judged.warnings)],
  };
}

function objectivesOf(c: Case): admin.ObjectivesStatus {
  const loss = leastLoss(c);
  return {
    lossMs: Math.ceil(loss.ms),
    lossBytes: Math.round(loss.bytes),
    lossAgeMs: Math.round(loss.ageMs),
    lossUnknown: loss.unknown,
    takeoverMs: median(c.record?.takeoverMs ?? []),
  };
}

function resourcesOf(c: Case, config: GroupConfig, owner: string): Record<string, admin.ResourceStatus> {
  const report = c.scene.view.renewals.get(owner)?.value.groups.find((g) => g.group === config.name);
  const current = report !== undefined && report.epoch === c.record?.ownership.epoch ? report : undefined;
  const stateOf = (name: string): string => current?.resources[name] ?? 'stopped';
  // An active owner tells why the first that failed did.
  const failed = config.resources.find((r) => stateOf(r.name) === 'failed')?.name;
  const why = current?.state === 'active' ? current.says : '';
  return Object.fromEntries(
    config.resources.map(({ name }) => [name, { state: stateOf(name), says: name === failed ? why : '' }]),
  );
}

function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  return Math.round(sorted[Math.floor(sorted.length / 2)] ?? 0);
}
