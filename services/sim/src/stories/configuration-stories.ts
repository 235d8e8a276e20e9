/** Configurations that are applied while a group runs or moves: what did not change is not touched (row 27). */

import { resource } from '../scenario.ts';
import type { Story } from './story.ts';

const begin = 'by 30s: a serves';
const patient = (name: string): object => ({ ...resource(name, 2), startTimeout: '30s', stopTimeout: '30s' });

const unitAndName = {
  identity: { mode: 'add', addresses: ['10.77.0.100/24'], hostname: 'files' },
  resources: [{ ...patient('app'), command: undefined, systemd: 'app' }],
};

export const configurationStories: readonly Story[] = [
  {
    name: 'the outage becomes much shorter in the middle of a planned move: it goes on, at the pace that everybody keeps to',
    group: { resources: [patient('app')] },
    text: `${begin}
      60s    commands on a take 6s
      60s    ann asks for a switchover
      62s    the outage becomes 3s
      by 75s: b serves
      until 100s: b serves`,
  },
  {
    name: '27 an address is added that somebody else has: the service goes on, and is looked after',
    group: { outage: '5s' },
    text: `${begin}
      50s    a stranger takes 10.77.0.101/24 on w
      60s    g1 gets 10.77.0.101/24
      until 90s: a serves
      90s    app fails on a
      until 120s: a serves and a is active
      120s   the stranger leaves w
      by 125s: a serves and a has 10.77.0.101/24`,
  },
  {
    name: '27 an address that somebody else has is given up again',
    group: { outage: '5s' },
    text: `${begin}
      50s    a stranger takes 10.77.0.101/24 on w
      60s    g1 gets 10.77.0.101/24
      until 70s: a serves
      70s    g1 loses 10.77.0.101/24
      71s    g1 gets 10.77.0.102/24
      by 75s: a has 10.77.0.102/24
      until 90s: a serves
      90s    ann asks for a switchover
      by 100s: b serves and b has 10.77.0.102/24`,
  },
  {
    name: '27 a resource is removed whose stop takes long: the address stays',
    group: { outage: '5s', resources: [patient('app'), patient('db')] },
    text: `${begin}
      60s    commands on a take 20s
      60s    g1 loses the resource db
      until 79s: a serves and db runs on a
      until 90s: a serves
      by 90s: db does not run on a`,
  },
  {
    name: '27 a resource can not be stopped: it is tried again, and the service goes on',
    group: { outage: '5s', resources: [resource('app', 2), resource('db', 2)] },
    text: `${begin}
      60s    commands on a fail
      60s    g1 loses the resource db
      until 85s: a serves and db runs on a
      85s    commands on a are well
      by 100s: db does not run on a
      until 120s: a serves`,
  },
  {
    name: '27 a resource is removed while the store is lost: the guard ends it with the rest',
    group: { outage: '5s', onControlLoss: 'fence', resources: [patient('app'), patient('db')] },
    text: `${begin}
      60s    commands on a take 20s
      60s    g1 loses the resource db
      61s    stop all etcd
      by 66s: a has nothing and db does not run on a`,
  },
  {
    name: 'a hook before the release takes longer than the lifetime of the address, and refuses',
    group: { outage: '5s', hooks: { beforeRelease: [['/usr/local/bin/hook']] } },
    text: `${begin}
      60s    commands on a take 20s
      60s    commands on a fail
      61s    ann asks for a switchover
      until 90s: a serves
      by 90s: a is active and no operation`,
  },
  {
    name: 'a resource is removed while the standby takes over',
    group: { resources: [resource('app', 2), resource('db', 2)] },
    text: `${begin}
      60s    commands on b take 2s
      60s    power off a
      when b says "g1: start app": g1 loses the resource db
      by 104s: b serves and b is active
      by 110s: db does not run on b
      until 150s: b serves`,
  },
  {
    name: 'an address that somebody else has is added while the standby takes over',
    group: { outage: '5s' },
    text: `${begin}
      50s    a stranger takes 10.77.0.101/24 on w
      60s    commands on b take 2s
      60s    power off a
      when b says "g1: start app": g1 gets 10.77.0.101/24
      by 70s: b serves
      until 90s: b serves
      90s    the stranger leaves w
      by 95s: b has 10.77.0.101/24`,
  },
  {
    name: 'a resource is added while the standby takes over',
    text: `${begin}
      60s    commands on b take 2s
      60s    power off a
      when b says "g1: start app": g1 gets the resource db
      by 110s: b serves and db runs on b
      until 150s: b serves and db runs on b`,
  },
  {
    name: 'an address goes from a group that is removed to a new one: only when it was let go',
    group: { outage: '5s' },
    seed: 31,
    text: `${begin}
      60s    commands on a take 2s
      60s    g1 becomes g2 on b
      by 75s: b has the address
      until 100s: b has the address`,
  },
  {
    name: 'a unit and a name go from a group that is removed to a new one: only when they were let go',
    group: { outage: '5s', mirrors: {}, ...unitAndName },
    text: `${begin}
      60s    commands on a take 4s
      60s    g1 becomes g2 on b, which has g1's unit
      until 63s: g1/app runs on a and g2/app does not run on b
      by 80s: g2/app runs on b and g1/app does not run on a
      until 100s: g2/app runs on b`,
  },
  {
    name: 'a group with a unit and a name gets a new name',
    group: { outage: '5s', ...unitAndName },
    text: `${begin}
      60s    g1 is renamed g2
      by 75s: g2/app runs on a and a has the address and g1/app does not run on a
      until 100s: g2/app runs on a and a has the address`,
  },
  {
    name: 'a hook refuses that a removed group is released: a person asks again',
    group: { outage: '5s', hooks: { beforeRelease: [['/usr/local/bin/hook']] } },
    text: `${begin}
      60s    commands on a fail
      61s    g1 is removed
      until 90s: a serves
      90s    ann asks for the release of g1
      until 100s: a serves
      by 100s: no operation and a is active
      110s   commands on a are well
      until 130s: a serves
      130s   ann asks for the release of g1
      by 140s: a has nothing and no operation`,
  },
  {
    name: 'a hook refuses that a removed group is released: a person forces it',
    group: { outage: '5s', hooks: { beforeRelease: [['/usr/local/bin/hook']] } },
    text: `${begin}
      60s    commands on a fail
      61s    g1 is removed
      until 90s: a serves
      90s    ann forces the release of g1
      by 110s: a has nothing and no operation`,
  },
  {
    name: 'a hook refuses that a group leaves a server that is none of its own any more: a person asks again',
    third: true,
    group: { outage: '5s', mirrors: {}, hooks: { beforeRelease: [['/usr/local/bin/hook']] } },
    text: `${begin}
      60s    commands on a fail
      61s    only c is a server of g1
      until 300s: a serves
      by 300s: a is active and no operation
      300s   commands on a are well
      301s   ann asks for a switchover
      by 310s: c serves and no operation`,
  },
  {
    name: 'a hook refuses at first that a server is shut down: it is asked again after a rest',
    group: { outage: '5s', hooks: { beforeRelease: [['/usr/local/bin/hook']] } },
    text: `${begin}
      60s    commands on a fail
      61s    a is shut down in order
      until 64s: a serves
      64s    commands on a are well
      by 75s: b serves`,
  },
  {
    name: 'a hook refuses that a removed group is released: it is configured again',
    group: { outage: '5s', hooks: { beforeRelease: [['/usr/local/bin/hook']] } },
    text: `${begin}
      60s    commands on a fail
      61s    g1 is renamed g2
      until 90s: a serves
      90s    g2 is renamed g1
      until 120s: a serves
      by 120s: a is active and a owns and no operation
      120s   commands on a are well
      121s   ann asks for a switchover
      by 130s: b serves`,
  },
  {
    name: 'an address goes from the group of a server that is dead to a new one',
    group: { outage: '5s' },
    text: `${begin}
      60s    power off a
      61s    g1 becomes g2 on b
      by 75s: b has the address
      until 100s: b has the address`,
  },
  {
    name: 'an address goes from the group of a server that is cut off to a new one',
    group: { outage: '10s' },
    text: `${begin}
      60s    cut off a
      61s    g1 becomes g2 on b
      by 80s: b has the address
      90s    join a
      until 120s: b has the address`,
  },
  {
    name: 'an address goes to a new group while the agent that has it is dead',
    group: { outage: '5s' },
    text: `${begin}
      60s    kill agent of a
      60s    g1 becomes g2 on b
      by 90s: b has the address
      until 120s: b has the address`,
  },
  {
    name: 'a group moves away from a server whose agent ends in the middle of the release',
    third: true,
    group: { mirrors: {}, resources: [patient('app')] },
    text: `${begin}
      60s    commands on a take 20s
      60s    only c is a server of g1
      62s    kill agent of a
      by 85s: c serves and a has nothing
      until 120s: c serves and a has nothing`,
  },
  {
    name: 'a group moves away from a server that boots in the middle of the release',
    third: true,
    group: { mirrors: {}, resources: [patient('app')] },
    text: `${begin}
      60s    commands on a take 20s
      60s    only c is a server of g1
      62s    power off a
      64s    power on a
      by 75s: no operation and a has nothing
      80s    ann forces a failover to c
      by 85s: c serves
      until 120s: c serves and a has nothing`,
  },
  {
    name: 'a group gets a new name, and its agent ends in the middle of the release',
    group: { mirrors: {}, resources: [patient('app')] },
    text: `${begin}
      60s    commands on a take 20s
      60s    g1 is renamed g2
      62s    kill agent of a
      63s    commands on a are well
      by 85s: g2/app runs on a and g1/app does not run on a
      until 120s: g2/app runs on a and g1/app does not run on a`,
  },
  {
    name: 'a hook refuses that a removed group is released, and the agent is restarted: a person forces it',
    group: { hooks: { beforeRelease: [['/usr/local/bin/hook']] } },
    text: `${begin}
      60s    commands on a fail
      61s    g1 is removed
      70s    kill agent of a
      until 90s: a serves
      90s    ann forces the release of g1
      by 110s: a has nothing and no operation`,
  },
];
