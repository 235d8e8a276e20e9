/** The owner's mirror process is killed under a client that writes all the time: how long it waits, and that nothing of it fails. */
import { spawn, type ChildProcess } from 'node:child_process';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import { resolve } from 'node:path';
import type { Figure } from '../figure.ts';
import { figureOf } from '../mirror/blank.ts';
import { sourceName, type Ground } from '../mirror/ground.ts';
import type { VolumePlan } from '../plan.ts';
import { tellError, type Say } from '../series.ts';
import { until } from '../until.ts';
import { stageVolume, type VolumeStage } from './stage.ts';

/** As scripts/bench runs in the root of the project. */
const program = resolve('test/lab/programs/volume-writer.js');
const blocks = 1_024;
const writesBetween = 100;
const answerMsMax = 60_000;
const mustMs = 1_000;
/** A process that dies sooner after its start is not started again at once: that would be measured. */
const livedMs = 31_000;

export async function volumeRestart(ground: Ground, plan: VolumePlan, say: Say): Promise<Figure> {
  const stage = await stageVolume(ground, { sizeMebibytes: plan.mebibytes });
  const writer = new Writer(stage);
  const values: number[] = [];
  const notes: string[] = [];
  try {
    for (let run = 0; run < plan.runs; run += 1) {
      if (run > 0) await sleep(livedMs);
      values.push(await longestWait(ground, writer));
      await stage.inStep();
      say(`  the mirror process is killed: the longest write took ${values.at(-1)?.toFixed(0) ?? ''} ms`);
    }
    notes.push(`${writer.count} writes were answered, none with an error`);
  } catch (error) {
    say(tellError(error));
    notes.push(tellError(error));
  } finally {
    writer.stop();
  }
  return figureOf({
    id: 'restart',
    name: 'the mirror process of the owner is killed (SIGKILL): the longest of the synchronous writes of a client that connects again',
    mustReach: 'under 1 s, and none fails',
    unit: 'ms',
    goal: { max: mustMs },
    values,
    lost: plan.runs - values.length,
    notes,
  });
}

/** From the first time that it was sent to its answer, in milliseconds. */
async function longestWait(ground: Ground, writer: Writer): Promise<number> {
  await writer.wrote(writesBetween);
  const from = writer.count;
  process.kill(ground.pid(sourceName, 'mirror'), 'SIGKILL');
  await writer.wrote(writesBetween);
  return writer.longestSince(from);
}

class Writer {
  readonly #child: ChildProcess;
  readonly #tookMs: number[] = [];
  #error: number | null = null;

  constructor({ socket, name }: VolumeStage) {
    const child = spawn(process.execPath, [program, socket, name, String(blocks)], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    createInterface({ input: child.stdout }).on('line', (line) => {
      const told = JSON.parse(line) as { readonly tookMs: number } | { readonly error: number };
      if ('error' in told) this.#error = told.error;
      else this.#tookMs.push(told.tookMs);
    });
    this.#child = child;
  }

  get count(): number {
    return this.#tookMs.length;
  }

  longestSince(from: number): number {
    return this.#tookMs.slice(from).reduce((longest, ms) => Math.max(longest, ms), 0);
  }

  /** So many more. Throws when one fails. */
  async wrote(count: number): Promise<void> {
    const wanted = this.count + count;
    await until('enough is written', () => this.#error !== null || this.count >= wanted, {
      limitMs: answerMsMax,
    });
    if (this.#error !== null) throw new Error(`a write came to error ${this.#error}`);
  }

  stop(): void {
    this.#child.kill('SIGKILL');
  }
}
