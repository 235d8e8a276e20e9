/** Whether heartbeats and renewals keep their time while a copy runs as fast as it can. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Figure } from '../figure.ts';
import { tellError, type Say } from '../series.ts';
import { figureOf } from './blank.ts';
import { copyTree, dropCopy } from './copying.ts';
import { outageMs, syncDisks, type Ground, type Side } from './ground.ts';
import { firstLine } from './initial-copy.ts';
import { plantMixed } from './tree.ts';

const lookMs = 100;
/** The period of renewals with this outage (docs/guarantees.md: 3 s for an outage of 35 s, in proportion). */
const renewMs = Math.round((3_000 * outageMs) / 35_000);

/** A program on the host: the age of the last renewal that was confirmed, at every look, as /health tells it. */
const watching = `
const look = async () => {
  try {
    const answer = await fetch('http://127.0.0.1:7446/health', { signal: AbortSignal.timeout(5000) });
    const { renewal } = await answer.json();
    process.stdout.write(JSON.stringify(renewal.ageMs) + '\\n');
  } catch (error) {
    process.stdout.write('null\\n');
  }
  setTimeout(look, ${lookMs});
};
look();
process.stdin.on('end', () => process.exit(0)).resume();
`;

interface Watched {
  /** Milliseconds at each look; null: no answer. */
  readonly ages: (number | null)[];
  stop(): void;
}

function watchRenewals(ground: Ground, side: Side): Watched {
  const ages: (number | null)[] = [];
  const child = ground.lab.host(side).spawn([process.execPath, '--input-type=module', '-e', watching], {
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  child.on('error', () => undefined); // nothing is seen then, and that is told
  let rest = '';
  child.stdout?.setEncoding('utf8').on('data', (text: string) => {
    const lines = (rest + text).split('\n');
    rest = lines.pop() ?? '';
    for (const line of lines) ages.push(JSON.parse(line) as number | null);
  });
  return { ages, stop: () => child.stdin?.end() };
}

export async function beats(ground: Ground, files: number, say: Say): Promise<Figure[]> {
  const notes: string[] = [];
  const tree = plantMixed(ground.fresh('a', 'beats'), files);
  // What the plan itself costs the disk is over before anybody looks: the tree's way to it, and below its removal.
  syncDisks();
  await sleep(3 * renewMs);
  const watched = (['a', 'b'] as const).map((side) => watchRenewals(ground, side));
  let suspicions = 0;
  let looks = 0;
  try {
    const progress = { over: false };
    const copying = copyTree(ground, tree, 'beats').finally(() => (progress.over = true));
    const judging = (async () => {
      while (!progress.over) {
        const status = await ground.cluster.status('a');
        looks += 1;
        if (status === null || Object.values(status.servers).some(({ state }) => state !== 'up'))
          suspicions += 1;
        await sleep(1_000);
      }
    })();
    const [copied] = await Promise.all([copying, judging]);
    for (const each of watched) each.stop();
    await dropCopy(ground, tree, copied.copy);
  } catch (error) {
    say(tellError(error));
    notes.push(firstLine(error));
  } finally {
    for (const each of watched) each.stop();
  }
  ground.discard(tree.files, tree.root);
  const ages = watched.flatMap((each) => each.ages);
  const known = ages.filter((age) => age !== null);
  const worstMs = Math.max(...known);
  notes.push(
    `${ages.length} looks at renewals, ${ages.length - known.length} without an answer; their period is ${renewMs} ms`,
  );
  say(
    `beats: ${suspicions} suspicions in ${looks} looks, oldest renewal ${worstMs.toFixed(0)} ms; ${notes.join('; ')}`,
  );
  return [
    figureOf({
      id: 'beats-suspicion',
      name: `a copy runs flat out, outage ${outageMs / 1000} s: looks at which a server was suspected`,
      mustReach: 'none',
      unit: 'runs',
      goal: { max: 0 },
      values: looks === 0 ? [] : [suspicions],
    }),
    figureOf({
      id: 'beats-renewal',
      name: 'a copy runs flat out: how much later than its period the latest renewal was confirmed',
      mustReach: 'at most 0.5 s',
      unit: 's',
      goal: { max: 0.5 },
      values: known.length === 0 || looks === 0 ? [] : [Math.max(0, worstMs - renewMs) / 1000],
      notes,
    }),
  ];
}
