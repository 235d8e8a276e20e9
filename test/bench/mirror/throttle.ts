/** A throttle of 100 Mbit: how far any two seconds of a copy are from it, as the network interfaces count. */
import type { Figure } from '../figure.ts';
import { monotonicMs } from '../lines.ts';
import { tellError, type Say } from '../series.ts';
import { figureOf } from './blank.ts';
import { copyTree, dropCopy } from './copying.ts';
import type { Ground } from './ground.ts';
import { firstLine } from './initial-copy.ts';
import { plantBig } from './tree.ts';
import { wireBytes } from './wire.ts';

export interface Sample {
  readonly atMs: number;
  readonly bytes: number;
}

const bitsPerSecond = 100_000_000;
const windowMs = 2_000;
const sampleMs = 50;

/**
 * The rate of every window of at least two seconds, bits per second, within which bytes flowed from first to last: what
 * happens before the copy runs, and after it has ended, is no rate.
 */
export function windowRates(samples: readonly Sample[]): number[] {
  const last = samples.at(-1)?.bytes ?? 0;
  const first = samples[0]?.bytes ?? 0;
  const total = last - first;
  const running = samples.filter(({ bytes }) => bytes - first > total * 0.05 && bytes - first < total * 0.95);
  return running.flatMap((from) => {
    const to = running.find(({ atMs }) => atMs >= from.atMs + windowMs);
    return to === undefined ? [] : [((to.bytes - from.bytes) * 8_000) / (to.atMs - from.atMs)];
  });
}

export async function throttled(ground: Ground, seconds: number, say: Say): Promise<Figure[]> {
  const notes: string[] = [];
  let values: number[] = [];
  const samples: Sample[] = [];
  let timer: NodeJS.Timeout | undefined;
  try {
    const mebibytes = Math.ceil((bitsPerSecond / 8 / 1_048_576) * seconds);
    const tree = plantBig(ground.fresh('a', 'throttle'), mebibytes);
    const pid = ground.pid('a', 'mirror');
    timer = setInterval(() => samples.push({ atMs: monotonicMs(), bytes: wireBytes(pid).sent }), sampleMs);
    const { copy } = await copyTree(ground, tree, 'throttle', ['throttle: 100Mbit', 'compress: never']);
    const rates = windowRates(samples);
    if (rates.length === 0) notes.push('the copy was too short to have two seconds in it');
    else {
      const [least, most] = [Math.min(...rates), Math.max(...rates)];
      values = [Math.max(most - bitsPerSecond, bitsPerSecond - least) / (bitsPerSecond / 100)];
      notes.push(`from ${(least / 1e6).toFixed(1)} to ${(most / 1e6).toFixed(1)} Mbit/s, with all headers`);
      say(`throttle: ${notes.join('; ')}`);
    }
    await dropCopy(ground, tree, copy);
    ground.discard(tree.files, tree.root);
  } catch (error) {
    say(tellError(error));
    notes.push(firstLine(error));
  } finally {
    clearInterval(timer);
  }
  return [
    figureOf({
      id: 'throttle',
      name: 'throttle at 100 Mbit: largest deviation over any 2 s',
      mustReach: 'at most 3 %',
      unit: '%',
      goal: { max: 3 },
      values,
      notes,
    }),
  ];
}
