/** The owner loses its power: what the cluster decides, and what the client sees. */
import { setTimeout as sleep } from 'node:timers/promises';
import { handovers, tookTurns } from './answers.ts';
import { monotonicMs } from './lines.ts';
import { declaredMs, lastHeardMs } from './history.ts';
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
const lookEveryMs = 500;

export async function powerOff(pair: Pair): Promise<PowerOff> {
  const { stage, outageMs } = pair;
  const { client, lab } = stage;
  const owner = await pair.settled();
  const standby = otherServer(owner);
  await client.begin(5);
  await client.untilAnsweredBy(owner, graceMs);
  const offMs = monotonicMs();
  await lab.host(owner).powerOff();
  let heardMs = Number.POSITIVE_INFINITY;
  do {
    heardMs = Math.min(heardMs, await lastHeardMs(pair.cluster, owner, [standby, 'w']));
    await sleep(lookEveryMs);
  } while (monotonicMs() < offMs + outageMs / 3); // later it would disturb what is measured
  const { answers, stallMs } = await client.untilAnsweredBy(standby, outageMs + graceMs);
  const handover = handovers(answers).find(({ to }) => to === standby);
  if (handover === undefined) throw new Error(`the client never saw ${owner} answer`);
  const declared = await declaredMs(pair.cluster, standby, group, offMs);
  const turns = tookTurns((await client.sight()).answers);
  await bootAgain(pair, owner);
  return {
    silenceMs: declared - heardMs,
    answerMs: handover.firstMs - declared,
    gapMs: handover.gapMs,
    turns,
    stallMs,
  };
}
