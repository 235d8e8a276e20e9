/**
 * Preflight: everything that would make a takeover fail tonight, from the servers' reports and from here. What somebody wanted
 * so, maintenance for one, is a warning: it is told, and the check does not fail.
 */

import {
  candidates,
  caseOf,
  heldByFailovers,
  keys,
  lastOwner,
  maintenanceOf,
  pausedBecause,
  sceneOf,
  type Case,
} from '@holdfast/core';
import type { admin, agents } from '@holdfast/proto';
import * as z from 'zod';
import { jsonOf } from './json-text.ts';
import { mirrorProblems } from './mirror-problems.ts';
import type { QuorumService } from './service.ts';
import { statusOf, type ClusterName } from './status.ts';
import { statusWarnings } from './status-warnings.ts';
import type { StoreHealth } from './voter-health.ts';

const storeMs = 2_000;

const rows = z.array(z.object({ name: z.string(), server: z.string(), says: z.string(), fix: z.string() }));

export interface Checked {
  readonly state: QuorumService['state'];
  readonly storeNow: Pick<QuorumService['storeNow'], 'read'>;
}

export async function check(
  service: Checked,
  cluster: ClusterName,
  group: string,
  health: StoreHealth,
  now: number,
): Promise<admin.CheckReply> {
  const wall = Date.now();
  const { state } = service;
  const status = statusOf(state, cluster, health, now, wall);
  const wanted = [...(state.view.config?.value.groups.values() ?? [])].filter(
    (g) => group === '' || g.name === group,
  );
  const concerned = group === '' ? null : new Set(wanted.flatMap((g) => g.servers));
  const cases = wanted.flatMap((g) => caseOf(state, g.name, now, wall) ?? []);
  const scene = sceneOf(state, now);
  const looked = { groups: wanted, all: group === '' };
  const problems = [
    ...clusterProblems(service, cluster, status, health, now),
    ...Object.entries(status.servers).flatMap(([id, server]) =>
      concerned?.has(id) === false ? [] : serverProblems(id, server),
    ),
    ...cases.flatMap(groupProblems),
    ...mirrorProblems(state, scene, looked, (g) => status.groups[g]?.mirrors ?? {}),
    ...(await reported(service, concerned)),
  ];
  return { problems, warnings: cases.flatMap(groupWarnings) };
}

function clusterProblems(
  { state }: Checked,
  cluster: ClusterName,
  { quorum }: admin.StatusReply,
  health: StoreHealth,
  now: number,
): readonly agents.Problem[] {
  if (quorum === undefined) return [];
  const members = [...state.view.members.values()].map((held) => held.value);
  const found = statusWarnings(state, sceneOf(state, now), { members, quorum, health, ...cluster });
  return found.map((warning) => ({ ...warning, server: '' }));
}

function serverProblems(id: string, server: admin.ServerStatus): readonly agents.Problem[] {
  if (server.state !== 'up') {
    const says = `${id} is ${server.state}${server.diagnosis === '' ? '' : `: ${server.diagnosis}`}`;
    return [
      { name: 'server', server: id, says, fix: `look at ${id}: is it on, and does holdfast run there?` },
    ];
  }
  return server.paths.flatMap((path) => {
    // Where nobody else is heard, it is those who are missing, and that is said of them.
    if (path.state === 'up' || path.state === 'unknown') return [];
    const says = `path ${path.address} is ${path.state}${path.says === '' ? '' : ` (${path.says})`}`;
    const fix = 'check the cable, the switch and the firewall of that network';
    return [{ name: 'path', server: id, says, fix }];
  });
}

function groupProblems(c: Case): readonly agents.Problem[] {
  const group = c.config.name;
  const owner = lastOwner(c.record);
  const held = heldByFailovers(c);
  const inMaintenance = maintenanceOf(c.scene.view).servers;
  const standbys = candidates(c.scene, c.config, c.record).flatMap((s) => {
    if (s.blocker === null || s.server === owner) return [];
    const fix =
      inMaintenance[s.server] === undefined
        ? `bring ${s.server} back, or clear what blocks it`
        : `holdfast maintenance off --server ${s.server}`;
    return [{ name: 'standby', server: s.server, says: `${group}: ${s.blocker}`, fix }];
  });
  if (held === null) return standbys;
  const fix = 'find out why they happened; the hour passes by itself';
  return [{ name: 'failovers', server: '', says: `${group} is ${held}`, fix }, ...standbys];
}

function groupWarnings(c: Case): readonly agents.Problem[] {
  const { name: group, takeover, failback, servers } = c.config;
  const warnings: agents.Problem[] = [];
  const pause = pausedBecause(c);
  const m = maintenanceOf(c.scene.view);
  const owner = lastOwner(c.record);
  const off =
    m.cluster !== null
      ? 'holdfast maintenance off'
      : m.groups[group] !== undefined
        ? `holdfast maintenance off --group ${group}`
        : owner !== null && m.servers[owner] !== undefined
          ? `holdfast maintenance off --server ${owner}`
          : null;
  if (pause !== null && off !== null)
    warnings.push({
      name: 'maintenance',
      server: '',
      says: `${group}: ${pause}; nothing is taken over`,
      fix: off,
    });
  if (takeover === 'observe') {
    const says = `${group} is only observed; nothing is taken over`;
    const fix = 'apply it with takeover: automatic or manual';
    warnings.push({ name: 'observe', server: '', says, fix });
  }
  const waits = c.record?.failbackWaits;
  if (failback === 'automatic' && waits !== undefined && waits.server === servers[0]) {
    const says = `${group}: the failback to ${waits.server} waits for a person: ${waits.why}`;
    warnings.push({
      name: 'failback',
      server: '',
      says,
      fix: `holdfast failback ${group}, once that is over`,
    });
  }
  return warnings;
}

const lookAtEtcd =
  'look at run/etcd.log and run/quorum.log of the members that vote, and at the disk that they are on';

async function reported(service: Checked, only: ReadonlySet<string> | null): Promise<agents.Problem[]> {
  const answer = await service.storeNow.read(keys.problems, storeMs);
  if (answer.kind === 'unknown') {
    return [
      { name: 'store', server: '', says: `the reports can't be read: ${answer.says}`, fix: lookAtEtcd },
    ];
  }
  return answer.rows.flatMap((row) => {
    const server = row.key.slice(keys.problems.length);
    // A version before this one took reports of members that were removed.
    if (!service.state.view.members.has(server)) return [];
    if (only !== null && !only.has(server)) return [];
    const parsed = rows.safeParse(jsonOf(row.value));
    if (parsed.success) return parsed.data;
    const fix = `restart holdfast on ${server}: it reports anew`;
    return [{ name: 'report', server, says: `what ${server} reported can't be read`, fix }];
  });
}
