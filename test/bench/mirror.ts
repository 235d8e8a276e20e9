/** The figures of the mirror, part by part on one stage, and at the end whether anything was missing anywhere. */
import type { Figure } from './figure.ts';
import { beats } from './mirror/beats.ts';
import { figureOf } from './mirror/blank.ts';
import { changedBlocks } from './mirror/blocks.ts';
import { gibibyte } from './mirror/disks.ts';
import { far } from './mirror/far.ts';
import { withGround, type Ground } from './mirror/ground.ts';
import { initialCopy } from './mirror/initial-copy.ts';
import { liveBurst, liveLag } from './mirror/live-lag.ts';
import { memory } from './mirror/memory.ts';
import { returning } from './mirror/returning.ts';
import { throttled } from './mirror/throttle.ts';
import { plantBig, plantMixed, plantSmall } from './mirror/tree.ts';
import type { MirrorPart, MirrorPlan } from './plan.ts';
import { tellError, type Say } from './series.ts';

const diskBytes = 30 * gibibyte;
const quickDiskBytes = 4 * gibibyte;

/** How much each part takes. */
interface Sizes {
  readonly small: number;
  readonly mixed: number;
  readonly bigMebibytes: number;
  readonly returning: readonly number[];
  readonly lagSeconds: number;
  readonly burstSeconds: number;
  readonly throttleSeconds: number;
  readonly farMebibytes: number;
  readonly memory: number;
}

const full: Sizes = {
  small: 20_000,
  mixed: 5_000,
  bigMebibytes: 2_048,
  returning: [20_000, 200_000],
  lagSeconds: 20,
  burstSeconds: 60,
  throttleSeconds: 15,
  farMebibytes: 384,
  memory: 1_000_000,
};

const quick: Sizes = {
  small: 1_000,
  mixed: 200,
  bigMebibytes: 64,
  returning: [2_000],
  lagSeconds: 4,
  burstSeconds: 4,
  throttleSeconds: 6,
  farMebibytes: 64,
  memory: 20_000,
};

export async function mirrorFigures(plan: MirrorPlan, say: Say): Promise<readonly Figure[]> {
  const figures: Figure[] = [];
  const compared: Ground['compared'][number][] = [];
  try {
    await withGround(say, plan.quick ? quickDiskBytes : diskBytes, async (ground) => {
      for (const part of partsOf(plan, say)) {
        say(`${part.name}:`);
        figures.push(...(await part.measure(ground)));
      }
      compared.push(...ground.compared);
    });
  } catch (error) {
    say(`the benchmark ended early: ${tellError(error)}`);
  }
  return [...figures, sameFigure(compared)];
}

interface MeasuredPart {
  readonly name: MirrorPart;
  measure(ground: Ground): Promise<Figure[]>;
}

function partsOf({ parts, runs, quick: short }: MirrorPlan, say: Say): readonly MeasuredPart[] {
  const sizes = short ? quick : full;
  const measures: Record<MirrorPart, (ground: Ground) => Promise<Figure[]>> = {
    small: (ground) => initialCopy(ground, smallCopy(sizes), runs, say),
    mixed: (ground) => initialCopy(ground, mixedCopy(sizes), runs, say),
    big: (ground) => initialCopy(ground, bigCopy(sizes), runs, say),
    reconnect: (ground) => returns(ground, { reconnect: true, restart: false }),
    restart: (ground) => returns(ground, { reconnect: false, restart: true }),
    blocks: (ground) => changedBlocks(ground, sizes.bigMebibytes, runs, say),
    lag: (ground) => liveLag(ground, sizes.lagSeconds, say),
    burst: (ground) => liveBurst(ground, sizes.burstSeconds, say),
    throttle: (ground) => throttled(ground, sizes.throttleSeconds, say),
    far: (ground) => far(ground, sizes.farMebibytes, say),
    memory: (ground) => memory(ground, sizes.memory, say),
    beats: (ground) => beats(ground, sizes.mixed, say),
  };
  const returns = async (
    ground: Ground,
    which: { readonly reconnect: boolean; readonly restart: boolean },
  ): Promise<Figure[]> => {
    const found: Figure[] = [];
    for (const files of sizes.returning)
      found.push(...(await returning(ground, { files, runs: short ? 1 : runs * 3, ...which }, say)));
    return found;
  };
  // Both of one tree: it takes longer to make than to break.
  if (parts.includes('reconnect') && parts.includes('restart')) {
    measures.reconnect = (ground) => returns(ground, { reconnect: true, restart: true });
    measures.restart = () => Promise.resolve([]);
  }
  return parts.map((name) => ({ name, measure: measures[name] }));
}

const smallCopy = ({ small }: Sizes): Parameters<typeof initialCopy>[1] => ({
  id: 'initial-small',
  name: `initial copy, ${small.toLocaleString('en-GB')} files of 4 KiB, synced at the target`,
  factor: 1,
  rsync: [],
  fsync: true,
  plant: (root) => plantSmall(root, small),
});

const mixedCopy = ({ mixed }: Sizes): Parameters<typeof initialCopy>[1] => ({
  id: 'initial-mixed',
  name: `initial copy, ${mixed.toLocaleString('en-GB')} files of 1 KiB to 4 MiB, synced at the target`,
  factor: 0.8,
  rsync: [],
  fsync: false,
  plant: (root) => plantMixed(root, mixed),
});

const bigCopy = ({ bigMebibytes }: Sizes): Parameters<typeof initialCopy>[1] => ({
  id: 'initial-big',
  name: `initial copy, one file of ${bigMebibytes} MiB, synced at the target`,
  factor: 0.8,
  rsync: ['--whole-file'],
  fsync: false,
  plant: (root) => plantBig(root, bigMebibytes),
});

/** The one figure that is never a matter of speed. */
function sameFigure(compared: readonly Ground['compared'][number][]): Figure {
  return figureOf({
    id: 'same',
    name: 'comparisons of both sides, contents and metadata, in which anything differed',
    mustReach: 'none',
    unit: 'runs',
    goal: { max: 0 },
    safety: true,
    values: compared.map(({ differing }) => differing),
    notes: compared
      .filter(({ differing }) => differing > 0)
      .map(({ what, differing }) => `${what}: ${differing} entries`),
  });
}
