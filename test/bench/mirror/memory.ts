/** What a mirror of a million files costs in memory, on both sides, while it is copied and after that. */
import { readFileSync } from 'node:fs';
import type { Figure } from '../figure.ts';
import { tellError, type Say } from '../series.ts';
import { figureOf } from './blank.ts';
import { copyTree, dropCopy } from './copying.ts';
import type { Ground, Side } from './ground.ts';
import { firstLine } from './initial-copy.ts';
import { plantMany } from './tree.ts';

const lookMs = 500;

/** Proportional set size (proc(5), smaps_rollup), MiB: what is mapped of the catalog counts, too. */
export function mebibytesOf(pid: number): number {
  const found = /^Pss:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/smaps_rollup`, 'utf8'));
  return Number(found?.[1] ?? Number.NaN) / 1024;
}

export async function memory(ground: Ground, files: number, say: Say): Promise<Figure[]> {
  const notes: string[] = [];
  const most: Record<Side, number> = { a: 0, b: 0 };
  const after: Record<Side, number[]> = { a: [], b: [] };
  const tree = plantMany(ground.fresh('a', 'memory'), files, () => 0);
  const look = (): void => {
    for (const side of ['a', 'b'] as const)
      most[side] = Math.max(most[side], mebibytesOf(ground.pid(side, 'mirror')));
  };
  const timer = setInterval(look, lookMs);
  try {
    const { copy, seconds } = await copyTree(ground, tree, 'memory');
    notes.push(`${files.toLocaleString('en-GB')} empty files were copied in ${seconds.toFixed(0)} s`);
    for (const side of ['a', 'b'] as const) after[side] = [mebibytesOf(ground.pid(side, 'mirror'))];
    clearInterval(timer);
    await dropCopy(ground, tree, copy);
  } catch (error) {
    say(tellError(error));
    notes.push(firstLine(error));
  } finally {
    clearInterval(timer);
  }
  ground.discard(tree.files, tree.root);
  say(`memory: at most ${most.a.toFixed(0)} MiB on the source, ${most.b.toFixed(0)} MiB on the target`);
  const figure = (side: Side, name: string): Figure =>
    figureOf({
      id: `memory-${name}`,
      name: `memory of the ${name}'s mirror process with ${files.toLocaleString('en-GB')} files, at its most`,
      mustReach: 'at most 400 MiB',
      unit: 'MiB',
      goal: { max: 400 },
      values: after[side].length === 0 ? [] : [most[side]],
      notes: [
        ...after[side].map((mebibytes) => `${mebibytes.toFixed(0)} MiB after the copy`),
        ...(side === 'a' ? notes : []),
      ],
    });
  return [figure('a', 'source'), figure('b', 'target')];
}
