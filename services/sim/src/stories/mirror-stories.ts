/** The list of faults once more, with an eye on the data: what a mirror must do, and what must never be lost. */

import type { Story } from './story.ts';

const begin = 'by 30s: a serves and b is in step';

export const mirrorStories: readonly Story[] = [
  {
    name: '1 with data: A loses power, and returns as a copy',
    text: `${begin}
      60s    power off a
      by 97s: b serves
      by 98s: the record says estimated loss
      150s   power on a
      by 180s: a is in step
      until 300s: b serves and b kept nothing aside`,
  },
  {
    name: '5 with data: the whole of A is frozen for 90 s',
    text: `${begin}
      60s    freeze a
      by 97s: b serves
      150s   thaw a
      by 152s: a has nothing
      by 180s: a is in step
      until 300s: b serves and a is in step`,
  },
  {
    name: '7 with data: B dies and returns',
    text: `${begin}
      60s    power off b
      by 70s: the mirror to b is disconnected
      120s   power on b
      by 150s: b is in step and b kept nothing aside
      until 200s: a serves`,
  },
  {
    name: '10 with data: the link A-B is cut',
    text: `${begin}
      60s    cut a-b
      by 70s: the mirror to b is disconnected
      until 200s: a serves
      200s   ann asks for a switchover
      until 230s: a serves
      230s   heal a-b
      by 260s: b is in step and b kept nothing aside
      until 300s: a serves`,
  },
  {
    name: '11 with data: A is cut off, and what it wrote alone is kept',
    text: `${begin}
      60s    cut off a
      by 76.3s: a has nothing
      by 97s: b serves
      150s   join a
      by 180s: a is in step and a kept something aside
      until 300s: b serves`,
  },
  {
    name: "24 the disk of A's data fills up: a planned move to B, which is in step",
    text: `${begin}
      60s    the disk of a fills up
      by 70s: b serves and the record says no space left on device
      until 100s: b serves
      100s   the disk of a has room
      by 130s: a is in step and a kept nothing aside`,
  },
  {
    name: '24 the disks of both fill up: nothing moves, and it is said',
    text: `${begin}
      60s    the disk of b fills up
      80s    the disk of a fills up
      until 200s: a serves
      by 201s: the reason says no space left on device
      210s   the disk of b has room
      by 240s: b serves and b kept nothing aside`,
  },
  {
    name: '24 the disk of B fills up: the mirror waits, A goes on',
    text: `${begin}
      60s    the disk of b fills up
      until 120s: a serves
      120s   the disk of b has room
      by 150s: b is in step and b kept nothing aside
      until 200s: a serves`,
  },
  {
    name: '25 both lose power, and only the standby returns',
    text: `${begin}
      60s    power off a
      60s    power off b
      90s    power on b
      until 200s: b has nothing
      by 201s: the reason says whose data may be newer
      210s   ann forces a failover to b
      by 215s: b serves
      by 216s: the record says estimated loss
      300s   power on a
      by 330s: a is in step`,
  },
  {
    name: '25 both lose power, and the last owner returns later',
    text: `${begin}
      60s    power off a
      60s    power off b
      90s    power on b
      150s   power on a
      by 170s: a serves
      by 200s: b is in step
      until 250s: a serves and a kept nothing aside`,
  },
  {
    name: '26 A dies while the copy is incomplete: refused, until a person forces it',
    text: `3s     power off b
      by 30s: a serves
      40s    power on b
      48s    power off a
      until 150s: b has nothing
      by 151s: the reason says is not complete
      160s   ann asks for a failover to b
      until 170s: b has nothing
      170s   ann forces a failover to b
      by 175s: b serves
      by 176s: the record says estimated loss: not known
      250s   power on a
      by 290s: a is in step and a kept something aside`,
  },
  {
    name: '26 the copy is staler than the gate allows: it asks',
    group: { gate: { maxLag: '10s', onStale: 'ask' } },
    text: `${begin}
      60s    cut a-b
      120s   power off a
      by 160s: an approval is wanted
      until 200s: b has nothing
      200s   ann approves
      by 205s: b serves
      by 206s: the record says estimated loss`,
  },
  {
    name: '26 the copy is staler than the gate allows: it waits for the owner',
    group: { gate: { maxLag: '10s', onStale: 'wait' } },
    text: `${begin}
      60s    cut a-b
      120s   power off a
      until 200s: b has nothing
      200s   power on a
      by 220s: a serves
      until 250s: a serves`,
  },
  {
    name: '26 the copy is staler than the gate allows: it goes on and says so',
    group: { gate: { maxLag: '10s', onStale: 'takeover' } },
    text: `${begin}
      60s    cut a-b
      120s   power off a
      by 160s: b serves
      by 161s: the record says MiB`,
  },
  {
    name: 'a switchover drains the mirror and loses nothing',
    text: `${begin}
      60s    ann asks for a switchover
      by 65s: b serves
      by 90s: a is in step and a kept nothing aside
      100s   ann asks for a failback
      by 105s: a serves
      by 130s: b is in step and b kept nothing aside`,
  },
  {
    name: 'a failover is forced from a living owner, although the copy is not in step',
    text: `${begin}
      60s    cut a-b
      90s    ann asks for a failover to b
      until 100s: a serves
      100s   ann forces a failover to b
      by 180s: b serves
      by 181s: the record says forced although
      200s   heal a-b
      by 230s: a is in step and a kept something aside`,
  },
  {
    name: 'that it was forced is told to whoever returns, also after a failover that was not',
    text: `${begin}
      60s    power off a
      82s    ann forces a failover to b
      by 90s: b serves and g1 was given by force at 2
      150s   power on a
      by 180s: a is in step and a is told of force at 2
      190s   power off b
      by 230s: a serves and g1 was given by force at 2
      300s   power on b
      by 330s: b is in step and b is told of force at 2`,
  },
  {
    name: 'an owner that is shut down in order drains its mirror',
    text: `${begin}
      60s    a is shut down in order
      by 100s: b serves
      150s   start a
      by 180s: a is in step and a kept nothing aside`,
  },
  {
    name: 'a switchover that can not drain is rolled back',
    text: `${begin}
      when store says "switchover releasing": cut a-b
      60s    ann asks for a switchover
      by 130s: a serves and the record says drain mirrors
      until 200s: a serves
      200s   heal a-b
      by 230s: b is in step`,
  },
  {
    name: 'of two standbys the one takes over whose copy is in step, whatever the order',
    third: true,
    group: { servers: ['a', 'b', 'c'], gate: { onStale: 'takeover' } },
    text: `by 30s: a serves and b is in step and c is in step
      60s    cut a-b
      100s   power off a
      by 145s: c serves
      by 146s: the record says , on b:
      until 200s: c serves`,
  },
];
