/** What a volume of a tebibyte costs in memory, on both sides. */
import type { Figure } from '../figure.ts';
import { figureOf } from '../mirror/blank.ts';
import type { Ground, Side } from '../mirror/ground.ts';
import { mebibytesOf } from '../mirror/memory.ts';
import type { VolumePlan } from '../plan.ts';
import type { Say } from '../series.ts';
import { fio, random } from './fio.ts';
import { stageVolume } from './stage.ts';

const tebibyte = 1_048_576;
const lookMs = 500;
const sides: readonly Side[] = ['a', 'b'];

export async function volumeMemory(ground: Ground, plan: VolumePlan, say: Say): Promise<Figure> {
  const held = (): readonly number[] => sides.map((side) => mebibytesOf(ground.pid(side, 'mirror')));
  const before = held();
  const stage = await stageVolume(ground, { sizeMebibytes: tebibyte }, { complete: false });
  // Blocks all over it: the most that the bitmap and its hot extents ever hold.
  const grown = sides.map(() => 0);
  const look = (): void => {
    held().forEach((mebibytes, at) => (grown[at] = Math.max(grown[at] ?? 0, mebibytes - (before[at] ?? 0))));
  };
  const timer = setInterval(look, lookMs);
  try {
    await fio(stage.uri, random, stage.sizeBytes, 4 * plan.seconds);
  } finally {
    clearInterval(timer);
  }
  look();
  say(`memory of a volume of 1 TiB: ${grown.map((mebibytes) => mebibytes.toFixed(0)).join(' and ')} MiB`);
  return figureOf({
    id: 'memory',
    name: 'memory that a volume of 1 TiB adds to a mirror process, source and target',
    mustReach: 'at most 64 MiB',
    unit: 'MiB',
    goal: { max: 64 },
    values: grown,
    notes: [
      'at its most, during the first copy, with random writes all over it; the thread of a volume is in it',
    ],
  });
}
