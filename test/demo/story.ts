/** The story that the demo tells, scene by scene, each with what the cluster says and what the client saw. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { bringUp, type LabCluster } from '@holdfast/cli';
import { createLab, type Lab } from '@holdfast/lab';
import { declaration, type Status } from '../bench/history.ts';
import { monotonicMs } from '../bench/lines.ts';
import { until } from '../bench/until.ts';
import { showHoldfast } from './cluster-view.ts';
import type { Screen } from './screen.ts';
import { epochMarks, timeline, type Ink, type Mark } from './timeline.ts';
import { epochsSeen, gapAfter, problemsOf } from './verdict.ts';
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
}

/** Resolves to what did not happen as promised. */
export async function tell(screen: Screen, options: Options): Promise<string[]> {
  const dir = mkdtempSync(join(tmpdir(), 'holdfast-demo-'));
  const lab = await createLab({ dir, hosts: [primary, standby, witness, 'client'], tied: true });
  try {
    screen.title('1. Two servers, a witness and a client, on one machine');
    const say = (line: string): void => screen.line(`  ${screen.paint('dim', line)}`);
    const cluster = await bringUp(lab, { outage: options.outage, say });
    const visits = startVisits(lab.host('client'), address, port, askMs);
    const scene: Scene = { screen, lab, cluster, visits, options };
    await until('the client is answered', () => visits.all.length > 0, { limitMs: graceMs });
    screen.line(
      `  The client asks http://${address}:${port}/ every ${askMs} ms; each answer names server and epoch.`,
    );
    await showHoldfast(screen, lab, primary, ['status']);
    const takeover = await loseThePrimary(scene);
    await bringItBack(scene);
    const failbackMs = await failBack(scene);
    return conclude(scene, takeover, failbackMs);
  } finally {
    await lab.down();
    rmSync(dir, { recursive: true, force: true });
  }
}

async function loseThePrimary(scene: Scene): Promise<Takeover> {
  const { screen, lab, cluster, visits } = scene;
  screen.title(`2. The power of ${primary} is cut`);
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
  await showHoldfast(screen, lab, standby, ['status']);
  return {
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

async function bringItBack({ screen, lab, cluster }: Scene): Promise<void> {
  screen.title(`3. ${primary} is powered on again, and comes back as the standby`);
  await lab.host(primary).powerOn();
  cluster.run(primary);
  const isBack = (status: Status): boolean =>
    status.servers[primary]?.state === 'up' &&
    status.groups[group]?.owner === standby &&
    status.groups[group].phase === 'active' &&
    Object.values(status.quorum.members).every(({ healthy }) => healthy);
  await cluster.until(standby, `${primary} as the standby`, isBack);
  screen.line(`  ${primary} is up; ${standby} goes on serving.`);
}

/** Returns the client's longest wait, milliseconds. */
async function failBack(scene: Scene): Promise<number> {
  const { screen, lab, visits } = scene;
  screen.title(`4. Planned failback to ${primary}`);
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
  return gapAfter(visits.all, startMs);
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

function conclude({ screen, visits, options }: Scene, takeover: Takeover, failbackMs: number): string[] {
  const problems = problemsOf(visits.all);
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
    ["the client's longest wait during the failback", `${failbackMs.toFixed(0)} ms`],
    ['servers and epochs that the client saw', seen.join(', ')],
    ['two servers answered in turn', problemsOf(visits.all).length === 0 ? 'never' : 'YES'],
    ['answers', `${visits.all.length}`],
  ];
  for (const [what, value] of rows) screen.line(`  ${what.padEnd(56)} ${screen.paint('bold', value)}`);
  screen.line();
  return problems;
}
