/** A line of 100 Mbit and 100 ms round trip: how much of it a copy fills, and what ten seconds of silence cost. */
import type { Figure } from '../figure.ts';
import { monotonicMs } from '../lines.ts';
import { tellError, type Say } from '../series.ts';
import { until } from '../until.ts';
import { figureOf } from './blank.ts';
import { compareSides, copyTree, dropCopy } from './copying.ts';
import { withFarLine, type FarLine } from './far-line.ts';
import type { Ground } from './ground.ts';
import { firstLine } from './initial-copy.ts';
import { windowRates, type Sample } from './throttle.ts';
import { plantBig, type Tree } from './tree.ts';

const bitsPerSecond = 100_000_000;
const delayMs = 50;
const silenceMs = 10_000;
const sampleMs = 100;
const percent = (part: number, whole: number): number => (100 * part) / whole;

interface Crossing {
  readonly samples: readonly Sample[];
  /** On the line, from source to target. */
  readonly bytes: number;
  /** From the end of the silence to the first bytes; null without one. */
  readonly resumedSeconds: number | null;
}

/** `silent`: nothing passes for ten seconds when half of it is over. */
async function cross(ground: Ground, line: FarLine, tree: Tree, silent: boolean): Promise<Crossing> {
  const samples: Sample[] = [];
  const begin = (await line.order({})).thereBytes;
  const copying = copyTree(ground, tree, silent ? 'silent' : 'far', ['compress: never']);
  let over = false;
  const ends = copying.finally(() => (over = true));
  let resumedSeconds: number | null = null;
  let silentSinceMs: number | null = null;
  const watch = async (): Promise<true | undefined> => {
    const { thereBytes } = await line.order({});
    const atMs = monotonicMs();
    const before = samples.at(-1)?.bytes ?? begin;
    samples.push({ atMs, bytes: thereBytes });
    if (silent && silentSinceMs === null && thereBytes - begin > tree.bytes / 2) {
      await line.order({ silenceMs });
      silentSinceMs = monotonicMs();
    } else if (silentSinceMs !== null && resumedSeconds === null && thereBytes - before > 100_000)
      resumedSeconds = Math.max(0, (atMs - silentSinceMs - silenceMs) / 1000);
    return over ? true : undefined;
  };
  const watching = until('the copy crosses the line', watch, { limitMs: 600_000, everyMs: sampleMs });
  const [{ copy }] = await Promise.all([ends, watching]);
  const { thereBytes } = await line.order({});
  const says = await compareSides(ground, silent ? 'far, with a silence' : 'far', copy);
  if (says !== '') throw new Error(says);
  await dropCopy(ground, tree, copy);
  return { samples, bytes: thereBytes - begin, resumedSeconds };
}

export async function far(ground: Ground, mebibytes: number, say: Say): Promise<Figure[]> {
  const tree = plantBig(ground.fresh('a', 'far'), mebibytes);
  const notes: string[] = [];
  let usual: Crossing | null = null;
  let broken: Crossing | null = null;
  try {
    await withFarLine(ground, async (line) => {
      await line.order({ delayMs, bitsPerSecond });
      usual = await cross(ground, line, tree, false);
      broken = await cross(ground, line, tree, true);
    });
  } catch (error) {
    say(tellError(error));
    notes.push(firstLine(error));
  }
  ground.discard(tree.files, tree.root);
  return figuresOf(usual, broken, mebibytes, notes, say);
}

function figuresOf(
  usual: Crossing | null,
  broken: Crossing | null,
  mebibytes: number,
  notes: readonly string[],
  say: Say,
): Figure[] {
  const rates = windowRates(usual?.samples ?? []);
  const mean = rates.reduce((sum, rate) => sum + rate, 0) / Math.max(1, rates.length);
  const fill = rates.length === 0 ? [] : [percent(mean, bitsPerSecond)];
  const resent = usual === null || broken === null ? [] : [percent(broken.bytes - usual.bytes, usual.bytes)];
  const resumed = broken?.resumedSeconds ?? null;
  say(`far: filled to ${fill.join('')} %, resumed after ${resumed ?? '-'} s, re-sent ${resent.join('')} %`);
  const name = 'a line of 100 Mbit and 100 ms round trip';
  return [
    figureOf({
      id: 'far-fill',
      name: `${name}: filled, while a file of ${mebibytes} MiB is copied`,
      mustReach: 'at least 80 %',
      unit: '%',
      goal: { min: 80 },
      values: fill,
      notes,
    }),
    figureOf({
      id: 'far-resumed',
      name: `${name}, silent for 10 s: from the end of the silence to the next data`,
      mustReach: 'resumes by itself (within 10 s)',
      unit: 's',
      goal: { max: 10 },
      values: resumed === null ? [] : [resumed],
    }),
    figureOf({
      id: 'far-resent',
      name: `${name}, silent for 10 s: sent again`,
      mustReach: 'less than 1 %',
      unit: '%',
      goal: { max: 1 },
      values: resent,
      notes: ['against the same copy without the silence'],
    }),
  ];
}
