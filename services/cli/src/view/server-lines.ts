/** Servers as a table, with the countdown that a person looks at in the night: yellow from 25 % of the outage on. */
import { amountOfTime } from '../text/amounts.ts';
import { cell, table, type Cell, type Row } from '../text/columns.ts';
import { styleOf, type Paint, type Style } from '../text/paint.ts';
import type { PathView, ServerView } from './status-view.ts';

const suspectShare = 0.25;

/** How long until this server is declared down, coloured by how much of its outage has passed. */
export function countdown(server: ServerView): Cell {
  const { timeToFailMs, outageMs, state } = server;
  if (state === 'down' || state === 'fenced') return cell('now', 'red');
  if (timeToFailMs === null) return cell('');
  return cell(amountOfTime(timeToFailMs), countdownStyle(timeToFailMs, outageMs ?? 0));
}

function countdownStyle(leftMs: number, outageMs: number): Style {
  if (outageMs <= 0) return 'plain';
  if (leftMs <= outageMs * suspectShare) return 'red';
  return outageMs - leftMs >= outageMs * suspectShare ? 'yellow' : 'plain';
}

function pathText({ address, state, rttMs, says }: PathView, wide: boolean): string {
  const time = state === 'up' && rttMs !== null && rttMs > 0 ? ` ${rttMs.toFixed(1)} ms` : '';
  return `${address} ${state}${time}${wide && says !== '' ? ` (${says})` : ''}`;
}

function notes(server: ServerView): string {
  const parts = [
    ...(server.maintenance ? ['maintenance'] : []),
    ...(server.diagnosis === '' ? [] : [server.diagnosis]),
    ...(server.everHeard ? [] : ['never heard yet']),
  ];
  return parts.join(', ');
}

/** Yellow when one path is not up, red when none is. */
function pathsCell(paths: readonly PathView[], wide: boolean): Cell {
  const bad = paths.filter(({ state }) => state !== 'up' && state !== 'unknown');
  const style = bad.length === 0 ? 'plain' : bad.length === paths.length ? 'red' : 'yellow';
  return cell(paths.map((path) => pathText(path, wide)).join(', '), style);
}

export function serverLines(
  servers: Readonly<Record<string, ServerView>>,
  paint: Paint,
  wide: boolean,
): string[] {
  const rows = Object.entries(servers).map(([name, server]): Row => {
    const shown: Row = [
      name,
      cell(server.state, styleOf(server.state)),
      server.lastHeardMs === null || !server.everHeard ? '' : `${amountOfTime(server.lastHeardMs)} ago`,
      countdown(server),
      pathsCell(server.paths, wide),
    ];
    const more: Row = [
      server.role,
      server.outageMs === null ? '' : amountOfTime(server.outageMs),
      server.version,
    ];
    return [...shown, ...(wide ? more : []), cell(notes(server), 'yellow')];
  });
  const heading = ['SERVER', 'STATE', 'HEARD', 'FAILS IN', 'PATHS'];
  return table([...heading, ...(wide ? ['ROLE', 'OUTAGE', 'VERSION'] : []), 'NOTES'], rows, paint);
}
