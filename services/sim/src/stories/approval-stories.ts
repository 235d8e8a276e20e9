/** Takeovers that wait for a person: a question begins nothing, and a denial holds until something has changed. */

import type { Story } from './story.ts';

const asked = `by 30s: a serves
      60s    power off a
      by 96s: an approval is wanted`;

export const approvalStories: readonly Story[] = [
  {
    name: 'manual takeover waits for a person',
    group: { takeover: 'manual' },
    text: `${asked}
      until 130s: b has nothing
      130s   olga approves
      by 133s: b serves and no operation`,
  },
  {
    name: 'manual takeover becomes observe while a person is asked',
    group: { takeover: 'manual' },
    text: `${asked}
      100s   takeover becomes observe
      120s   olga approves
      until 160s: b has nothing
      160s   takeover becomes automatic
      by 165s: b serves and no operation`,
  },
  {
    name: 'maintenance begins while a person is asked',
    group: { takeover: 'manual' },
    text: `${asked}
      100s   maintenance
      110s   olga approves
      120s   takeover becomes automatic
      until 200s: b has nothing
      200s   maintenance ends
      by 205s: b serves and no operation`,
  },
  {
    name: 'an owner that returns in maintenance answers the question itself',
    group: { takeover: 'manual', onControlLoss: 'freeze' },
    text: `by 30s: a serves
      60s    cut off a
      by 96s: an approval is wanted
      100s   maintenance
      105s   join a
      by 112s: a serves and no operation
      until 140s: a serves and no operation`,
  },
  {
    name: 'a denied takeover is not asked for again, and a person may still order it',
    group: { takeover: 'manual' },
    text: `${asked}
      100s   olga denies
      by 101s: no operation
      until 200s: no operation and b has nothing
      200s   otto asks for a failover to b
      by 205s: b serves and no operation`,
  },
  {
    name: 'a denial ends when the owner is heard again',
    group: { takeover: 'manual' },
    text: `by 30s: a serves
      60s    cut off a
      by 96s: an approval is wanted
      100s   olga denies
      by 101s: no operation
      until 150s: no operation and b has nothing
      150s   join a
      by 155s: a serves and no operation
      200s   power off a
      by 237s: an approval is wanted`,
  },
  {
    name: 'a person was asked about a server that is lost before the answer: the question is about the next one',
    third: true,
    group: { servers: ['a', 'b', 'c'], takeover: 'manual', mirrors: {} },
    text: `${asked}
      100s   power off b
      by 112s: the record says c takes over
      120s   olga approves
      by 125s: c serves and no operation`,
  },
];
