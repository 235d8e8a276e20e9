/** What the demo promised, judged by what the client saw. */
import type { ShownLag } from './data.ts';
import type { Loss } from './records.ts';
import type { Visit } from './visits.ts';

/** Status tells what the last heartbeat or renewal told. */
const statusAgeMsMax = 1_000;
/** What changed after the mirror looked at everything is not in the status before it looks again. */
const lookMsMax = 2_000;

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
 * A takeover may lose what status said that it would, and everything lost is kept aside. `keptTold`: how many of the lost
 * records were found there. `looks`: changes are found by looking, not told by the kernel.
 */
export function lossProblems(loss: Loss, shown: ShownLag, keptTold: number, looks: boolean): string[] {
  const problems: string[] = [];
  if (loss.ms > shown.ms + statusAgeMsMax + (looks ? lookMsMax : 0))
    problems.push(`the takeover lost ${loss.ms} ms, and status had shown ${shown.ms} ms`);
  if (keptTold !== loss.records)
    problems.push(`${loss.records} records were lost, and ${keptTold} of them are kept aside`);
  return problems;
}
