/** How long a file that was written and closed at the source takes until it stands at the target under its name. */
import { closeSync, lstatSync, mkdirSync, openSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { monotonicMs } from '../lines.ts';
import { blockBytes, contents } from './tree.ts';

export interface Lags {
  /** Milliseconds, in the order of writing. */
  readonly values: readonly number[];
  readonly missing: number;
  /** The longest time between two looks at the target: no value is more exact than that. */
  readonly lookMs: number;
}

const lateMsMax = 60_000;
/** Looked for at a time, the eldest first: they arrive nearly in order, and whoever looks for all of many takes the time of the copy. */
const lookedForMax = 16;

/** Writes `perSecond` new files of 4 KiB for so many seconds and watches for each of them at the target. */
export async function lagsOf(from: string, to: string, perSecond: number, seconds: number): Promise<Lags> {
  mkdirSync(from, { recursive: true });
  const closedMs = new Map<string, number>();
  const values: number[] = [];
  const count = perSecond * seconds;
  const startMs = monotonicMs();
  let written = 0;
  let lookedMs = startMs;
  let lookMs = 0;
  for (;;) {
    const nowMs = monotonicMs();
    lookMs = Math.max(lookMs, nowMs - lookedMs);
    lookedMs = nowMs;
    if (written < count && nowMs >= startMs + (written * 1000) / perSecond) {
      const name = `lag-${String(written).padStart(6, '0')}`;
      writeOne(join(from, name), written / count);
      closedMs.set(name, monotonicMs());
      written += 1;
    }
    let looks = 0;
    for (const [name, sinceMs] of closedMs) {
      looks += 1;
      if (looks > lookedForMax) break;
      if (lstatSync(join(to, name), { throwIfNoEntry: false }) === undefined) continue;
      values.push(monotonicMs() - sinceMs);
      closedMs.delete(name);
    }
    if (written === count && closedMs.size === 0) break;
    if (nowMs > startMs + seconds * 1000 + lateMsMax) break;
    await sleep(1);
  }
  return { values, missing: closedMs.size, lookMs };
}

function writeOne(file: string, where: number): void {
  const fd = openSync(file, 'w');
  try {
    writeSync(fd, contents(blockBytes, where));
  } finally {
    closeSync(fd);
  }
}

/** The value that so many of a hundred do not exceed. */
export function percentile(values: readonly number[], percent: number): number {
  const sorted = [...values].sort((one, other) => one - other);
  return sorted[Math.min(sorted.length - 1, Math.floor((sorted.length * percent) / 100))] ?? Number.NaN;
}
