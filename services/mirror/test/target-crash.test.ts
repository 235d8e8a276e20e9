import { spawn } from 'node:child_process';
import { chmodSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { program } from './compiled.ts';
import { memoryFolder } from './memory-folder.ts';
import { newFolder, openStage } from './target-fixture.ts';
import { copyStory, snapshot, story } from './target-story.ts';

interface Run {
  readonly acknowledged: number;
  readonly killedAt: string;
  readonly points: number;
  /** Of a whole run: the names of the points, in order. */
  readonly names: readonly string[];
}

let programs: string;
let replay: string;
const seed = Number(process.env['HOLDFAST_SEED'] ?? Date.now() % 1_000);

/** After each batch; the first is of an empty tree. */
const expected: string[] = [];

beforeAll(async () => {
  programs = newFolder();
  replay = program(programs, 'target-child');
  const stage = await openStage();
  expected.push(snapshot(stage.root));
  const { source } = await stage.dial();
  for (const [i, { operations, contents }] of story().entries()) {
    await source.batch(i + 1, operations, contents === undefined ? {} : { contents });
    await stage.target.foreignChanges();
    expected.push(snapshot(stage.root));
  }
  await stage.close();
}, 30_000);

afterAll(() => {
  rmSync(programs, { recursive: true, force: true });
});

/** A crash loses nothing of what the kernel has, so memory is as good as a disk here, and does not wait. */
function inMemory(): string {
  return newFolder(memoryFolder());
}

/** A point by its name and by the how many-th of this name it is: `apply:put 3`. */
interface Point {
  readonly number: number;
  readonly label: string;
}

/** Each point by its name once, and more of them by chance; all with HOLDFAST_ALL_POINTS. */
function choice(names: readonly string[]): Point[] {
  const counts = new Map<string, number>();
  const points = names.map((name, i) => {
    const count = (counts.get(name) ?? 0) + 1;
    counts.set(name, count);
    return { number: i + 1, label: `${name} ${String(count)}`, isFirst: count === 1 };
  });
  if (process.env['HOLDFAST_ALL_POINTS'] !== undefined) return points;
  return points.filter(({ number, isFirst }) => isFirst || (number * 2_654_435_761 + seed) % 16 === 0);
}

function run(dir: string, at: number | string, which: 'story' | 'copy' = 'story'): Promise<Run> {
  const child = spawn(process.execPath, [replay, dir, String(at), which], {
    stdio: ['ignore', 'pipe', 'inherit'],
    timeout: 30_000,
    killSignal: 'SIGKILL',
  });
  let text = '';
  child.stdout.on('data', (some: Buffer) => {
    text += some.toString();
  });
  return new Promise((resolve, reject) => {
    child.on('error', reject);
    child.on('close', (code) => {
      const killedAt = /killed at (.*)/.exec(text)?.[1] ?? '';
      if (code !== 0 && killedAt === '') reject(new Error(`the child ended with ${String(code)}: ${text}`));
      const acknowledged = Math.max(0, ...[...text.matchAll(/ack (\d+)/g)].map((match) => Number(match[1])));
      resolve({
        acknowledged,
        killedAt,
        points: Number(/points (\d+)/.exec(text)?.[1] ?? 0),
        names: (/names (.*)/.exec(text)?.[1] ?? '').split(' '),
      });
    });
  });
}

/** Opens what a crash left, and says what is wrong with it. */
async function judge(dir: string, { acknowledged, killedAt }: Run): Promise<string[]> {
  const wrong: string[] = [];
  const stage = await openStage(dir);
  const sequence = stage.target.state().position?.sequence ?? 0;
  if (sequence < acknowledged)
    wrong.push(`${killedAt}: ${String(acknowledged)} was acknowledged, ${String(sequence)} is there`);
  if (snapshot(stage.root) !== expected[sequence]) {
    wrong.push(
      `${killedAt}: not the state after batch ${String(sequence)}:\n${snapshot(stage.root)}\nbut\n${expected[sequence] ?? ''}`,
    );
  }
  const foreign = await stage.target.foreignChanges();
  const named = foreign.named.map(({ path, kind }) => `${path.toString()} ${kind}`);
  // Before the first batch nothing was ever recorded, not even the root.
  if (named.length > 0) wrong.push(`${killedAt}: the catalog differs from the disk: ${named.join(', ')}`);
  if (stage.catalog.checksum !== stage.catalog.recomputeChecksum())
    wrong.push(`${killedAt}: the checksum is wrong`);
  const kept = stage.target.divergence.list().map(({ path }) => path.toString());
  if (kept.length > 0) wrong.push(`${killedAt}: its own work was kept as that of others: ${kept.join(', ')}`);
  await stage.close();
  return wrong;
}

test('SIGKILL at every point leaves the state before or after a batch, and what was acknowledged', async () => {
  const whole = inMemory();
  const { points, names: all } = await run(whole, 0);
  rmSync(whole, { recursive: true, force: true });
  expect(points).toBeGreaterThan(40);
  const wrong: string[] = [];
  const names = new Set<string>();
  const wanted = choice(all);
  let next = 0;
  const worker = async (): Promise<void> => {
    for (let i = next++; i < wanted.length; i = next++) {
      const { number: at, label } = wanted[i] ?? { number: 0, label: '' };
      const dir = inMemory();
      // Where others may write beside the root the staging folder is inside; each start finds it at the other place.
      const stageInside = (inside: boolean): void => {
        chmodSync(dir, inside ? 0o777 : 0o700);
      };
      stageInside(at % 2 === 1);
      const done = await run(dir, label);
      names.add(done.killedAt);
      stageInside(at % 2 === 0);
      // Every third is killed once more, while it starts.
      if (at % 3 === 0) await run(dir, 1 + (at % 7));
      stageInside(at % 4 < 2);
      wrong.push(...(await judge(dir, done)));
    }
  };
  await Promise.all([worker(), worker()]);
  expect({ seed, wrong }).toEqual({ seed, wrong: [] });
  expect([...names]).toEqual(
    expect.arrayContaining([
      'commit:staged',
      'commit:written',
      'commit:durable',
      'commit:acknowledged',
      'apply:spared',
      'apply:move',
      'apply:remove',
      'apply:place',
      'apply:put',
      'apply:written',
      'apply:hard-link',
      'apply:block',
      'apply:patch',
      'apply:set',
      'apply:recorded',
      'apply:marked',
      'checkpoint:synced',
      'checkpoint:freed',
    ]),
  );
}, 120_000);

/** Opens what a crash in the middle of a first copy left, and goes on with it from where it stands. */
async function goOn(dir: string, { acknowledged, killedAt }: Run, complete: string): Promise<string[]> {
  const wrong: string[] = [];
  const stage = await openStage(dir);
  const { position, consistent } = stage.target.state();
  const from = position?.sequence ?? 0;
  const batches = copyStory();
  if (from < acknowledged)
    wrong.push(`${killedAt}: ${String(acknowledged)} was acknowledged, ${String(from)} is there`);
  if (consistent !== (from === batches.length)) wrong.push(`${killedAt}: consistent at ${String(from)}`);
  const { source, hello } = await stage.dial(7n, from);
  // Else a first copy would begin anew, as a comparison with what it left itself.
  if (hello.foreign && snapshot(stage.root) !== '')
    wrong.push(`${killedAt}: its own files are foreign to it`);
  for (const [i, { operations, contents = [] }] of batches.entries()) {
    if (i + 1 <= from) continue;
    await source.batch(i + 1, operations, { contents, consistent: i + 1 === batches.length });
  }
  const foreign = await stage.target.foreignChanges();
  const named = foreign.named.map(({ path, kind }) => `${path.toString()} ${kind}`);
  if (named.length > 0) wrong.push(`${killedAt}: the catalog differs from the disk: ${named.join(', ')}`);
  if (snapshot(stage.root) !== complete) wrong.push(`${killedAt}: not the copy:\n${snapshot(stage.root)}`);
  if (stage.catalog.checksum !== stage.catalog.recomputeChecksum())
    wrong.push(`${killedAt}: the checksum is wrong`);
  const kept = stage.target.divergence.list().map(({ path }) => path.toString());
  if (kept.length > 0) wrong.push(`${killedAt}: its own work was kept as that of others: ${kept.join(', ')}`);
  await stage.close();
  return wrong;
}

test('SIGKILL at every point of a first copy leaves what was acknowledged, and the copy goes on from there', async () => {
  const whole = inMemory();
  const { names: all } = await run(whole, 0, 'copy');
  const complete = snapshot(join(whole, 'root'));
  rmSync(whole, { recursive: true, force: true });
  const wrong: string[] = [];
  const names = new Set<string>();
  const wanted = choice(all);
  let next = 0;
  const worker = async (): Promise<void> => {
    for (let i = next++; i < wanted.length; i = next++) {
      const dir = inMemory();
      const done = await run(dir, wanted[i]?.label ?? '', 'copy');
      names.add(done.killedAt);
      wrong.push(...(await goOn(dir, done, complete)));
    }
  };
  await Promise.all([worker(), worker()]);
  expect({ seed, wrong }).toEqual({ seed, wrong: [] });
  expect([...names]).toEqual(
    expect.arrayContaining([
      'apply:put',
      'apply:patch',
      'copy:synced',
      'copy:recorded',
      'commit:durable',
      'apply:move',
    ]),
  );
}, 120_000);
