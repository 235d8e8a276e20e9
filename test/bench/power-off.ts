/** The owner loses its power: what the cluster decides, and what the client sees. */
import { handovers, tookTurns } from './answers.ts';
import { monotonicMs } from './lines.ts';
import { declaration } from './history.ts';
import { bootAgain, group, type Pair } from './pair.ts';
import { otherServer } from './stage.ts';

export interface PowerOff {
  /** From the last heartbeat that anybody heard to the declaration. */
  readonly silenceMs: number;
  /** From the declaration to the client's first answer from the standby. */
  readonly answerMs: number;
  /** Last answer from the old to first from the new. */
  readonly gapMs: number;
  /** True when the servers answered in turn: never acceptable. */
  readonly turns: boolean;
  readonly stallMs: number;
}

const graceMs = 30_000;

export async function powerOff(pair: Pair): Promise<PowerOff> {
  const { stage, outageMs } = pair;
  const { client, lab } = stage;
  const owner = await pair.settled();
  const standby = otherServer(owner);
  await client.begin(5);
  await client.untilAnsweredBy(owner, graceMs);
  const offMs = monotonicMs();
  await lab.host(owner).powerOff();
  const { answers, stallMs } = await client.untilAnsweredBy(standby, outageMs + graceMs);
  const handover = handovers(answers).find(({ to }) => to === standby);
  if (handover === undefined) throw new Error(`the client never saw ${owner} answer`);
  const declared = await declaration(pair.cluster, standby, { group, server: owner, afterMs: offMs });
  const turns = tookTurns((await client.sight()).answers);
  await bootAgain(pair, owner);
  return {
    silenceMs: declared.silenceMs,
    answerMs: handover.firstMs - declared.atMs,
    gapMs: handover.gapMs,
    turns,
    stallMs,
  };
}
