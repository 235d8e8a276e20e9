/** Waiting for a condition, never without a limit. */
import { setTimeout as sleep } from 'node:timers/promises';

/** Milliseconds of CLOCK_MONOTONIC, which all hosts of a lab share (clock_gettime(2)). */
export const monotonicMs = (): number => Number(process.hrtime.bigint()) / 1e6;

/** Each look asks a cluster that has the same cores: what takes long is looked at less often. */
const pauseMsMin = 25;
const pauseMsMax = 100;

/** Resolves to the first value that is neither undefined nor false. Rejects at the limit, with what `seen` tells of the world. */
export async function until<Value>(
  what: string,
  limitMs: number,
  look: () => Promise<Value | undefined | false> | Value | undefined | false,
  seen: () => string = () => '',
): Promise<Value> {
  const endMs = performance.now() + limitMs;
  for (let pauseMs = pauseMsMin; ; pauseMs = Math.min(pauseMsMax, pauseMs * 1.25)) {
    const found = await look();
    if (found !== undefined && found !== false) return found;
    if (performance.now() > endMs) throw new Error(`not within ${limitMs} ms: ${what}\n${seen()}`);
    await sleep(pauseMs);
  }
}
