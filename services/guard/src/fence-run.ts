/**
 * Carries out one fence: all drops at once, then the stops one after the other in the given order, everything ended
 * (by killing, if need be) before the deadline.
 *
 * Invariants: a hanging drop does not keep the stops from running; a hanging stop does not keep the later ones from
 * their turn. What failed is tried again while its own time lasts.
 */

import type { CommandEnd } from './commands.ts';
import type { Argv, FenceOrder } from './protocol.ts';

/** Killing and telling take a moment: everything is ended this much before the deadline. */
export const marginMs = 50;
/** Drops take milliseconds; one that hangs is given up after this long. */
const dropMsMax = 2_000;
/** What each later stop is left with, however long the earlier ones take. */
const turnMsMin = 500;
const againMs = 100;

export interface FencePorts {
  bootMs(): number;
  run(argv: Argv, timeoutMs: number): Promise<CommandEnd>;
  pause(ms: number): Promise<void>;
}

/** Returns one sentence for each command that failed; none when all was done. Never rejects. */
export async function runFence(order: FenceOrder, endsByMs: number, ports: FencePorts): Promise<string[]> {
  const endMs = endsByMs - marginMs;
  const failures = await runDrops(order, endMs, ports);
  for (const [index, stop] of order.stops.entries()) {
    const later = order.stops.length - index - 1;
    const untilMs = Math.min(ports.bootMs() + stop.timeoutMs, turnEnd(ports.bootMs(), endMs, later));
    failures.push(...(await insist('stop', stop.argv, untilMs, ports)));
  }
  return failures;
}

async function runDrops(order: FenceOrder, endMs: number, ports: FencePorts): Promise<string[]> {
  const nowMs = ports.bootMs();
  const shareMs = order.stops.length === 0 ? endMs - nowMs : (endMs - nowMs) / 2;
  const untilMs = nowMs + Math.min(dropMsMax, shareMs);
  const failures = await Promise.all(order.drops.map((argv) => insist('drop', argv, untilMs, ports)));
  return failures.flat();
}

/** The latest end of a stop that still leaves each of the `later` ones a turn. */
export function turnEnd(nowMs: number, endMs: number, later: number): number {
  const leftMs = Math.max(0, endMs - nowMs);
  return endMs - later * Math.min(turnMsMin, leftMs / (later + 1));
}

/** Runs a command until it succeeds or its time is over. It is started at least once, with a moment to run. */
async function insist(
  what: 'drop' | 'stop',
  argv: Argv,
  untilMs: number,
  ports: FencePorts,
): Promise<string[]> {
  for (;;) {
    const end = await ports.run(argv, Math.max(10, untilMs - ports.bootMs()));
    if (end.kind === 'done') return [];
    if (end.kind === 'timed-out' || ports.bootMs() + againMs >= untilMs) return [`${what}: ${end.says}`];
    await ports.pause(againMs);
  }
}
