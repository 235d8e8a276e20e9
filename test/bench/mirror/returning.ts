/**
 * What a break costs when nothing changed meanwhile: of the connection (both sides go on), and of the source's mirror
 * process (killed, so that it has to look at the metadata of every file). Measured to the moment at which a file that
 * was written during the break stands at the target: the copy is live again then, not only connected.
 */
import { spawnSync } from 'node:child_process';
import { mkdirSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Figure } from '../figure.ts';
import { monotonicMs } from '../lines.ts';
import { series, tellError, type Say, type Series } from '../series.ts';
import { spreadOf } from '../spread.ts';
import { until } from '../until.ts';
import { fileArrived } from './arrival.ts';
import { figureOf } from './blank.ts';
import { compareSides, copyTree, dropCopy } from './copying.ts';
import { withFarLine } from './far-line.ts';
import type { Copy, Ground } from './ground.ts';
import { firstLine } from './initial-copy.ts';
import { plantMany } from './tree.ts';

const returnMsMax = 60_000;

/** Seconds of one: until the process takes orders, and from then on: it opens its copy, looks at every file, and sends. */
interface Restarted {
  readonly start: number;
  readonly scan: number;
}

interface Returned {
  readonly reconnects: Series<number>;
  readonly restarts: Series<Restarted>;
  /** Seconds of `find` over the source's tree. */
  readonly findSeconds: number;
  readonly notes: readonly string[];
}

export interface Wanted {
  readonly files: number;
  readonly runs: number;
  readonly reconnect: boolean;
  readonly restart: boolean;
}

const nothing: Series<never> = { values: [], lost: 0 };

export async function returning(ground: Ground, wanted: Wanted, say: Say): Promise<Figure[]> {
  const { files } = wanted;
  // What is in them does not matter here.
  const tree = plantMany(ground.fresh('a', 'return'), files, () => 64);
  const probes = join(tree.root, 'probes');
  mkdirSync(probes);
  let returned: Returned = { reconnects: nothing, restarts: nothing, findSeconds: 0, notes: [] };
  const keep = (more: Partial<Returned>): void => {
    returned = { ...returned, ...more };
  };
  try {
    const { copy } = await copyTree(ground, tree, 'return');
    if (wanted.reconnect) await reconnects(ground, copy, wanted, say, keep);
    if (wanted.restart) await restarts(ground, copy, wanted, say, keep);
    const says = await compareSides(ground, `returning, ${files} files`, copy);
    if (says !== '') keep({ notes: [...returned.notes, says] });
    await dropCopy(ground, tree, copy);
  } catch (error) {
    say(tellError(error));
    keep({ notes: [...returned.notes, firstLine(error)] });
  }
  ground.discard(tree.files, tree.root);
  return figuresOf(wanted, returned);
}

type Keep = (more: Partial<Returned>) => void;

/** Writes a file and resolves to when it has arrived. */
async function probe({ from, to }: Copy, name: string): Promise<number> {
  const path = join('probes', name);
  writeFileSync(join(from, path), name);
  return fileArrived(join(from, path), join(to, path), returnMsMax);
}

async function reconnects(ground: Ground, copy: Copy, { runs }: Wanted, say: Say, keep: Keep): Promise<void> {
  await withFarLine(ground, async (line) => {
    // The connection that is there goes directly: it has to be made anew to pass the line.
    process.kill(ground.pid('b', 'mirror'), 'SIGTERM');
    await until('the mirror passes the line', async () => (await line.order({})).connections > 0, {
      limitMs: returnMsMax,
    });
    await probe(copy, 'first');
    let run = 0;
    await series({
      name: 'reconnect',
      runs,
      say,
      measure: async () => {
        await ground.settled(copy, returnMsMax);
        run += 1;
        const startMs = monotonicMs();
        await line.order({ cut: true });
        return ((await probe(copy, `reconnect-${run}`)) - startMs) / 1000;
      },
      tell: (seconds) => `${(seconds * 1000).toFixed(0)} ms from the break to the next change at the target`,
      keep: (all) => keep({ reconnects: all }),
    });
  });
}

async function restarts(ground: Ground, copy: Copy, { runs }: Wanted, say: Say, keep: Keep): Promise<void> {
  await probe(copy, 'last');
  const finds = Array.from({ length: 5 }, () => secondsOfFind(copy.from));
  keep({ findSeconds: spreadOf(finds)?.median ?? Number.NaN });
  let run = 0;
  await series({
    name: 'restart',
    runs,
    say,
    measure: async () => {
      await ground.settled(copy, returnMsMax);
      run += 1;
      const old = ground.pid('a', 'mirror');
      const socket = socketMadeAt(ground);
      process.kill(old, 'SIGKILL');
      const arrives = probe(copy, `restart-${run}`);
      const startMs = await until(
        'the mirror process is started again',
        () => startedAgain(ground, old) && monotonicMs(),
        { limitMs: returnMsMax, everyMs: 2 },
      );
      const listensMs = await until(
        'the mirror process takes orders',
        () => ![socket, null].includes(socketMadeAt(ground)) && monotonicMs(),
        { limitMs: returnMsMax, everyMs: 2 },
      );
      return { start: (listensMs - startMs) / 1000, scan: ((await arrives) - listensMs) / 1000 };
    },
    tell: ({ start, scan }) =>
      `${((start + scan) * 1000).toFixed(0)} ms from the new process to the next change at the target, ` +
      `of which ${(start * 1000).toFixed(0)} ms until it takes orders`,
    keep: (all) => keep({ restarts: all }),
  });
}

/** Of the source's mirror process; null: it has none now. */
function socketMadeAt(ground: Ground): bigint | null {
  const path = join(ground.lab.host('a').dir, 'run', 'mirror.sock');
  return statSync(path, { bigint: true, throwIfNoEntry: false })?.ctimeNs ?? null;
}

function startedAgain(ground: Ground, old: number): boolean {
  try {
    const pid = ground.pid('a', 'mirror');
    return pid !== old && pid > 0;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return false; // its file is written anew
    throw error;
  }
}

function secondsOfFind(root: string): number {
  const startMs = monotonicMs();
  spawnSync('find', [root, '-newermt', '2100-01-01'], { stdio: 'ignore', timeout: returnMsMax });
  return (monotonicMs() - startMs) / 1000;
}

function medianMs(seconds: readonly number[]): string {
  return ((spreadOf(seconds)?.median ?? Number.NaN) * 1000).toFixed(0);
}

function figuresOf({ files, reconnect, restart }: Wanted, returned: Returned): Figure[] {
  const { reconnects: broken, restarts: killed, findSeconds, notes } = returned;
  const many = files.toLocaleString('en-GB');
  const found: Figure[] = [];
  if (reconnect)
    found.push(
      figureOf({
        id: `reconnect-${files}`,
        name: `connection broken, nothing changed, ${many} files: break to the next change at the target`,
        mustReach: 'under 0.3 s',
        unit: 's',
        goal: { medianMax: 0.3 },
        values: broken.values,
        lost: broken.lost,
        notes: restart ? [] : notes,
      }),
    );
  if (restart)
    found.push(
      figureOf({
        id: `restart-${files}`,
        name: `source's mirror process killed, ${many} files: its new start to the next change at the target, in times of find`,
        mustReach: 'at most 2 times find',
        unit: 'times',
        goal: { medianMax: 2 },
        values: killed.values.map(({ start, scan }) => (start + scan) / findSeconds),
        lost: killed.lost,
        notes: [
          ...notes,
          `find takes ${(findSeconds * 1000).toFixed(0)} ms`,
          `the start of the process is counted: ${medianMs(killed.values.map(({ start }) => start))} ms until it takes orders; ` +
            `from then on ${medianMs(killed.values.map(({ scan }) => scan))} ms`,
        ],
      }),
    );
  return found;
}
