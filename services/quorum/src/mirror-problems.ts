/** What is wrong with mirrors, for `check`: each with what to do about it. */

import {
  copiesOf,
  type ClusterConfig,
  type GroupConfig,
  type MemberId,
  type MirrorId,
  type QuorumState,
  type Scene,
} from '@holdfast/core';
import type { admin, agents } from '@holdfast/proto';
import { copyMirrors } from './mirror-status.ts';

/** `all`: mirrors without a failover, too, and not only the copies of these groups. */
export function mirrorProblems(
  state: QuorumState,
  scene: Scene,
  { groups, all }: { readonly groups: readonly GroupConfig[]; readonly all: boolean },
  statuses: (group: string) => Readonly<Record<string, admin.MirrorStatus>>,
): readonly agents.Problem[] {
  const config = state.view.config?.value;
  if (config === undefined) return [];
  const concerned = new Map<string, admin.MirrorStatus>();
  for (const { name: group } of groups)
    for (const [name, status] of Object.entries(statuses(group))) concerned.set(`${group}/${name}`, status);
  const copies = copyMirrors(state, scene);
  for (const name of all ? Object.keys(copies) : namesOfCopies(config, groups)) {
    const status = copies[name];
    if (status !== undefined) concerned.set(name, status);
  }
  return [...concerned].flatMap(([name, status]) =>
    Object.entries(status.targets).flatMap(([target, row]) =>
      rowProblems(
        { mirror: name, source: status.source, target, choice: isChoice(scene, name, target) },
        row,
      ),
    ),
  );
}

/** Its server says that a person has to choose. Only a group's own mirror may ask for that. */
function isChoice({ view }: Scene, mirror: MirrorId, target: MemberId): boolean {
  const copies = view.renewals.get(target)?.value.mirrors ?? [];
  return copies.some((copy) => copy.mirror === mirror && copy.choice === true);
}

function namesOfCopies(config: ClusterConfig, groups: readonly GroupConfig[]): readonly string[] {
  return groups.flatMap(({ name, mirrors }) =>
    mirrors.flatMap((mirror) => copiesOf(config, name, mirror.name).map((copy) => copy.name)),
  );
}

interface Of {
  readonly mirror: MirrorId;
  readonly source: MemberId;
  readonly target: MemberId;
  readonly choice: boolean;
}

function rowProblems(of: Of, row: admin.MirrorTargetStatus): readonly agents.Problem[] {
  const { mirror, source, target } = of;
  const found: agents.Problem[] = [];
  const copy = `the copy of ${mirror} on ${target}`;
  if (row.state !== 'replicating' || !row.consistent) {
    const why = row.says === '' ? '' : `: ${row.says}`;
    const complete = row.consistent ? 'complete up to then' : 'incomplete';
    const says = `${copy} is ${complete} and ${row.state}${why}`;
    found.push({ name: 'mirror', server: target, says, fix: stateFix(of, row.state) });
  }
  if (row.hot > 0) {
    const says = `${filesText(row)} of ${mirror} never hold still: on ${target} they may be of two moments`;
    const fix = 'keep what is always written to on a volume mirror, or exclude it and mirror its dumps';
    found.push({ name: 'mirror-hot', server: source, says, fix });
  }
  if (row.foreignChanges > 0) {
    const says = `${row.foreignChanges} entries of ${copy} were changed by others`;
    const fix = `compare and mend it: holdfast mirror verify ${mirror} --target ${target} --repair`;
    found.push({ name: 'mirror-foreign', server: target, says, fix });
  }
  if (row.unprotected !== '') {
    const says = `${copy} is not protected against writes of others: ${row.unprotected}`;
    const fix = `let Holdfast mount there, or let nothing but Holdfast write on ${target}`;
    found.push({ name: 'mirror-unprotected', server: target, says, fix });
  }
  return found;
}

function filesText({ hot, hotFiles }: admin.MirrorTargetStatus): string {
  return `${hot} ${hot === 1 ? 'file' : 'files'} (${hotFiles.join(', ')}${hot > hotFiles.length ? ', ...' : ''})`;
}

function stateFix({ mirror, source, target, choice }: Of, state: string): string {
  switch (state) {
    case 'paused':
      return `holdfast mirror resume ${mirror} --target ${target}`;
    case 'initial-copy':
    case 'resync':
      return `wait until it is in step: holdfast get mirrors ${mirror} -w`;
    case 'waiting':
      return `make room on ${target}, mend a disk there that fails or is read-only, or raise the throttle; it goes on by itself`;
    case 'diverged':
      if (choice)
        return (
          `choose the side that survives: holdfast mirror resync ${mirror} --target ${target} (that of ${source}), or ` +
          `holdfast failover ${mirror.split('/')[0] ?? mirror} --to ${target} --force (that of ${target})`
        );
      return `make room on ${target}, raise keepMax, or discard: holdfast mirror divergence ${mirror}`;
    default:
      return `look at ${target}: its mirror process (run/mirror.log), its disk, and port 7445`;
  }
}
