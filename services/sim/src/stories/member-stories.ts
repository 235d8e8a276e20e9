/** Servers that come to a group, and members that are gone for good. */

import type { Story } from './story.ts';

const begin = 'by 30s: a serves';

export const memberStories: readonly Story[] = [
  {
    name: 'a server is added while the owner and its standby are cut off together',
    third: true,
    group: { mirrors: {} },
    text: `${begin}
      60s    cut a-w
      60s    cut a-c
      60s    cut b-w
      60s    cut b-c
      until 80s: a serves
      80s    c becomes a server of g1
      until 200s: a serves
      by 200.1s: the reason says c is new to g1
      200s   heal a-w
      200s   heal a-c
      200s   heal b-w
      200s   heal b-c
      by 260s: no operation
      260s   power off a
      260s   power off b
      by 300s: c serves`,
  },
  {
    name: 'somebody forces the group to a new server, while its owner lives on the promises of the old one',
    third: true,
    group: { mirrors: {} },
    text: `${begin}
      60s    cut a-w
      60s    cut a-c
      60s    cut b-w
      60s    cut b-c
      80s    c becomes a server of g1
      150s   ann forces a failover to c
      until 200s: a serves
      200s   heal b-w
      200s   heal b-c
      210s   heal a-w
      210s   heal a-c
      until 260s: a serves`,
  },
  {
    name: 'owner and standby are lost for good: a new server has the group once the owner is removed',
    third: true,
    group: { mirrors: {} },
    text: `${begin}
      60s    power off a
      60s    power off b
      70s    c becomes a server of g1
      150s   ann forces a failover to c
      160s   ann removes a
      by 170s: the reason says c is new to g1
      170s   only c is a server of g1
      until 200s: c has nothing
      200s   ann removes a
      by 240s: c serves
      240s   power on a
      until 300s: c serves and a has nothing`,
  },
];
