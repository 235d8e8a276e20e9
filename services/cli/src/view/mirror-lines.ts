/** Mirrors for people: how each copy stands, progress with rate and time left, what differs, what is kept aside. */
import type { admin } from '@holdfast/proto';
import { amountOfBytes, amountOfTime } from '../text/amounts.ts';
import { cell, table } from '../text/columns.ts';
import { paintWith, styleOf, type Paint } from '../text/paint.ts';
import { plainText } from '../text/plain-text.ts';
import {
  placeText,
  type DifferenceView,
  type KeptView,
  type MirrorTargetView,
  type MirrorView,
  type VerifyView,
} from './mirror-view.ts';

/** "in step", or "1.2 MiB, 0.4 s behind". */
function behind({ behindBytes, behindMs, consistent }: MirrorTargetView): string {
  if (behindBytes === null || behindMs === null) return 'unknown how far behind';
  // A source that can't begin has no figures.
  if (behindBytes === 0 && behindMs === 0) return consistent ? 'in step' : 'unknown how far behind';
  return `${amountOfBytes(behindBytes)}, ${amountOfTime(behindMs)} behind`;
}

/** "45 % of 2 GiB at 80 MiB/s, 14 s left"; empty when nothing is copied. */
function progress(target: MirrorTargetView): string {
  const { totalBytes, doneBytes, rateBytesPerSecond: rate, state } = target;
  if (state !== 'initial-copy' && state !== 'resync') return '';
  if (totalBytes <= 0) return '';
  const percent = Math.min(100, Math.floor((100 * doneBytes) / totalBytes));
  const speed = rate > 0 ? ` at ${amountOfBytes(rate)}/s` : '';
  const leftMs = rate > 0 ? ((totalBytes - doneBytes) * 1000) / rate : Number.NaN;
  const left = Number.isFinite(leftMs) ? `, ${amountOfTime(leftMs)} left` : '';
  return `${percent} % of ${amountOfBytes(totalBytes)}${speed}${left}`;
}

/** What a person should know of a copy that goes on all the same: a word each. */
function notes(row: MirrorTargetView, paint: Paint): string[] {
  const { hotFiles, hot, foreignChanges, unprotected, keptAside } = row;
  const named =
    hot.length === 0 ? '' : ` (${hot.map(plainText).join(', ')}${hotFiles > hot.length ? ', ...' : ''})`;
  return [
    ...(hotFiles > 0 ? [paint('yellow', `${counted(hotFiles, 'file')} never at rest${named}`)] : []),
    ...(foreignChanges > 0 ? [paint('yellow', `${counted(foreignChanges, 'change')} by others`)] : []),
    ...(unprotected === '' ? [] : [paint('yellow', `not protected: ${unprotected}`)]),
    ...(keptAside > 0 ? [`${counted(keptAside, 'diverged entry', 'diverged entries')} kept aside`] : []),
  ];
}

const noPaint = paintWith(false);

const counted = (count: number, one: string, many = `${one}s`): string =>
  `${count} ${count === 1 ? one : many}`;

/** "data: a -> b replicating, in step": one line for each target, below its group. */
export function mirrorsBelow(mirrors: Readonly<Record<string, MirrorView>>, paint: Paint): string[] {
  return Object.entries(mirrors).flatMap(([name, { kind, source, targets }]) => {
    const from = `${kind === 'volume' ? 'volume' : 'mirror'} ${name}: ${source ?? 'no source'}`;
    const rows = Object.entries(targets);
    if (rows.length === 0) return [`${from}, no target is known`];
    return rows.map(([target, row]) => {
      const incomplete = row.consistent ? '' : paint('yellow', ', not complete');
      const details = [progress(row), plainText(row.says), ...notes(row, paint)]
        .filter((text) => text !== '')
        .map((text) => `; ${text}`);
      const state = paint(styleOf(row.state), row.state);
      return `${from} -> ${target} ${state}, ${behind(row)}${incomplete}${details.join('')}`;
    });
  });
}

export function mirrorLines(
  mirrors: Readonly<Record<string, MirrorView>>,
  paint: Paint,
  wide: boolean,
): string[] {
  const rows = Object.entries(mirrors).flatMap(([name, { kind, source, targets, export: exported }]) =>
    Object.entries(targets).map(([target, row]) => [
      name,
      ...(wide ? [kind] : []),
      source ?? '',
      target,
      cell(row.state, styleOf(row.state)),
      row.consistent ? 'yes' : cell('no', 'yellow'),
      behind(row),
      progress(row),
      ...(wide ? [amountOfBytes(row.rateBytesPerSecond).concat('/s'), exported ?? ''] : []),
      [plainText(row.says), ...notes(row, noPaint)].filter((text) => text !== '').join('; '),
    ]),
  );
  const heading = [
    'MIRROR',
    ...(wide ? ['KIND'] : []),
    'SOURCE',
    'TARGET',
    'STATE',
    'COMPLETE',
    'BEHIND',
    'PROGRESS',
  ];
  return table([...heading, ...(wide ? ['RATE', 'EXPORT'] : []), 'SAYS'], rows, paint);
}

/** One line that is drawn again and again while something runs. */
export function progressText({ target, done, total, unit }: admin.MirrorProgress, elapsedMs: number): string {
  const show = (value: bigint): string =>
    unit === 'bytes' ? amountOfBytes(Number(value)) : value.toString();
  if (total === 0n && done === 0n) return `${target}: begins`;
  const of = total === 0n ? '' : ` of ${show(total)}`;
  const what = unit === 'bytes' ? '' : ` ${unit}`;
  const perMs = elapsedMs > 0 ? Number(done) / elapsedMs : 0;
  const left = total > done && perMs > 0 ? `, ${amountOfTime(Number(total - done) / perMs)} left` : '';
  return `${target}: ${show(done)}${of}${what}${left}`;
}

const rowsShownMax = 200;

export function verifyLines(views: readonly VerifyView[], paint: Paint): string[] {
  return views.flatMap((view) => {
    const { target, compared, differing, mendedCount, says } = view;
    if (says !== '') return [`${target}: ${paint('red', 'not compared')}: ${says}`];
    const verdict =
      differing === 0
        ? `${target}: ${paint('green', 'equal')}, ${compared} entries compared`
        : `${target}: ${paint('red', `${differing} of ${compared} entries differ`)}`;
    const mended = `${target}: ${mendedCount} entries differed and are mended`;
    return [
      ...(mendedCount === 0 ? [] : [mended, ...differenceLines(view.mended, mendedCount, paint)]),
      verdict,
      ...(differing === 0 ? [] : differenceLines(view.differences, differing, paint)),
    ];
  });
}

function differenceLines(named: readonly DifferenceView[], count: number, paint: Paint): string[] {
  const shown = named.slice(0, rowsShownMax);
  const more = count - shown.length;
  const rows = shown.map((one) => [placeText(one), 'length' in one ? `${one.length} bytes` : one.kind]);
  const heading = [shown.some((one) => 'length' in one) ? 'OFFSET' : 'PATH', 'DIFFERS IN'];
  return [
    ...table(heading, rows, paint).map((line) => `  ${line}`),
    ...(more > 0 ? [`  ... and ${more} more`] : []),
  ];
}

export function keptLines(rows: readonly KeptView[], paint: Paint, wide: boolean): string[] {
  if (rows.length === 0) return ['nothing diverged'];
  const isKept = wide || rows.some(({ kept }) => !kept);
  return table(
    [
      rows.some((row) => 'offset' in row) ? 'OFFSET' : 'PATH',
      'CHANGE',
      'SIZE',
      'MODIFIED',
      'FROM',
      ...(wide ? ['EPOCH'] : []),
      ...(isKept ? ['KEPT'] : []),
    ],
    rows.map((row) => [
      placeText(row),
      row.change,
      amountOfBytes(row.size),
      (row.modified ?? '').replace('T', ' ').replace(/\.\d+Z$/, ''),
      row.from,
      ...(wide ? [row.epoch] : []),
      ...(isKept ? [row.kept ? 'yes' : 'no'] : []),
    ]),
    paint,
  );
}
