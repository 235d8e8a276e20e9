/** One in a hundred blocks of a large file changes: what travels, and how long it takes, beside rsync --inplace. */
import { closeSync, fsyncSync, openSync, statSync, utimesSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import type { Figure, Peer } from '../figure.ts';
import { monotonicMs } from '../lines.ts';
import { series, tellError, type Say, type Series } from '../series.ts';
import { fileArrived } from './arrival.ts';
import { against, figureOf } from './blank.ts';
import { compareSides, copyTree, dropCopy } from './copying.ts';
import { syncDisks, type Ground } from './ground.ts';
import { firstLine } from './initial-copy.ts';
import { needRsync, startRsync } from './rsync.ts';
import { blockBytes, contents, fileName, numbers, plantBig } from './tree.ts';
import { wireBytes, wireSince } from './wire.ts';

interface Patched {
  readonly seconds: number;
  /** Bytes on the wire, both ways, per byte that changed. */
  readonly times: number;
}

const patchMsMax = 120_000;
const changedPart = 0.01;

/** Writes new contents into one of a hundred blocks, all over the file. Resolves to how many bytes are new. */
function changeBlocks(file: string, seed: number): number {
  const blocks = Math.floor(statSync(file).size / blockBytes);
  const random = numbers(seed);
  const chosen = new Set<number>();
  while (chosen.size < blocks * changedPart) chosen.add(Math.floor(random.next().value * blocks));
  const fd = openSync(file, 'r+');
  try {
    for (const block of chosen)
      writeSync(fd, contents(blockBytes, random.next().value), 0, blockBytes, block * blockBytes);
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
  return chosen.size * blockBytes;
}

export async function changedBlocks(
  ground: Ground,
  mebibytes: number,
  runs: number,
  say: Say,
): Promise<Figure[]> {
  const tree = plantBig(ground.fresh('a', 'blocks'), mebibytes);
  const file = join(tree.root, fileName(0));
  const notes: string[] = [];
  let ours: Series<Patched> = { values: [], lost: 0 };
  try {
    const { copy } = await copyTree(ground, tree, 'blocks');
    let run = 0;
    await series({
      name: 'blocks',
      runs,
      say,
      measure: () => patchOurs(ground, file, join(copy.to, fileName(0)), (run += 1)),
      tell: ({ seconds, times }) => `${seconds.toFixed(2)} s, ${times.toFixed(3)} times what changed`,
      keep: (all) => (ours = all),
    });
    const says = await compareSides(ground, 'blocks', copy);
    if (says !== '') notes.push(says);
    await dropCopy(ground, tree, copy);
  } catch (error) {
    say(tellError(error));
    notes.push(firstLine(error));
  }
  const rsync = await patchByRsync(ground, tree.root, file, runs, say);
  ground.discard(tree.files, tree.root);
  const what = `1 % of the 4 KiB blocks of a file of ${mebibytes} MiB changed`;
  const times: Peer = { ...rsync.peer, values: rsync.patched.map((each) => each.times) };
  const seconds: Peer = { ...rsync.peer, values: rsync.patched.map((each) => each.seconds) };
  const { lost } = ours;
  return [
    figureOf({
      id: 'blocks-wire',
      name: `${what}: bytes on the wire, per byte changed`,
      mustReach: 'at most 1.2 times',
      unit: 'times',
      goal: { medianMax: 1.2 },
      values: ours.values.map((each) => each.times),
      lost,
      peers: [times],
      notes,
    }),
    figureOf({
      id: 'blocks-time',
      name: `${what}: from the last write to the target's file being the same`,
      unit: 's',
      ...against(seconds, 1),
      values: ours.values.map((each) => each.seconds),
      lost,
      peers: [seconds],
    }),
  ];
}

async function patchOurs(ground: Ground, source: string, target: string, seed: number): Promise<Patched> {
  syncDisks();
  const pid = ground.pid('a', 'mirror');
  const before = wireBytes(pid);
  const bytes = changeBlocks(source, seed);
  const startMs = monotonicMs();
  const arrivedMs = await fileArrived(source, target, patchMsMax);
  return { seconds: (arrivedMs - startMs) / 1000, times: wireSince(pid, before) / bytes };
}

async function patchByRsync(
  ground: Ground,
  folder: string,
  file: string,
  runs: number,
  say: Say,
): Promise<{ readonly peer: Omit<Peer, 'values'>; readonly patched: readonly Patched[] }> {
  const name = 'rsync --inplace -B4096';
  const ready = needRsync(say);
  if (ready.kind === 'missing') return { peer: { name, note: ready.says }, patched: [] };
  const root = ground.fresh('b', 'rsync');
  const daemon = await startRsync(ground, root);
  const patched: Patched[] = [];
  try {
    await daemon.push(folder, 'blocks', ['--whole-file']);
    for (let run = 1; run <= runs; run += 1) {
      const bytes = changeBlocks(file, 1000 + run);
      // rsync compares times in whole seconds before it looks at contents.
      utimesSync(file, run, run);
      const pid = ground.pid('a', 'mirror');
      const before = wireBytes(pid);
      const seconds = await daemon.push(folder, 'blocks', ['--no-whole-file', '--inplace', '-B4096']);
      patched.push({ seconds, times: wireSince(pid, before) / bytes });
      say(`${name}: ${seconds.toFixed(2)} s, ${patched.at(-1)?.times.toFixed(3) ?? ''} times`);
    }
    return { peer: { name }, patched };
  } catch (error) {
    return { peer: { name, note: firstLine(error) }, patched };
  } finally {
    await daemon.stop();
    ground.discard(1, root);
  }
}
