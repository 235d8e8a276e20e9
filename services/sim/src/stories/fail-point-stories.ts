/**
 * Fault 22: each process is killed at each step of each move, on each side. Whatever it was, the move ends or is rolled back,
 * and somebody serves. Written out as a table, because nobody can tell beforehand which corner is the dangerous one.
 */

import type { Story } from './story.ts';

type Side = 'a' | 'b';

interface Move {
  readonly name: 'failover' | 'switchover' | 'failback';
  /** Before the move, from 60 s on. */
  readonly before: string;
  readonly begins: string;
  /** Null: it is dead. */
  readonly giver: Side | null;
  readonly taker: Side;
}

const moves: readonly Move[] = [
  { name: 'failover', before: '', begins: '80s power off a', giver: null, taker: 'b' },
  { name: 'switchover', before: '', begins: '80s olga asks for a switchover', giver: 'a', taker: 'b' },
  {
    name: 'failback',
    before: '60s olga asks for a switchover\n by 70s: b serves and no operation',
    begins: '80s olga asks for a failback',
    giver: 'b',
    taker: 'a',
  },
];

const given = ['stop app', 'drain mirrors', 'drop addresses', 'released'];
const taken = [
  'probe addresses',
  'open mirrors',
  'add addresses',
  'announce addresses',
  'start app',
  'active',
];
const victims = ['agent', 'quorum', 'guard', 'etcd', 'everything'] as const;

function story(move: Move, side: Side, step: string, victim: (typeof victims)[number]): Story {
  const kill = victim === 'everything' ? `kill everything of ${side}` : `kill ${victim} of ${side}`;
  return {
    name: `22 ${victim} of ${side} is killed at "${step}" of a ${move.name}`,
    text: `by 30s: a serves
      ${move.before}
      when ${side} says "g1: ${step}": ${kill}
      ${move.begins}
      150s   ${victim === 'everything' ? `start ${side}` : 'time has passed'}
      by 220s: somebody serves and no operation
      until 240s: somebody serves and no operation`,
  };
}

export const failPointStories: readonly Story[] = moves.flatMap((move) => [
  ...(move.giver === null ? [] : pointsOf(move, move.giver, given)),
  ...pointsOf(move, move.taker, taken),
]);

function pointsOf(move: Move, side: Side, steps: readonly string[]): readonly Story[] {
  return steps.flatMap((step) => victims.map((victim) => story(move, side, step, victim)));
}
