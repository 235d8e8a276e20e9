/** The story that the demo tells, scene by scene, each with what the cluster says, what the client saw and what data it kept. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { bringUp, type LabCluster } from '@holdfast/cli';
import { createLab, type Lab } from '@holdfast/lab';
import { declaration, type Status } from '../bench/history.ts';
import { monotonicMs } from '../bench/lines.ts';
import { until } from '../bench/until.ts';
import { showHoldfast } from './cluster-view.ts';
import {
  isReplicating,
  keptRecords,
  looksByItself,
  mirror,
  recordsOn,
  shownLoss,
  type ShownLoss,
} from './data.ts';
import { gapsIn, lossAt, writtenAfter, type Loss } from './records.ts';
import type { Screen } from './screen.ts';
import { epochMarks, timeline, type Ink, type Mark } from './timeline.ts';
import { epochsSeen, gapAfter, lossProblems, problemsOf } from './verdict.ts';
import { startVisits, type Visits } from './visits.ts';

const group = 'd3';
const primary = 'a';
const standby = 'b';
const witness = 'w';
const address = '10.77.0.100';
const port = 8080;
const askMs = 25;
const graceMs = 30_000;
/** What is drawn before and after an event. */
const aroundMs = 1_000;
/** Written before the power is cut, so that there is something to lose. */
const recordsBefore = 200;

interface Options {
  readonly outage: string;
  readonly outageMs: number;
}

interface Scene {
  readonly screen: Screen;
  readonly lab: Lab;
  readonly cluster: LabCluster;
  readonly visits: Visits;
  readonly options: Options;
}

interface Takeover {
  readonly silenceMs: number;
  readonly answerMs: number;
  readonly gapMs: number;
  readonly shown: ShownLoss;
  /** From what status showed to the last answer before the power was off. */
  readonly afterMs: number;
  readonly loss: Loss;
}

/** What the former owner wrote and nobody found after it. */
interface KeptAside {
  readonly records: number;
  readonly bytes: number;
  /** Of those that the client was told of and that were lost in the takeover. */
  readonly told: number;
  readonly toldBytes: number;
}

interface Failback {
  readonly longestMs: number;
  readonly loss: Loss;
  /** Problems of the records that are there at the end, and how many there are. */
  readonly gaps: readonly string[];
  readonly records: number;
}

/** Resolves to what did not happen as promised. */
export async function tell(screen: Screen, options: Options): Promise<string[]> {
  const dir = mkdtempSync(join(tmpdir(), 'holdfast-demo-'));
  let lab: Lab | null = null;
  try {
    lab = await createLab({ dir, hosts: [primary, standby, witness, 'client'], tied: true });
    screen.title('1. Two servers, a witness and a client, on one machine');
    const say = (line: string): void => screen.line(`  ${screen.paint('dim', line)}`);
    const cluster = await bringUp(lab, { outage: options.outage, records: true, say });
    const visits = startVisits(lab.host('client'), address, port, askMs);
    const scene: Scene = { screen, lab, cluster, visits, options };
    await until('the client is answered', () => visits.all.length > 0, { limitMs: graceMs });
    screen.line(
      `  The client asks http://${address}:${port}/ every ${askMs} ms; each answer names server and epoch, and the last`,
    );
    screen.line(
      `  of the numbered records that the service writes all the time to the folder that ${mirror} mirrors.`,
    );
    await cluster.until(standby, `${standby} as a copy`, (status) => isReplicating(status, standby));
    await until('some records are written', () => toldNow(visits) > recordsBefore, { limitMs: graceMs });
    await showHoldfast(screen, lab, primary, ['status']);
    const takeover = await loseThePrimary(scene);
    const kept = await bringItBack(scene, takeover.loss);
    const failback = await failBack(scene);
    return conclude(scene, takeover, kept, failback);
  } finally {
    await lab?.down();
    rmSync(dir, { recursive: true, force: true });
  }
}

const toldNow = (visits: Visits): number => visits.all.at(-1)?.last.number ?? 0;

async function loseThePrimary(scene: Scene): Promise<Takeover> {
  const { screen, lab, cluster, visits } = scene;
  screen.title(`2. The power of ${primary} is cut while it writes`);
  if (looksByItself(lab, primary))
    screen.line(
      `  The kernel tells this user nothing of changes: the mirror looks for them about once a second.`,
    );
  const shown = await shownLoss(cluster, standby, group);
  screen.line(
    `  Just before, status shows that at most the last ${shown.ms} ms would be lost: ${shown.bytes} B by what`,
  );
  screen.line(`  was known ${shown.ageMs} ms before that, and whatever was written since.`);
  const offMs = monotonicMs();
  await lab.host(primary).powerOff();
  const answer = await countDown(scene, offMs);
  const declared = await declaration(cluster, standby, { group, server: primary, afterMs: offMs });
  screen.line(screen.paint('green', `  ${standby} answers the client, in epoch ${answer.epoch}.`));
  await until('the client was seen a moment longer', () => monotonicMs() > answer.atMs + aroundMs, {
    limitMs: 5_000,
  });
  const lastMs =
    visits.all.findLast(({ server, atMs }) => server === primary && atMs < answer.atMs)?.atMs ?? offMs;
  draw(scene, { fromMs: offMs - aroundMs, toMs: answer.atMs + aroundMs }, [
    { atMs: offMs, text: `power of ${primary} off` },
    { atMs: declared.atMs, text: `${primary} declared down` },
  ]);
  const loss = lossAt(visits.all, answer);
  const verdict =
    loss.records === 0
      ? 'nothing that it was told of is missing'
      : `${loss.records} records that it was told of are missing here`;
  screen.line(
    `\n  The client was told of record ${loss.told.number}; ${standby} goes on after ${loss.found.number}: ${verdict}.`,
  );
  await showHoldfast(screen, lab, standby, ['status']);
  return {
    shown,
    afterMs: Math.max(offMs, lastMs) - shown.atMs,
    loss,
    silenceMs: declared.silenceMs,
    answerMs: answer.atMs - declared.atMs,
    gapMs: answer.atMs - lastMs,
  };
}

/** Shows what the cluster itself says of the silence until the client is answered again. */
async function countDown(
  { screen, cluster, visits, options }: Scene,
  offMs: number,
): Promise<Visits['all'][number]> {
  const endMs = offMs + options.outageMs + graceMs;
  let quietUntilMs = 0;
  for (;;) {
    const answer = visits.firstBy(standby, offMs);
    if (answer !== undefined) {
      screen.settle();
      return answer;
    }
    visits.check();
    if (monotonicMs() > endMs) throw new Error(`${standby} did not answer the client`);
    if (monotonicMs() > quietUntilMs) {
      const toFailMs = showSilence(screen, await cluster.status(standby));
      // A command at the very moment of the takeover would only slow this small machine down.
      if (toFailMs < 800) quietUntilMs = monotonicMs() + 1_500;
    }
    await new Promise((resolve) => setTimeout(resolve, 150));
  }
}

/** Returns how long it is until the server is declared down, milliseconds. */
function showSilence(screen: Screen, status: Status | null): number {
  const server = status?.servers[primary];
  if (server === undefined) return Number.POSITIVE_INFINITY;
  const { lastHeardMs: silentMs, timeToFailMs: toFailMs, state, diagnosis } = server;
  if (silentMs === null || toFailMs === null) return Number.POSITIVE_INFINITY;
  const silent = `${(silentMs / 1000).toFixed(1)} s`;
  const said = `${primary} silent for ${silent}, ${state}${diagnosis === '' ? '' : ` (${diagnosis})`}`;
  const rest = state === 'down' ? '' : `; declared down in ${(toFailMs / 1000).toFixed(1)} s`;
  const style = state === 'up' ? 'plain' : state === 'suspect' ? 'yellow' : 'red';
  screen.live(`${Math.floor(silentMs / 1000)} ${state}`, screen.paint(style, `${said}${rest}`));
  return toFailMs;
}

async function bringItBack({ screen, lab, cluster }: Scene, loss: Loss): Promise<KeptAside> {
  screen.title(`3. ${primary} is powered on again, and comes back as the standby`);
  await lab.host(primary).powerOn();
  cluster.run(primary);
  const isBack = (status: Status): boolean =>
    status.servers[primary]?.state === 'up' &&
    status.groups[group]?.owner === standby &&
    status.groups[group].phase === 'active' &&
    isReplicating(status, primary) &&
    Object.values(status.quorum.members).every(({ healthy }) => healthy);
  await cluster.until(standby, `${primary} as the standby`, isBack);
  screen.line(`  ${primary} is up and a copy of ${standby}, which goes on serving.`);
  screen.line(
    `  What ${primary} wrote in its last moment and nobody else had is not thrown away: it is kept aside on ${primary},`,
  );
  screen.line('  until a person restores or discards it.');
  await showHoldfast(screen, lab, witness, ['mirror', 'divergence', mirror, 'list']);
  const records = writtenAfter(await keptRecords(cluster, witness, primary), primary, loss.found);
  const told = records.filter(({ number }) => number <= loss.told.number);
  const size = (some: typeof records): number => some.reduce((sum, { bytes }) => sum + bytes, 0);
  return { records: records.length, bytes: size(records), told: told.length, toldBytes: size(told) };
}

async function failBack(scene: Scene): Promise<Failback> {
  const { screen, lab, cluster, visits } = scene;
  screen.title(
    `4. Planned failback to ${primary}: the service stops, the mirror is drained, and only then it moves`,
  );
  const startMs = monotonicMs();
  const status = await showHoldfast(screen, lab, witness, ['failback', group]);
  if (status !== 0) throw new Error(`holdfast failback ended with status ${status}`);
  const answer = await until(`${primary} answers the client`, () => visits.firstBy(primary, startMs), {
    limitMs: graceMs,
  });
  await until('the client was seen a moment longer', () => monotonicMs() > answer.atMs + aroundMs, {
    limitMs: 5_000,
  });
  draw(scene, { fromMs: answer.atMs - 3 * aroundMs, toMs: answer.atMs + aroundMs }, []);
  await cluster.until(witness, `${standby} as a copy`, (status) => isReplicating(status, standby));
  const records = await recordsOn(lab, primary);
  return {
    longestMs: gapAfter(visits.all, startMs),
    loss: lossAt(visits.all, answer),
    gaps: gapsIn(records),
    records: records.length,
  };
}

function draw(
  { screen, visits }: Scene,
  span: { readonly fromMs: number; readonly toMs: number },
  events: readonly Mark[],
): void {
  const inside = visits.all.filter(({ atMs }) => atMs >= span.fromMs && atMs < span.toMs);
  const marks = [...events, ...epochMarks(inside)].sort((one, other) => one.atMs - other.atMs);
  const ink: Ink = (server, text) =>
    screen.paint(server === null ? 'red' : server === primary ? 'cyan' : 'magenta', text);
  screen.line(
    `\n  What the client saw, 100 ms each (${screen.colours ? 'colour: who answered' : 'who answered'}; . nobody):`,
  );
  for (const line of timeline(inside, span, marks, ink, !screen.colours)) screen.line(`  ${line}`);
}

function conclude(
  { screen, visits, options }: Scene,
  takeover: Takeover,
  kept: KeptAside,
  failback: Failback,
): string[] {
  const { shown, afterMs, loss } = takeover;
  const problems = [
    ...problemsOf(visits.all),
    ...lossProblems(loss, { ms: shown.ms, afterMs }, kept.told),
    ...failback.gaps.slice(0, 3),
  ];
  if (failback.loss.records > 0) problems.push(`the failback lost ${failback.loss.records} records`);
  const seen = epochsSeen(visits.all);
  const order = seen.map((each) => each.split(' ')[0]).join(' ');
  if (order !== `${primary} ${standby} ${primary}`)
    problems.push(
      `the client was to see ${primary}, ${standby} and ${primary} again; it saw ${seen.join(', ')}`,
    );
  if (takeover.silenceMs < options.outageMs)
    problems.push(
      `${primary} was declared down after ${takeover.silenceMs.toFixed(0)} ms, before the outage had passed`,
    );
  screen.title('What was measured');
  const rows: readonly (readonly [string, string])[] = [
    [
      `last heartbeat of ${primary} to its declaration`,
      `${(takeover.silenceMs / 1000).toFixed(2)} s (outage ${options.outage})`,
    ],
    ['declaration to the first answer, service start included', `${takeover.answerMs.toFixed(0)} ms`],
    ["the client's wait when the primary lost its power", `${(takeover.gapMs / 1000).toFixed(2)} s`],
    ["the client's longest wait during the failback", `${failback.longestMs.toFixed(0)} ms`],
    ['servers and epochs that the client saw', seen.join(', ')],
    ['two servers answered in turn', problemsOf(visits.all).length === 0 ? 'never' : 'YES'],
    ['answers', `${visits.all.length}`],
    [
      `status, ${afterMs.toFixed(0)} ms before the end: would be lost`,
      `at most ${shown.ms} ms; ${shown.bytes} B of what was known ${shown.ageMs} ms before`,
    ],
    [
      'lost in the takeover, of what the client was told',
      `${loss.ms} ms, ${kept.toldBytes} B in ${loss.records} records`,
    ],
    [`kept aside on ${primary}, of what it never replicated`, `${kept.records} records, ${kept.bytes} B`],
    ['of those lost, found in what was kept aside', `${kept.told} of ${loss.records}`],
    ['lost in the failback', `${failback.loss.records} records`],
    [
      'records at the end',
      `${failback.records}, ${failback.gaps.length === 0 ? 'none missing between' : 'SOME MISSING'}`,
    ],
  ];
  for (const [what, value] of rows) screen.line(`  ${what.padEnd(56)} ${screen.paint('bold', value)}`);
  screen.line();
  screen.line(
    '  All of it ran on this machine and is gone now. A lab to try by hand: npx holdfast lab --help',
  );
  screen.line();
  return problems;
}
