/** Maintenance: decisions are explained and not carried out, for the cluster, a server or a group. */

import { encode, keys, maintenanceOf, type MaintenanceRecord } from '@holdfast/core';
import type { admin } from '@holdfast/proto';
import { failure, type Answer } from '@holdfast/wire/rpc';
import { because, deedPut } from './deed.ts';
import type { QuorumService } from './service.ts';

const storeMs = 2_000;
const reasonMax = 500;

export async function setMaintenance(
  service: QuorumService,
  request: admin.SetMaintenanceRequest,
  by: string,
  wall: number,
): Promise<Answer<admin.SetMaintenanceReply>> {
  const { view } = service.state;
  if (request.server !== '' && request.group !== '')
    return failure('invalid', 'name a server or a group, not both');
  if (request.server !== '' && !view.members.has(request.server)) {
    return failure(
      'not-found',
      `there is no member ${request.server}; members: ${[...view.members.keys()].join(', ')}`,
    );
  }
  if (request.group !== '' && view.config?.value.groups.has(request.group) !== true) {
    return failure('not-found', `there is no group ${request.group}`);
  }
  const before = maintenanceOf(view);
  const after = next(before, request);
  const changed = encode(before) !== encode(after);
  const { group, server, on, reason } = request;
  const what = server !== '' ? server : group !== '' ? group : 'the cluster';
  const does = on
    ? `put ${what} into maintenance${because(reason.slice(0, reasonMax))}`
    : `ended the maintenance of ${what}`;
  const deed = deedPut(
    { by, wall, kind: 'maintenance', subject: 'maintenance', group, server, does },
    view.revision,
  );
  const answer = await service.storeNow.txn(
    {
      compares: [
        { kind: 'mod-revision', key: keys.maintenance, revision: view.maintenance?.modRevision ?? 0n },
      ],
      // Without a change, too, the store is asked: this member may not have heard of a later one.
      puts: changed && !request.dryRun ? [{ key: keys.maintenance, value: encode(after) }, deed] : [],
      deletes: [],
      reads: [keys.maintenance],
    },
    storeMs,
  );
  if (answer.kind === 'unknown')
    return failure('unreachable', `the cluster's store does not answer: ${answer.says}`);
  service.dispatch({ kind: 'changed', revision: answer.revision, rows: answer.rows });
  if (answer.kind === 'compare-failed')
    return failure('unsafe', 'somebody else changed the maintenance just now; try again');
  return { kind: 'ok', value: { changed } };
}

function next(before: MaintenanceRecord, request: admin.SetMaintenanceRequest): MaintenanceRecord {
  const reason = request.reason.slice(0, reasonMax);
  if (request.server !== '')
    return { ...before, servers: toggled(before.servers, request.server, request.on, reason) };
  if (request.group !== '')
    return { ...before, groups: toggled(before.groups, request.group, request.on, reason) };
  return { ...before, cluster: request.on ? reason : null };
}

function toggled(
  map: Readonly<Record<string, string>>,
  name: string,
  on: boolean,
  reason: string,
): Record<string, string> {
  const others = Object.entries(map).filter(([key]) => key !== name);
  return Object.fromEntries(on ? [...others, [name, reason]] : others);
}
