/** The lag at 50 writes a second, beside lsyncd, and at 2,000 for a minute: it must keep up, and miss nothing. */
import { closeSync, mkdirSync, openSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import type { Figure, Peer } from '../figure.ts';
import { monotonicMs } from '../lines.ts';
import { tellError, type Say } from '../series.ts';
import { figureOf } from './blank.ts';
import { compareSides, copyTree, dropCopy } from './copying.ts';
import type { Ground } from './ground.ts';
import { firstLine } from './initial-copy.ts';
import { lagsOf, percentile, type Lags } from './lag.ts';
import { needLsyncd, withLsyncd } from './lsyncd.ts';
import { contents, plantSmall } from './tree.ts';

const perSecond = 50;
const plantedFiles = 1_000;
const how =
  'from close at the source to the name at the target, which appears after the contents were synced';

export async function liveLag(ground: Ground, seconds: number, say: Say): Promise<Figure[]> {
  const tell = (name: string, { values, missing, lookMs }: Lags): void =>
    say(
      `${name}: median ${percentile(values, 50).toFixed(1)} ms, 99th ${percentile(values, 99).toFixed(1)} ms, ` +
        `${missing} missing (looks at most ${lookMs.toFixed(1)} ms apart)`,
    );
  const notes = [how];
  let ours: Lags = { values: [], missing: 0, lookMs: 0 };
  try {
    const tree = plantSmall(ground.fresh('a', 'lag'), plantedFiles);
    const { copy } = await copyTree(ground, tree, 'lag');
    ours = await lagsOf(join(copy.from, 'live'), join(copy.to, 'live'), perSecond, seconds);
    tell('lag', ours);
    notes.push(`looks at the target were at most ${ours.lookMs.toFixed(1)} ms apart`);
    const says = await compareSides(ground, 'lag', copy);
    if (says !== '') notes.push(says);
    await dropCopy(ground, tree, copy);
    ground.discard(tree.files, tree.root);
  } catch (error) {
    say(tellError(error));
    notes.push(firstLine(error));
  }
  const lsyncd = await lagOfLsyncd(ground, seconds, say, tell);
  const figure = (id: string, name: string, percent: number, most: number): Figure =>
    figureOf({
      id,
      name: `lag at ${perSecond} writes a second, ${name}`,
      mustReach: `at most ${most} ms`,
      unit: 'ms',
      goal: { max: most },
      values: ours.values.length === 0 ? [] : [percentile(ours.values, percent)],
      lost: ours.missing,
      peers: [{ ...lsyncd, values: lsyncd.values.length === 0 ? [] : [percentile(lsyncd.values, percent)] }],
      notes: percent === 50 ? notes : [],
    });
  return [figure('lag-median', 'median', 50, 20), figure('lag-99', '99th of a hundred', 99, 80)];
}

async function lagOfLsyncd(
  ground: Ground,
  seconds: number,
  say: Say,
  tell: (name: string, lags: Lags) => void,
): Promise<Peer> {
  const name = 'lsyncd, delay 0';
  const ready = needLsyncd(say);
  if (ready.kind === 'missing') return { name, values: [], note: ready.says };
  try {
    const lags = await withLsyncd(ground, (from, to) => lagsOf(from, to, perSecond, seconds));
    tell(name, lags);
    const note = lags.missing === 0 ? 'not synced' : `not synced; ${lags.missing} never arrived`;
    return { name, values: lags.values, note };
  } catch (error) {
    return { name, values: [], note: firstLine(error) };
  }
}

const burst = { perSecond: 2_000, everyMs: 5, bytes: 512, files: 20_000, marksPerSecond: 10 };

/** Small writes into files that are there, over and over; new files between them tell the lag. */
export async function liveBurst(ground: Ground, seconds: number, say: Say): Promise<Figure[]> {
  const notes: string[] = [];
  let values: number[] = [];
  let lost = 0;
  try {
    const tree = plantSmall(ground.fresh('a', 'burst'), Math.min(burst.files, seconds * burst.perSecond));
    const { copy } = await copyTree(ground, tree, 'burst');
    const writer = startWriting(join(copy.from, 'written'), seconds);
    const lags = await lagsOf(
      join(copy.from, 'marks'),
      join(copy.to, 'marks'),
      burst.marksPerSecond,
      seconds,
    );
    const { writes, atMs } = await writer;
    await ground.settled(copy, 60_000);
    const says = await compareSides(ground, 'burst', copy);
    values = [Math.max(...lags.values) / 1000];
    lost = lags.missing;
    notes.push(
      `${writes} writes in ${(atMs / 1000).toFixed(1)} s; median lag ${percentile(lags.values, 50).toFixed(0)} ms`,
    );
    if (says !== '') notes.push(says);
    say(`burst: worst lag ${values[0]?.toFixed(3) ?? ''} s; ${notes.join('; ')}`);
    await dropCopy(ground, tree, copy);
    ground.discard(tree.files, tree.root);
  } catch (error) {
    say(tellError(error));
    notes.push(firstLine(error));
  }
  return [
    figureOf({
      id: 'burst',
      name: `${burst.perSecond} small writes a second for ${seconds} s: worst lag`,
      mustReach: 'at most 1 s, nothing missing at the end',
      unit: 's',
      goal: { max: 1 },
      values,
      lost,
      notes,
    }),
  ];
}

/** Writes in small lumps beside whatever else this process does. Resolves when all was written. */
function startWriting(folder: string, seconds: number): Promise<{ writes: number; atMs: number }> {
  mkdirSync(folder, { recursive: true });
  const total = burst.perSecond * seconds;
  const startMs = monotonicMs();
  let writes = 0;
  return new Promise((resolve, reject) => {
    const timer = setInterval(() => {
      try {
        const due = Math.min(total, ((monotonicMs() - startMs) / 1000) * burst.perSecond);
        for (; writes < due; writes += 1) {
          const fd = openSync(join(folder, `w${writes % burst.files}`), 'w');
          writeSync(fd, contents(burst.bytes, (writes % 97) / 97));
          closeSync(fd);
        }
        if (writes < total) return;
        clearInterval(timer);
        resolve({ writes, atMs: monotonicMs() - startMs });
      } catch (error) {
        clearInterval(timer);
        reject(error instanceof Error ? error : new Error(String(error)));
      }
    }, burst.everyMs);
  });
}
