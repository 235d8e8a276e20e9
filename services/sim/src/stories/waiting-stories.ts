/** Servers that are heard, and do not take up what they have or are given: nobody waits for them for ever. */

import type { Story } from './story.ts';

const begin = 'by 30s: a serves';

export const waitingStories: readonly Story[] = [
  {
    name: 'an owner that booted is heard, and can not renew: it is taken over from after the outage',
    text: `${begin}
      60s    power off a
      61s    connections of a are lost
      63s    power on a
      until 91s: a owns
      by 105s: b serves
      until 150s: b serves and a has nothing`,
  },
  {
    name: 'a server that can not clear what is left of an earlier life is given nothing',
    third: true,
    group: { servers: ['a', 'b', 'c'], mirrors: {} },
    text: `${begin}
      50s    what is left on b can not be cleared
      50s    kill agent of b
      60s    power off a
      by 98s: c serves
      until 150s: c serves
      150s   what is left on b can be cleared
      151s   power off c
      by 190s: b serves`,
  },
  {
    name: 'a server that was given a group as it was restarted, and can not clear what is left, gives it back',
    third: true,
    group: { servers: ['a', 'b', 'c'], mirrors: {} },
    text: `${begin}
      50s    what is left on b can not be cleared
      60s    power off a
      94.5s  kill agent of b
      by 140s: c serves
      until 170s: c serves`,
  },
  {
    name: 'a former owner dies as it hands over, and the guard of its successor ends the epoch that waits for it',
    group: { resources: [], mirrors: {} },
    text: `by 30s: a is active
      when a says "g1: drop addresses": power off a
      60s    olga asks for a switchover
      61s    stop all etcd
      78s    start all etcd
      by 100s: b is active
      until 150s: b is active`,
  },
];
