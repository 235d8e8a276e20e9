/** Groups as a table, each with the sentence that says why it is where it is. */
import { amountOfBytes, amountOfTime } from '../text/amounts.ts';
import { cell, table, type Row } from '../text/columns.ts';
import { styleOf, type Paint } from '../text/paint.ts';
import { mirrorsBelow } from './mirror-lines.ts';
import type { GroupView } from './status-view.ts';

/** "for 2 h 3 m"; `nowMs`: the time of the member that answered. */
function age(since: string | null, nowMs: number): string {
  return since === null ? '' : amountOfTime(nowMs - Date.parse(since));
}

/** Somebody may have written since the source told: the time is the most that it can be. */
function loss({ objectives: { lossMs, lossBytes, lossAgeMs } }: GroupView): string {
  const mostMs = (lossMs ?? Number.NaN) + (lossAgeMs ?? 0);
  return `${amountOfBytes(lossBytes ?? Number.NaN)}, at most ${amountOfTime(mostMs)}`;
}

function takeover({ objectives: { takeoverMs } }: GroupView): string {
  return takeoverMs === null ? '' : amountOfTime(takeoverMs);
}

function row(name: string, group: GroupView, nowMs: number, wide: boolean): Row {
  const { identity } = group;
  return [
    name,
    cell(group.owner ?? '', 'bold'),
    group.epoch,
    cell(group.phase, styleOf(group.phase)),
    age(group.since, nowMs),
    [identity.addresses.join(', '), identity.hostname ?? ''].filter((text) => text !== '').join(' '),
    ...(wide ? [identity.mode, group.servers.join(', '), loss(group)] : []),
    takeover(group),
  ];
}

function below(group: GroupView, paint: Paint): string[] {
  const resources = Object.entries(group.resources).map(
    ([name, { state, says }]) =>
      `${name} ${paint(styleOf(state), state)}${says === undefined ? '' : ` (${says})`}`,
  );
  return [
    ...(group.reason === '' ? [] : [group.reason]),
    ...(resources.length === 0 ? [] : [`resources: ${resources.join(', ')}`]),
    ...mirrorsBelow(group.mirrors, paint),
    ...(group.operation === null ? [] : [`operation ${group.operation} is under way`]),
    ...(group.maintenance ? [paint('yellow', 'maintenance: decisions are explained, not carried out')] : []),
    ...group.warnings.map((warning) => paint('yellow', `warning: ${warning}`)),
  ].map((line) => `    ${line}`);
}

export function groupLines(
  groups: Readonly<Record<string, GroupView>>,
  nowMs: number,
  paint: Paint,
  wide: boolean,
): string[] {
  const entries = Object.entries(groups);
  const heading = ['GROUP', 'OWNER', 'EPOCH', 'PHASE', 'FOR', 'IDENTITY'];
  const lines = table(
    [...heading, ...(wide ? ['MODE', 'SERVERS', 'WOULD LOSE'] : []), 'TAKEOVER'],
    entries.map(([name, group]) => row(name, group, nowMs, wide)),
    paint,
  );
  const [first = '', ...rest] = lines;
  return [first, ...rest.flatMap((line, index) => [line, ...below(entries[index]?.[1] ?? nothing(), paint)])];
}

function nothing(): never {
  throw new Error('a row of the table is of no group');
}
