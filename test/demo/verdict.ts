/** What the demo promised, judged by what the client saw. */
import type { Loss } from './records.ts';
import type { Visit } from './visits.ts';

/** A host that is as busy as one with a whole cluster on it looks so late, and reports so late (docs/adr/0069). */
export const lateMsMax = 500;

/** Problems in words; empty when the client saw epochs that only rise, and one server in each. */
export function problemsOf(visits: readonly Visit[]): string[] {
  const problems = new Set<string>();
  const servers = new Map<string, string>();
  let highest: bigint | null = null;
  for (const { server, epoch } of visits) {
    if (!/^\d+$/.test(epoch)) {
      problems.add(`${server} answered without an epoch`);
      continue;
    }
    const number = BigInt(epoch);
    if (highest !== null && number < highest)
      problems.add(`epoch ${epoch} of ${server} was seen after epoch ${highest.toString()}`);
    highest = highest === null || number > highest ? number : highest;
    const first = servers.get(epoch) ?? server;
    servers.set(epoch, first);
    if (first !== server) problems.add(`${first} and ${server} both answered in epoch ${epoch}`);
  }
  return [...problems];
}

/** The servers and epochs that the client saw, in order: "a 1, b 2, a 3". */
export function epochsSeen(visits: readonly Visit[]): string[] {
  const seen = visits.map(({ server, epoch }) => `${server} ${epoch}`);
  return seen.filter((each, index) => each !== seen[index - 1]);
}

/** The longest time without an answer that begins after a moment, milliseconds. */
export function gapAfter(visits: readonly Visit[], afterMs: number): number {
  let longest = 0;
  for (const [index, { atMs }] of visits.entries()) {
    const next = visits[index + 1];
    if (next !== undefined && next.atMs > afterMs) longest = Math.max(longest, next.atMs - atMs);
  }
  return longest;
}

/**
 * A takeover may lose what status said that it would, `afterMs` before the power was off, and what was written in that time.
 * Everything lost is kept aside. `keptTold`: how many of the lost records were found there.
 */
export function lossProblems(
  loss: Loss,
  shown: { readonly ms: number; readonly afterMs: number },
  keptTold: number,
): string[] {
  const problems: string[] = [];
  if (loss.ms > shown.ms + shown.afterMs + lateMsMax)
    problems.push(
      `the takeover lost ${loss.ms} ms, and status had shown ${shown.ms} ms, ${shown.afterMs.toFixed(0)} ms before`,
    );
  if (keptTold !== loss.records)
    problems.push(`${loss.records} records were lost, and ${keptTold} of them are kept aside`);
  return problems;
}
