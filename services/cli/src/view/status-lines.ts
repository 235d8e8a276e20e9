/** The whole cluster at a glance, for a person. */
import { count, shownTime } from '../text/amounts.ts';
import type { Paint } from '../text/paint.ts';
import { groupLines } from './group-lines.ts';
import { mirrorsBelow } from './mirror-lines.ts';
import { serverLines } from './server-lines.ts';
import type { StatusView } from './status-view.ts';

/** "quorum healthy: leader w, 3 of 3 votes, 1 may fail". */
export function quorumLine({ quorum }: StatusView, paint: Paint): string {
  const voters = Object.entries(quorum.members).filter(([, { voter }]) => voter);
  const silent = voters.filter(([, { healthy }]) => !healthy).map(([name]) => name);
  const votes = `${voters.length - silent.length} of ${count(voters.length, 'vote')}`;
  const missing = silent.length === 0 ? '' : ` (missing: ${silent.join(', ')})`;
  if (!quorum.healthy) {
    const until = 2 * silent.length < voters.length ? 'etcd has a leader' : 'a majority is back';
    return paint('red', `quorum LOST: ${votes}${missing}; nothing can be decided until ${until}`);
  }
  const leader = quorum.leader === null ? 'no leader yet' : `leader ${quorum.leader}`;
  const spare =
    quorum.spareVotes === 0
      ? paint('yellow', 'no spare vote: one more failure and nothing can be decided')
      : `${quorum.spareVotes} may fail`;
  return `quorum ${paint('green', 'healthy')}: ${leader}, ${votes}${missing}, ${spare}`;
}

export function statusLines(view: StatusView, paint: Paint, wide: boolean): string[] {
  const nowMs = Date.parse(view.time ?? '');
  const groups =
    Object.keys(view.groups).length === 0
      ? ['no groups yet: write a cluster.yaml and run `holdfast apply -f cluster.yaml`']
      : groupLines(view.groups, nowMs, paint, wide);
  const servers =
    Object.keys(view.servers).length === 0 ? [] : ['', ...serverLines(view.servers, paint, wide)];
  // The line about the quorum says some of them already.
  const said = quorumLine(view, (_style, text) => text);
  const warnings = view.warnings.filter((warning) => !said.includes(warning));
  return [
    `${paint('bold', view.cluster)}  ${shownTime(nowMs)} UTC`,
    quorumLine(view, paint),
    ...warnings.map((warning) => paint('yellow', `warning: ${warning}`)),
    ...servers,
    '',
    ...groups,
    ...mirrorsBelow(view.mirrors, paint),
  ];
}
