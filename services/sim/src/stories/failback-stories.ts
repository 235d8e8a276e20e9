/** Automatic failback: only to a server that was well for a whole outage, and never back and forth. */

import type { Story } from './story.ts';

const begin = 'by 30s: a serves';
const group = { failback: 'automatic' } as const;

export const failbackStories: readonly Story[] = [
  {
    name: 'failback waits until A was well for a whole outage after its boot',
    group,
    text: `${begin}
      60s    power off a
      by 97s: b serves
      300s   power on a
      until 335s: b serves
      by 350s: a serves and no operation`,
  },
  {
    name: 'failback does not look at a wall clock, whichever way it jumps',
    group,
    text: `${begin}
      60s    power off a
      by 97s: b serves
      300s   power on a
      305s   the wall clock of a jumps -3600s
      305s   the wall clock of b jumps -3600s
      305s   the wall clock of w jumps -3600s
      320s   the wall clock of w jumps 7200s
      until 335s: b serves
      by 350s: a serves and no operation`,
  },
  {
    name: '15 the service network of A is dead: failback waits until it is well',
    group,
    text: `${begin}
      60s    path 0 of a dies
      by 75s: b serves
      until 300s: b serves
      300s   path 0 of a heals
      until 335s: b serves
      by 345s: a serves and no operation`,
  },
  {
    name: '15 the cable of A is bad: after one failback in vain, a person decides',
    group,
    text: `${begin}
      60s    path 0 of a dies
      by 75s: b serves
      100s   path 0 of a heals
      by 145s: a serves and no operation
      200s   path 0 of a dies
      by 215s: b serves and no operation
      240s   path 0 of a heals
      by 245s: the reason says waits for a person
      until 900s: b serves
      900s   olga asks for a failback
      by 905s: a serves and no operation`,
  },
  {
    name: '6 the service fails on A after every start: a person decides',
    group,
    text: `${begin}
      60s    app fails on a again and again
      by 80s: b serves
      until 900s: b serves
      by 901s: the reason says waits for a person`,
  },
  {
    name: '6 the service fails on both: so many moves in an hour, and no more',
    group: { failoversPerHour: 2 },
    text: `${begin}
      60s    app fails on a again and again
      60s    app fails on b again and again
      by 120s: a owns and the record says resource app failed
      by 140s: the reason says held after 2 moves
      until 600s: a owns`,
  },
  {
    name: 'a person moved the group by hand: it stays until a person wants it back',
    group,
    text: `${begin}
      60s    olga asks for a switchover
      by 70s: b serves and no operation
      by 80s: the reason says waits for a person (olga moved it to b at
      until 300s: b serves
      300s   olga asks for a failback
      by 310s: a serves and no operation`,
  },
  {
    name: 'a person moved the group by hand, and its new owner dies: that wish is over',
    group,
    text: `${begin}
      60s    olga asks for a failover to b
      by 70s: b serves and no operation
      until 200s: b serves
      200s   power off b
      by 240s: a serves
      300s   power on b
      400s   power off a
      by 440s: b serves
      500s   power on a
      by 560s: a serves and no operation`,
  },
  {
    name: 'a preferred server that failed is not failed back to again and again',
    group,
    text: `${begin}
      60s    power off a
      by 97s: b serves
      100s   commands on a fail
      100s   power on a
      by 160s: a has the address
      by 190s: b serves and no operation
      until 900s: b owns
      900s   power off b
      by 937s: a owns`,
  },
];
