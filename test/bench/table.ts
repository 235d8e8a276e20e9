/** The figures as a table in Markdown, for a terminal and for docs/measurements.md alike. */
import { verdictOf, type Figure } from './figure.ts';
import { spreadOf } from './spread.ts';

const digits: Readonly<Record<Figure['unit'], number>> = {
  ms: 1,
  s: 3,
  runs: 0,
  '% of a core': 2,
  MiB: 0,
  '%': 2,
  times: 2,
};

function amount(value: number, unit: Figure['unit']): string {
  return value.toFixed(digits[unit]);
}

/** "median 41.0 (38.2 to 55.1) ms, 20 runs". */
export function measured(values: readonly number[], unit: Figure['unit']): string {
  const spread = spreadOf(values);
  if (spread === null) return '-';
  const { count, median, min, max } = spread;
  const range = count === 1 ? '' : ` (${amount(min, unit)} to ${amount(max, unit)})`;
  return `${count === 1 ? '' : 'median '}${amount(median, unit)}${range} ${unit}, n = ${count}`;
}

function safetyCell({ values, lost }: Figure): string {
  const bad = values.filter((value) => value > 0).length;
  return `${bad} of ${values.length + lost}${lost > 0 ? ` (${lost} without a result)` : ''}`;
}

function peersCell(figure: Figure): string {
  const said = figure.peers.map(({ name, values, note }) => {
    const all = values.length === 0 ? 'not measured' : peerValue(figure, values);
    return `${name}: ${all}${note === undefined ? '' : ` (${note})`}`;
  });
  return said.join('; ') || '-';
}

function peerValue(figure: Figure, values: readonly number[]): string {
  if (!figure.safety) return measured(values, figure.unit);
  return `${values.filter((value) => value > 0).length} of ${values.length}`;
}

function row(figure: Figure): string {
  const value = figure.safety ? safetyCell(figure) : measured(figure.values, figure.unit);
  const lost = !figure.safety && figure.lost > 0 ? `, ${figure.lost} without a result` : '';
  const cells = [figure.name, figure.mustReach, `${value}${lost}`, verdictOf(figure), peersCell(figure)];
  return `| ${cells.map((cell) => cell.replaceAll('|', '/')).join(' | ')} |`;
}

export function markdown(figures: readonly Figure[]): string {
  const notes = figures.flatMap(({ name, notes: all }) => all.map((note) => `- ${name}: ${note}`));
  return [
    '| figure | must reach | measured | verdict | beside us, in the same run |',
    '| --- | --- | --- | --- | --- |',
    ...figures.map(row),
    ...(notes.length === 0 ? [] : ['', ...notes]),
    '',
  ].join('\n');
}
