/** Preflight: everything that would make a takeover fail tonight, from the servers' reports and from here. */

import { candidates, caseOf, keys, lastOwner, sceneOf } from '@holdfast/core';
import type { agents } from '@holdfast/proto';
import * as z from 'zod';
import { mirrorProblems } from './mirror-problems.ts';
import type { QuorumService } from './service.ts';
import { statusOf, type ClusterName, type StoreHealth } from './status.ts';

const storeMs = 2_000;

const rows = z.array(z.object({ name: z.string(), server: z.string(), says: z.string(), fix: z.string() }));

export async function check(
  service: QuorumService,
  cluster: ClusterName,
  group: string,
  health: StoreHealth,
  now: number,
): Promise<readonly agents.Problem[]> {
  const wall = Date.now();
  const status = statusOf(service.state, cluster, health, now, wall);
  const problems: agents.Problem[] = [];
  const wanted = [...(service.state.view.config?.value.groups.values() ?? [])].filter(
    (g) => group === '' || g.name === group,
  );
  const concerned = new Set(wanted.flatMap((g) => g.servers));
  for (const says of status.warnings) {
    problems.push({
      name: 'quorum',
      server: '',
      says,
      fix: 'bring the missing member back, or add a witness',
    });
  }
  for (const [id, server] of Object.entries(status.servers)) {
    if (group !== '' && !concerned.has(id)) continue;
    if (server.state !== 'up') {
      const says = `${id} is ${server.state}${server.diagnosis === '' ? '' : `: ${server.diagnosis}`}`;
      problems.push({
        name: 'server',
        server: id,
        says,
        fix: `look at ${id}: is it on, and does holdfast run there?`,
      });
      continue;
    }
    for (const path of server.paths) {
      if (path.state === 'up') continue;
      const says = `path ${path.address} is ${path.state}${path.says === '' ? '' : ` (${path.says})`}`;
      problems.push({
        name: 'path',
        server: id,
        says,
        fix: 'check the cable, the switch and the firewall of that network',
      });
    }
  }
  for (const g of wanted) problems.push(...groupProblems(service, g.name, now, wall));
  const scene = sceneOf(service.state, now);
  const looked = { groups: wanted, all: group === '' };
  problems.push(...mirrorProblems(service.state, scene, looked, (g) => status.groups[g]?.mirrors ?? {}));
  return [...problems, ...(await reported(service, group === '' ? null : concerned))];
}

function groupProblems(service: QuorumService, group: string, now: number, wall: number): agents.Problem[] {
  const c = caseOf(service.state, group, now, wall);
  if (c === null) return [];
  const owner = lastOwner(c.record);
  return candidates(c.scene, c.config, c.record).flatMap((s) =>
    s.blocker === null || s.server === owner
      ? []
      : [
          {
            name: 'standby',
            server: s.server,
            says: `${group}: ${s.blocker}`,
            fix: `bring ${s.server} back, or clear what blocks it`,
          },
        ],
  );
}

async function reported(service: QuorumService, only: ReadonlySet<string> | null): Promise<agents.Problem[]> {
  const answer = await service.storeNow.read(keys.problems, storeMs);
  if (answer.kind === 'unknown') {
    return [
      { name: 'store', server: '', says: `the reports can't be read: ${answer.says}`, fix: 'see quorum' },
    ];
  }
  return answer.rows.flatMap((row) => {
    const server = row.key.slice(keys.problems.length);
    if (only !== null && !only.has(server)) return [];
    const parsed = rows.safeParse(JSON.parse(row.value));
    return parsed.success ? parsed.data : [];
  });
}
