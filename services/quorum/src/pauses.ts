/** Mirrors that a person pauses and resumes: a record of the cluster, like maintenance, that reaches every member. */

import {
  encode,
  everyTarget,
  keys,
  mirrorId,
  pausesOf,
  type ClusterConfig,
  type MemberId,
  type PauseRecord,
} from '@holdfast/core';
import type { admin } from '@holdfast/proto';
import { failure, type Answer } from '@holdfast/wire/rpc';
import { because, deedPut } from './deed.ts';
import type { QuorumService } from './service.ts';

const storeMs = 2_000;
const reasonMax = 500;

export async function pauseMirror(
  service: QuorumService,
  request: admin.PauseMirrorRequest,
  by: string,
  wall: number,
): Promise<Answer<admin.PauseMirrorReply>> {
  const { view } = service.state;
  const targets = targetsOf(view.config?.value ?? null);
  const known = targets.get(request.mirror);
  if (known === undefined) {
    const names = [...targets.keys()];
    const list = names.length === 0 ? 'none' : names.join(', ');
    return failure('not-found', `there is no mirror ${request.mirror}; mirrors: ${list}`);
  }
  if (request.target !== '' && !known.includes(request.target)) {
    return failure(
      'not-found',
      `${request.target} is no target of ${request.mirror}; its targets: ${known.join(', ')}`,
    );
  }
  const before = pausesOf(view);
  const after = next(before, request, known);
  const changed = encode(before) !== encode(after);
  const { mirror, target, pause, reason } = request;
  const group = groupOf(view.config?.value ?? null, mirror);
  const to = target === '' ? '' : ` to ${target}`;
  const kind = pause ? 'paused' : 'resumed';
  const does = `${kind} ${mirror}${to}${because(reason.slice(0, reasonMax))}`;
  const deed = deedPut({ by, wall, kind, subject: 'pauses', group, server: target, does }, view.revision);
  const answer = await service.storeNow.txn(
    {
      compares: [{ kind: 'mod-revision', key: keys.pauses, revision: view.pauses?.modRevision ?? 0n }],
      // Without a change, too, the store is asked: this member may not have heard of a later one.
      puts: changed && !request.dryRun ? [{ key: keys.pauses, value: encode(after) }, deed] : [],
      deletes: [],
      reads: [keys.pauses],
    },
    storeMs,
  );
  if (answer.kind === 'unknown')
    return failure('unreachable', `the cluster's store does not answer: ${answer.says}`);
  service.dispatch({ kind: 'changed', revision: answer.revision, rows: answer.rows });
  if (answer.kind === 'compare-failed')
    return failure('unsafe', 'somebody else paused or resumed a mirror just now; try again');
  return { kind: 'ok', value: { changed } };
}

/** Who may be paused, by the name of the mirror. In a group any server may be the target one day. */
function targetsOf(config: ClusterConfig | null): ReadonlyMap<string, readonly MemberId[]> {
  const groups = [...(config?.groups.values() ?? [])].flatMap((g) =>
    g.mirrors.map((m) => [mirrorId(g.name, m.name), g.servers] as const),
  );
  const copies = [...(config?.mirrors.values() ?? [])].map((c) => [c.name, c.to] as const);
  return new Map([...groups, ...copies]);
}

function groupOf(config: ClusterConfig | null, mirror: string): string | undefined {
  const groups = [...(config?.groups.values() ?? [])];
  return groups.find((g) => g.mirrors.some((m) => mirrorId(g.name, m.name) === mirror))?.name;
}

/** Whatever is known of no mirror any more is forgotten with the next change. */
function next(
  before: PauseRecord,
  { mirror, target, pause, reason }: admin.PauseMirrorRequest,
  known: readonly MemberId[],
): PauseRecord {
  const paused = { ...before.mirrors[mirror] };
  const says = reason.slice(0, reasonMax);
  if (target === '') return withMirror(before, mirror, pause ? { [everyTarget]: says } : {});
  if (pause) return withMirror(before, mirror, { ...paused, [target]: says });
  // One of all goes on: the others stay paused, each by its name.
  const all = paused[everyTarget];
  const each = all === undefined ? paused : Object.fromEntries(known.map((t) => [t, paused[t] ?? all]));
  const left = Object.entries(each).filter(([name]) => name !== target && name !== everyTarget);
  return withMirror(before, mirror, Object.fromEntries(left));
}

function withMirror(
  before: PauseRecord,
  mirror: string,
  targets: Readonly<Record<MemberId, string>>,
): PauseRecord {
  const others = Object.entries(before.mirrors).filter(([name]) => name !== mirror);
  const own = Object.keys(targets).length === 0 ? [] : [[mirror, targets] as const];
  return { mirrors: Object.fromEntries([...others, ...own]) };
}
