/** How long it takes until everything is on the target, beside rsync. */
import type { Figure, Peer } from '../figure.ts';
import { series, tellError, type Say, type Series } from '../series.ts';
import { against, figureOf } from './blank.ts';
import { compareSides, copyTree, dropCopy } from './copying.ts';
import { copiesByCp } from './disk-alone.ts';
import type { Ground } from './ground.ts';
import { needRsync, startRsync } from './rsync.ts';
import type { Tree } from './tree.ts';

export interface InitialCopy {
  readonly id: string;
  readonly name: string;
  /** At most this times rsync's median. */
  readonly factor: number;
  /** Options of rsync, and whether it is measured with --fsync, too. */
  readonly rsync: readonly string[];
  readonly fsync: boolean;
  readonly plant: (root: string) => Tree;
}

export async function initialCopy(
  ground: Ground,
  wanted: InitialCopy,
  runs: number,
  say: Say,
): Promise<Figure[]> {
  const { id, name, factor, plant } = wanted;
  const tree = plant(ground.fresh('a', id));
  const peers = await rsyncCopies(ground, tree, wanted, runs, say);
  const [rsync] = peers;
  const alone = await copiesByCp(ground, tree, runs, say);
  const notes: string[] = [];
  let ours: Series<number> = { values: [], lost: 0 };
  try {
    await series({
      name: id,
      runs,
      say,
      measure: async () => {
        const { copy, seconds } = await copyTree(ground, tree, id);
        const says = await compareSides(ground, id, copy);
        if (says !== '') notes.push(says);
        await dropCopy(ground, tree, copy);
        return seconds;
      },
      tell: (seconds) =>
        `${seconds.toFixed(2)} s, ${(tree.bytes / 1e6 / seconds).toFixed(0)} MB/s, ${(tree.files / seconds).toFixed(0)} files/s`,
      keep: (all) => (ours = all),
    });
  } catch (error) {
    say(tellError(error));
    notes.push(firstLine(error));
  }
  ground.discard(tree.files, tree.root);
  const goal = rsync === undefined ? { goal: { unknown: '' }, mustReach: '' } : against(rsync, factor);
  return [
    figureOf({
      id,
      name,
      unit: 's',
      ...goal,
      values: ours.values,
      lost: ours.lost,
      peers: [...peers, alone],
      notes,
    }),
  ];
}

export const firstLine = (error: unknown): string => tellError(error).split('\n')[0] ?? '';

async function rsyncCopies(
  ground: Ground,
  tree: Tree,
  { rsync: options, fsync }: InitialCopy,
  runs: number,
  say: Say,
): Promise<Peer[]> {
  const forms = [
    { name: 'rsync', more: [] as string[] },
    ...(fsync ? [{ name: 'rsync --fsync', more: ['--fsync'] }] : []),
  ];
  const ready = needRsync(say);
  if (ready.kind === 'missing') return forms.map(({ name }) => ({ name, values: [], note: ready.says }));
  const root = ground.fresh('b', 'rsync');
  const daemon = await startRsync(ground, root);
  const peers: Peer[] = [];
  try {
    for (const { name, more } of forms) {
      const values: number[] = [];
      for (let run = 0; run < runs; run += 1) {
        values.push(await daemon.push(tree.root, `copy-${name.length}-${run}`, [...options, ...more]));
        say(`${name}: ${values.at(-1)?.toFixed(2) ?? ''} s`);
        ground.discard(tree.files, `${root}/copy-${name.length}-${run}`);
      }
      peers.push({ name, values });
    }
    return peers;
  } catch (error) {
    return [...peers, { name: 'rsync', values: [], note: firstLine(error) }];
  } finally {
    await daemon.stop();
    ground.discard(tree.files, root);
  }
}
