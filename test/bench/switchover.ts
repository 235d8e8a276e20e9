/** A planned switchover without resources, with a probe every 2 ms: the longest time without an answer. */
import { longestGapMs, tookTurns } from './answers.ts';
import { group, type Pair } from './pair.ts';
import { otherServer } from './stage.ts';

export interface Switchover {
  readonly gapMs: number;
  readonly turns: boolean;
  /** The probe's own longest pause: a part of the gap may be the machine's. */
  readonly stallMs: number;
}

const probeMs = 2;
const limitMs = 30_000;

export async function switchover(pair: Pair): Promise<Switchover> {
  const { client } = pair.stage;
  const owner = await pair.settled();
  const target = otherServer(owner);
  await client.begin(probeMs);
  await client.untilAnsweredBy(owner, limitMs);
  await pair.cluster.must('w', 'switchover', group, '--to', target, '-o', 'json');
  const { answers, stallMs } = await client.untilAnsweredBy(target, limitMs);
  return { gapMs: longestGapMs(answers), turns: tookTurns(answers), stallMs };
}
