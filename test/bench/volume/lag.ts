/** How long after its answer a write of an async volume stands in the target's image, while much else is written. */
import { spawn } from 'node:child_process';
import { closeSync, openSync, readSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import { resolve } from 'node:path';
import type { Figure } from '../figure.ts';
import { monotonicMs } from '../lines.ts';
import { figureOf } from '../mirror/blank.ts';
import { percentile } from '../mirror/lag.ts';
import type { Ground } from '../mirror/ground.ts';
import type { VolumePlan } from '../plan.ts';
import type { Say } from '../series.ts';
import { fio, random } from './fio.ts';
import { stageVolume, type VolumeStage } from './stage.ts';

/** As scripts/bench runs in the root of the project. */
const program = resolve('test/lab/programs/volume-writer.js');
const everyMs = 10;
/** The writer's own, at the beginning of the volume; fio writes behind them. */
const blocks = 1_024;
const blockBytes = 4_096;
const lateMs = 10_000;

export async function volumeLag(ground: Ground, plan: VolumePlan, say: Say): Promise<Figure> {
  const stage = await stageVolume(ground, { sizeMebibytes: plan.mebibytes });
  const values: number[] = [];
  const notes: string[] = [];
  for (let run = 0; run < plan.runs; run += 1) {
    const most = await load(stage, plan.seconds, []);
    await stage.inStep();
    const half = Math.max(1, Math.floor(most / 2));
    const lags = await during(stage, load(stage, plan.seconds + 1, [`--rate_iops=${half}`]));
    await stage.inStep();
    values.push(percentile(lags, 99));
    notes.push(
      `${half} other writes a second: median ${percentile(lags, 50).toFixed(1)} ms, n = ${lags.length}`,
    );
    say(`  lag ${values.at(-1)?.toFixed(1) ?? ''} ms; ${notes.at(-1) ?? ''}`);
  }
  return figureOf({
    id: 'lag',
    name: 'lag of an async volume at half its rate of random 4 KiB writes, 99th of a hundred',
    mustReach: 'under 50 ms',
    unit: 'ms',
    goal: { medianMax: 50 },
    values,
    notes: [...notes, "from the answer of a write to its bytes in the target's image"],
  });
}

/** Writes a second. */
async function load(stage: VolumeStage, seconds: number, more: readonly string[]): Promise<number> {
  const behind = blocks * blockBytes;
  const args = [...random.args, `--offset=${behind}`, ...more];
  return (await fio(stage.uri, { ...random, args }, stage.sizeBytes - behind, seconds)).perSecond;
}

/** The lags, in milliseconds, of writes that are made while the other work lasts. Throws when one never arrives. */
async function during(stage: VolumeStage, work: Promise<unknown>): Promise<readonly number[]> {
  const answeredMs = new Map<number, number>();
  const argv = [program, stage.socket, stage.name, String(blocks), String(everyMs)];
  const child = spawn(process.execPath, argv, { stdio: ['ignore', 'pipe', 'inherit'] });
  createInterface({ input: child.stdout }).on('line', (line) => {
    const told = JSON.parse(line) as { readonly number: number; readonly at: number };
    answeredMs.set(told.number, told.at);
  });
  const image = openSync(stage.copy, 'r');
  const values: number[] = [];
  const look = (): void => {
    for (const [number, atMs] of answeredMs) {
      if (numberAt(image, number % blocks) < number) continue;
      values.push(Math.max(0, monotonicMs() - atMs));
      answeredMs.delete(number);
    }
  };
  const state = { over: false };
  const end = work.finally(() => (state.over = true));
  try {
    while (!state.over) {
      look();
      await sleep(1);
    }
    await end;
    child.kill('SIGKILL');
    const endMs = monotonicMs() + lateMs;
    while (answeredMs.size > 0) {
      look();
      if (monotonicMs() > endMs) throw new Error(`${answeredMs.size} writes never reached the target`);
      await sleep(1);
    }
    if (values.length === 0) throw new Error('nothing was written');
    return values;
  } finally {
    child.kill('SIGKILL');
    closeSync(image);
    // Whatever it was: it was thrown above, or something came before it.
    await end.catch(() => undefined);
  }
}

function numberAt(image: number, block: number): number {
  const head = Buffer.alloc(8);
  return readSync(image, head, 0, 8, block * blockBytes) === 8 ? Number(head.readBigUInt64BE()) : -1;
}
