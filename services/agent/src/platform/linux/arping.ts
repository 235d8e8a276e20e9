/**
 * ARP for IPv4, with iputils' arping (20221126). What was measured of it:
 * - it counts in whole seconds, so it is interrupted when our time is up; it then reports what it has sent and seen;
 * - `-D` sends a probe from 0.0.0.0 (RFC 5227), ends at the first answer, and exits with 1 when there was one;
 * - the first packet is on the wire 2.5 ms after the start;
 * - it prints everything at its end, and then takes 10 to 20 ms to be gone (the kernel closes its raw socket slowly), which
 *   nobody need wait for.
 */
import type { Sighting } from '../platform.ts';
import { explainResult, runProgram } from './commands.ts';

/** What it may take to start the program, beside the time asked for. */
const START_MS = 3;
const OVER_MS = 1000;

/** A probe from no address at all; the answer's link-layer address. */
export async function probe(
  arping: string,
  address: string,
  device: string,
  waitMs: number,
): Promise<Sighting> {
  const argv = [arping, '-D', '-c', '1', '-w', String(Math.ceil(waitMs / 1000) + 1), '-I', device, address];
  const result = await runProgram(argv, {
    interruptAfterMs: waitMs + START_MS,
    timeoutMs: waitMs + OVER_MS,
    enough: (output) => answerer(output) !== undefined || hasReported(output),
  });
  const linkAddress = answerer(result.output);
  if (linkAddress !== undefined) return { kind: 'somebody', linkAddress };
  if (result.kind === 'exited' && hasSent(result.output) && hasReported(result.output))
    return { kind: 'nobody' };
  return { kind: 'unknown', says: explainResult(argv, result) };
}

function answerer(output: string): string | undefined {
  return /reply from \S+ \[([0-9A-Fa-f:]+)\]/.exec(output)?.[1]?.toLowerCase();
}

function hasSent(output: string): boolean {
  return /^Sent [1-9]/m.test(output);
}

/** It prints this line last. */
function hasReported(output: string): boolean {
  return /^Received \d+ /m.test(output);
}
