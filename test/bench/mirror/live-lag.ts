/** The lag at 50 writes a second, beside lsyncd, and at 2,000 for a minute: it must keep up, and miss nothing. */
import { join } from 'node:path';
import { Worker } from 'node:worker_threads';
import type { Figure, Peer } from '../figure.ts';
import { tellError, type Say } from '../series.ts';
import { figureOf } from './blank.ts';
import type { Burst, BurstOptions } from './burst-writer.ts';
import { compareSides, copyTree, dropCopy } from './copying.ts';
import { syncDisks, type Ground } from './ground.ts';
import { firstLine } from './initial-copy.ts';
import { lagsOf, percentile, type Lags } from './lag.ts';
import { needLsyncd, withLsyncd } from './lsyncd.ts';
import { pathOfFile, plantSmall } from './tree.ts';

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
    syncDisks(); // G2 (ground.ts): parts before may have left much.
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
    const lags = await withLsyncd(ground, (from, to) => {
      syncDisks();
      return lagsOf(from, to, perSecond, seconds);
    });
    tell(name, lags);
    const note = lags.missing === 0 ? 'not synced' : `not synced; ${lags.missing} never arrived`;
    return { name, values: lags.values, note };
  } catch (error) {
    return { name, values: [], note: firstLine(error) };
  }
}

const burst = { perSecond: 2_000, bytes: 512, files: 20_000, marksPerSecond: 10 };
/** Of whoever writes, where the machine does not keep up. */
const lateMsMax = 240_000;

/** Small writes into files that are there, over and over; new files between them tell the lag. */
export async function liveBurst(ground: Ground, seconds: number, say: Say): Promise<Figure[]> {
  const notes: string[] = [];
  let values: number[] = [];
  let lost = 0;
  try {
    const tree = plantSmall(ground.fresh('a', 'burst'), Math.min(burst.files, seconds * burst.perSecond));
    const { copy } = await copyTree(ground, tree, 'burst');
    const writer = startWriting(copy.from, tree.files, seconds);
    const lags = await lagsOf(
      join(copy.from, 'marks'),
      join(copy.to, 'marks'),
      burst.marksPerSecond,
      seconds,
    );
    const { writes, tookMs } = await writer;
    await ground.settled(copy, 60_000);
    const says = await compareSides(ground, 'burst', copy);
    values = [Math.max(...lags.values) / 1000];
    lost = lags.missing;
    notes.push(
      `${writes} writes in ${(tookMs / 1000).toFixed(1)} s; median lag ${percentile(lags.values, 50).toFixed(0)} ms; ` +
        `looks at the target were at most ${lags.lookMs.toFixed(0)} ms apart`,
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

function startWriting(folder: string, files: number, seconds: number): Promise<Burst> {
  const workerData: BurstOptions = {
    folder,
    names: Array.from({ length: files }, (_, number) => pathOfFile(number)),
    perSecond: burst.perSecond,
    seconds,
    bytes: burst.bytes,
  };
  const thread = new Worker(new URL('./burst-writer.js', import.meta.url), { workerData });
  return new Promise((resolve, reject) => {
    const timer = setTimeout(
      () => {
        reject(new Error('the writes of the burst did not end'));
        void thread.terminate();
      },
      seconds * 1000 + lateMsMax,
    );
    thread.once('message', resolve);
    thread.once('error', reject);
    thread.once('exit', () => {
      clearTimeout(timer);
      reject(new Error('whoever writes the burst ended early'));
    });
  });
}
