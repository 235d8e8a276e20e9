/** The list of faults as stories. A is the owner, B the standby, W the witness; the outage is 35 s unless said. */

import { configurationStories } from './configuration-stories.ts';
import { approvalStories } from './approval-stories.ts';
import { failbackStories } from './failback-stories.ts';
import { memberStories } from './member-stories.ts';
import { mirrorStories } from './mirror-stories.ts';
import { waitingStories } from './waiting-stories.ts';
import type { Story } from './story.ts';

const begin = 'by 30s: a serves';

export const stories: readonly Story[] = [
  {
    name: '1 A loses power',
    text: `${begin}
      60s    power off a
      until 92.9s: a owns
      by 95.4s: b owns
      by 97s: b serves
      150s   power on a
      until 300s: b serves and a has nothing`,
  },
  {
    name: "2 A's agent is killed",
    text: `${begin}
      60s    kill agent of a
      until 200s: a serves
      by 200s: a is active`,
  },
  {
    name: '3 everything of ours on A is killed',
    text: `${begin}
      60s    kill everything of a
      by 76.3s: a has no address
      until 95s: a has no address
      by 97s: b serves
      200s   start a
      by 210s: a has nothing
      until 300s: b serves and a has nothing`,
  },
  {
    name: "4 A's agent is frozen for 60 s",
    text: `${begin}
      60s    freeze agent of a
      by 76.3s: a has nothing
      by 97s: b serves
      120s   thaw agent of a
      until 300s: b serves and a has nothing`,
  },
  {
    name: '5 the whole of A is frozen for 90 s',
    text: `${begin}
      60s    freeze a
      by 97s: b serves
      150s   thaw a
      by 152s: a has nothing
      until 300s: b serves and a has nothing`,
  },
  {
    name: '6 the service on A fails once',
    text: `${begin}
      60s    app fails on a
      by 66s: a serves
      until 200s: a serves`,
  },
  {
    name: '6 the service on A fails for good',
    text: `${begin}
      60s    app fails on a again and again
      by 80s: b serves
      until 200s: b serves and a has nothing`,
  },
  { name: '7 B dies', text: `${begin}\n 60s power off b\n until 300s: a serves` },
  { name: '8 W dies', text: `${begin}\n 60s power off w\n until 300s: a serves` },
  {
    name: '9 W and B die: failsafe',
    text: `${begin}
      60s    power off b
      60s    power off w
      by 76.3s: a has nothing
      until 300s: a has nothing`,
  },
  {
    name: '9 W and B die: fence',
    group: { onControlLoss: 'fence' },
    text: `${begin}\n 60s power off b\n 60s power off w\n by 76.3s: a has nothing`,
  },
  {
    name: '9 W and B die: freeze',
    group: { onControlLoss: 'freeze' },
    text: `${begin}\n 60s power off b\n 60s power off w\n until 300s: a serves`,
  },
  { name: '10 the link A-B is cut', text: `${begin}\n 60s cut a-b\n until 300s: a serves` },
  {
    name: '11 A is cut off from B and W',
    text: `${begin}
      60s    cut off a
      by 76.3s: a has nothing
      by 97s: b serves
      150s   join a
      until 300s: b serves and a has nothing`,
  },
  { name: '12 A is cut off from W only', text: `${begin}\n 60s cut a-w\n until 300s: a serves` },
  {
    name: '13 all of etcd is stopped, then B dies',
    text: `${begin}
      60s    stop all etcd
      until 200s: a serves
      200s   power off b
      by 217s: a has nothing
      until 260s: a has nothing
      260s   power on b
      280s   start all etcd
      by 320s: a serves`,
  },
  {
    name: '14 A hears nothing but is heard',
    text: `${begin}\n 60s deafen a\n by 76.3s: a has nothing\n by 100s: b serves\n until 300s: b serves`,
  },
  {
    name: '14 A is not heard but hears',
    text: `${begin}\n 60s mute a\n by 76.3s: a has nothing\n by 100s: b serves\n until 300s: b serves`,
  },
  {
    name: "15 A's service network is dead, the private path alive",
    text: `${begin}
      60s    path 0 of a dies
      by 75s: b serves
      until 200s: b serves and a has nothing`,
  },
  {
    name: '15 A is not heard for 20 s, and one path is heard before the other when it is',
    text: `${begin}
      60s    datagrams of a are lost
      80s    datagrams of a arrive
      until 120s: a serves`,
  },
  {
    name: '15 the owner dies, and was heard on one path a moment longer than on the other: nothing is asked of it',
    group: { outage: '5s' },
    text: `${begin}
      60s    power off a
      until 64s: no operation
      by 68s: b serves`,
  },
  { name: '16 the link flaps for 10 minutes', text: `${begin}\n 60s flap a 60 times\n until 700s: a serves` },
  { name: '17 one of two paths is lost', text: `${begin}\n 60s path 1 of a dies\n until 300s: a serves` },
  {
    name: '18 wall clocks jump an hour',
    text: `${begin}
      60s    the wall clock of a jumps 3600s
      70s    the wall clock of w jumps -3600s
      80s    the wall clock of b jumps -3600s
      until 300s: a serves`,
  },
  ...['35s', '3s'].flatMap((outage): readonly Story[] => [
    {
      name: `19 the clock of A runs 5 % slow, outage ${outage}: everything of ours on A is killed`,
      group: { outage },
      text: `0s    the clock of a runs 5% slow
        by 30s: a serves
        by 75s: the clock of a is said to be slower
        80s    kill everything of a
        by 120s: b serves
        until 200s: b serves and a has no address`,
    },
    {
      name: `19 the clock of W runs 5 % fast, outage ${outage}: A is cut off`,
      group: { outage },
      text: `0s    the clock of w runs 5% fast
        by 30s: a serves
        until 80s: a serves
        80s    cut off a
        by 120s: b serves
        until 200s: b serves and a has nothing`,
    },
    {
      name: `19 the clock of B runs 5 % fast, outage ${outage}: all of etcd stops, and A lives on promises`,
      group: { outage },
      text: `0s    the clock of b runs 5% fast
        by 30s: a serves
        60s    stop all etcd
        until 120s: a serves
        120s   kill everything of a
        150s   start all etcd
        by 200s: b serves
        until 250s: b serves`,
    },
  ]),
  { name: '20 etcd loses its leader', text: `${begin}\n 60s etcd loses its leader\n until 200s: a serves` },
  {
    name: '20 the disks of etcd stall 5 s',
    text: `${begin}\n 60s the disks of etcd stall 5s\n until 200s: a serves`,
  },
  {
    name: '20 etcd of W is frozen and thawed',
    text: `${begin}\n 60s freeze etcd of w\n 90s thaw etcd of w\n until 200s: a serves`,
  },
  {
    name: '21 the leading quorum service ends in order, and another leads at once',
    text: `${begin}
      60s    the leader ends in order
      by 60.4s: another leads
      until 200s: a serves`,
  },
  {
    name: '21 the leading quorum service ends in order while A is silent',
    text: `${begin}
      60s    power off a
      93s    the leader ends in order
      until 93.6s: a owns
      by 95.4s: b owns
      by 97s: b serves`,
  },
  ...['takes over because', 'g1: add addresses', 'g1: start app', 'g1: active'].map((says): Story => ({
    name: `21 the leading quorum service is killed during a takeover, at "${says}"`,
    text: `${begin}
        when ${says.startsWith('takes') ? 'store' : 'b'} says "${says}": kill the leader
        60s    power off a
        by 115s: b serves and no operation
        until 200s: b serves`,
  })),
  ...['probe addresses', 'add addresses', 'announce addresses', 'start app'].flatMap(
    (step): readonly Story[] => [
      {
        name: `22 B's agent is killed at "${step}" of a failover`,
        text: `${begin}
        60s    power off a
        when b says "g1: ${step}": kill agent of b
        by 130s: b serves and no operation
        until 200s: b serves`,
      },
      {
        name: `22 B loses power at "${step}" of a switchover`,
        text: `${begin}
        60s    olga asks for a switchover
        when b says "g1: ${step}": power off b
        by 65s: a has nothing
        by 110s: a serves and no operation
        until 200s: a serves`,
      },
    ],
  ),
  ...['stop app', 'drop addresses', 'released'].map((step): Story => ({
    name: `22 A's agent is killed at "${step}" of a switchover`,
    text: `${begin}
        when a says "g1: ${step}": kill agent of a
        60s    olga asks for a switchover
        by 120s: b is active and no operation`,
  })),
  {
    name: '23 somebody answers at the address during the takeover',
    text: `${begin}
      60s    power off a
      80s    a stranger takes the address on w
      until 120s: b has no address
      120s   the stranger leaves w
      by 123s: b serves`,
  },
  {
    name: '25 both servers lose power, only B returns',
    text: `${begin}
      60s    power off a
      60s    power off b
      100s   power on b
      until 300s: nobody is active
      300s   olga forces a failover to b
      by 303s: b serves`,
  },
  {
    name: '25 both servers lose power, both return',
    text: `${begin}\n 60s power off a\n 60s power off b\n 100s power on b\n 150s power on a\n by 160s: a serves`,
  },
  {
    name: '27 everything of ours is restarted, the guard stays',
    text: `${begin}\n 60s kill agent of a\n 60s kill quorum of a\n 60s kill etcd of a\n until 200s: a serves`,
  },
  {
    name: '27 a shorter outage, then a longer one, is applied',
    text: `${begin}\n 60s the outage becomes 3s\n until 100s: a serves\n 100s the outage becomes 60s\n until 200s: a serves`,
  },
  {
    name: 'replace becomes add: both servers get their own addresses back',
    group: { identity: { mode: 'replace' }, resources: [] },
    text: `by 30s: a is active and a has 10.77.0.11/24
      by 40s: b has 10.77.0.12/24
      60s    g1 gets an address of its own
      by 75s: a has the address and a has 10.77.0.11/24 and b has 10.77.0.12/24
      until 150s: a has the address and a has 10.77.0.11/24 and b has 10.77.0.12/24`,
  },
  {
    name: '25 replace: a standby that comes back alone is reachable at its own address, while it waits for the owner',
    group: { identity: { mode: 'replace' }, resources: [] },
    text: `by 30s: a is active and a has 10.77.0.11/24
      by 40s: b has 10.77.0.12/24
      60s    power off a
      60s    power off b
      100s   power on b
      by 120s: b has 10.77.0.12/24
      until 200s: b has 10.77.0.12/24 and nobody is active
      200s   power on a
      by 230s: a is active and a has 10.77.0.11/24 and b has 10.77.0.12/24`,
  },
  {
    name: '25 replace: a former owner that comes back alone is reachable at the address of the standby',
    group: { identity: { mode: 'replace' }, resources: [] },
    text: `by 30s: a is active and a has 10.77.0.11/24
      60s    power off a
      by 98s: b is active and b has 10.77.0.11/24
      120s   power on a
      by 140s: a has 10.77.0.12/24
      160s   power off a
      160s   power off b
      200s   power on a
      by 220s: a has 10.77.0.12/24
      until 300s: a has 10.77.0.12/24 and nobody is active`,
  },
  {
    name: 'a replace group is removed: both servers get their own addresses back',
    group: { identity: { mode: 'replace' }, resources: [], mirrors: {} },
    text: `by 30s: a is active and a has 10.77.0.11/24
      by 40s: b has 10.77.0.12/24
      60s    g1 is removed
      by 62s: nobody is active
      by 75s: a has 10.77.0.11/24 and b has 10.77.0.12/24
      until 150s: a has 10.77.0.11/24 and b has 10.77.0.12/24`,
  },
  {
    name: '29 two operators give contrary commands',
    text: `${begin}
      60s    olga asks for a switchover
      60.05s otto asks for a failover to a
      by 65s: b serves and no operation
      until 120s: b serves`,
  },
  {
    name: '31 a stop command hangs',
    text: `${begin}
      60s    commands on a hang
      61s    olga asks for a switchover
      by 75s: b serves and a has nothing
      until 200s: b serves`,
  },
  {
    name: '31 a start command hangs',
    text: `${begin}
      60s    commands on b hang
      61s    olga asks for a switchover
      by 65s: a has nothing
      by 120s: a serves and no operation
      until 200s: a serves`,
  },
  {
    name: 'a server that failed is tried again after a rest, nobody else being able',
    text: `${begin}
      60s    power off a
      60s    commands on b fail
      by 110s: b has nothing and the reason says could not take it over
      by 112s: the reason says it rests
      115s   commands on b are well
      until 150s: nobody is active
      by 175s: b serves
      until 200s: b serves`,
  },
  {
    name: 'maintenance: nothing is done',
    text: `${begin}
      50s    maintenance
      60s    power off a
      until 200s: b has nothing
      200s   maintenance ends
      by 205s: b serves`,
  },
  {
    name: 'A is shut down in order',
    text: `${begin}\n 60s a is shut down in order\n by 72s: b serves and a has nothing\n until 200s: b serves`,
  },
  ...configurationStories,
  ...approvalStories,
  ...failbackStories,
  ...memberStories,
  ...mirrorStories,
  ...waitingStories,
];
