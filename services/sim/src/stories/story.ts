/**
 * Stories of faults as plain text, one line for each thing that a person does or expects:
 *
 *   TIME  command       is done at that moment of true time
 *   by TIME: state      is true at some moment from the line before on, and no later than that
 *   until TIME: state   is true all the time from the line before on, to then
 *   when WHO says "TEXT": command    is done the first time that the journal has such a line
 *
 * The commands and the states are in commands.ts and states.ts. All invariants are audited besides.
 */

import type { Member } from '@holdfast/core';
import { Cluster } from '../cluster.ts';
import { Random } from '../random.ts';
import {
  mirrorsOf,
  parsed,
  resource,
  twoServersAndWitness,
  withThirdServer,
  type RawGroup,
} from '../scenario.ts';
import { Simulation, type Violation } from '../simulation.ts';
import { command } from './story-commands.ts';
import { stateOf } from './story-states.ts';

export interface Story {
  /** The row of the list of faults, and what it is about. */
  readonly name: string;
  readonly text: string;
  readonly group?: Partial<RawGroup>;
  /** A third server c, and a without a vote: what b, c and w decide, a may not hear. */
  readonly third?: true;
  /** Of the noise, in the test; 1 unless said. One with which it went wrong once. */
  readonly seed?: number;
}

export interface Told {
  readonly violation: Violation | null;
  readonly journal: (lines: number) => readonly string[];
}

const lookEveryMs = 20;

export function tell(story: Story, seed: number): Told {
  const sim = new Simulation(seed);
  const group: RawGroup = {
    servers: ['a', 'b'],
    outage: '35s',
    identity: { mode: 'add', addresses: ['10.77.0.100/24'] },
    resources: [resource('app', 2)],
    mirrors: mirrorsOf(0),
    ...story.group,
  };
  const raw = { groups: { g1: group } };
  const members = story.third === true ? voting(['b', 'c', 'w']) : twoServersAndWitness;
  const cluster = new Cluster(sim, { members, raw, config: parsed(raw, members) });
  noise(cluster, new Random(seed, 5));
  const waiting: { who: string; text: string; what: string }[] = [];
  sim.onLine = (who, says) => {
    const found = waiting.findIndex((w) => w.who === who && says.includes(w.text));
    if (found < 0) return;
    const [trigger] = waiting.splice(found, 1);
    if (trigger !== undefined) sim.after(0, () => command(cluster, trigger.what));
  };
  cluster.powerOn();
  for (const line of linesOf(story.text)) {
    if (sim.violation !== null) break;
    tellLine(cluster, line, waiting);
  }
  const [never] = waiting;
  if (sim.violation === null && never !== undefined)
    sim.fail('story', `${never.who} never says "${never.text}"`);
  if (sim.violation === null) nothingVanished(cluster);
  return { violation: sim.violation, journal: (lines) => [...sim.journal(lines), ...cluster.describe()] };
}

function nothingVanished(cluster: Cluster): void {
  const own = cluster.records.recordOf('g1')?.ownership;
  if (own?.kind === 'owned') cluster.mirrors.nothingVanished('g1', cluster.host(own.owner).machine);
}

const voting = (voters: readonly string[]): readonly Member[] =>
  withThirdServer.map((m) => ({ ...m, voter: voters.includes(m.id) }));

/** A little of everything that a real network does on a good day. */
function noise(cluster: Cluster, random: Random): void {
  const loss = random.pick([0, 0.01, 0.02]);
  const extraMs = random.pick([0, 1, 10]);
  for (const x of cluster.hosts) {
    for (const y of cluster.hosts) {
      if (x === y) continue;
      for (const path of [0, 1]) {
        Object.assign(cluster.network.line(x.machine, y.machine, path), { loss, extraMs, doubled: 0.01 });
      }
    }
  }
  cluster.etcd.faults.watchLost = random.pick([0, 0, 0.02]);
}

function linesOf(text: string): readonly string[] {
  return text
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => line !== '' && !line.startsWith('#'));
}

function tellLine(
  cluster: Cluster,
  line: string,
  waiting: { who: string; text: string; what: string }[],
): void {
  const { sim } = cluster;
  const expects = /^(by|until) ([\d.]+)s: (.+)$/.exec(line);
  const waits = /^when (\S+) says "(.+)": (.+)$/.exec(line);
  const does = /^([\d.]+)s +(.+)$/.exec(line);
  if (expects !== null) {
    const [, word = '', time = '', state = ''] = expects;
    const endMs = Number(time) * 1_000;
    if (word === 'by') reaches(cluster, line, state, endMs);
    else stays(cluster, line, state, endMs);
  } else if (waits !== null) {
    const [, who = '', text = '', what = ''] = waits;
    waiting.push({ who, text, what });
  } else if (does !== null) {
    const [, time = '', what = ''] = does;
    sim.runUntil(Number(time) * 1_000);
    if (sim.violation === null) command(cluster, what);
  } else throw new Error(`a story can't say: ${line}`);
}

function reaches(cluster: Cluster, line: string, state: string, endMs: number): void {
  const { sim } = cluster;
  const holds = stateOf(cluster, state);
  while (sim.violation === null && !holds()) {
    if (sim.now >= endMs) sim.fail('story', line);
    sim.runUntil(Math.min(endMs, sim.now + lookEveryMs));
  }
}

function stays(cluster: Cluster, line: string, state: string, endMs: number): void {
  const { sim } = cluster;
  const holds = stateOf(cluster, state);
  while (sim.violation === null && sim.now < endMs) {
    if (!holds()) sim.fail('story', line);
    sim.runUntil(Math.min(endMs, sim.now + lookEveryMs));
  }
}
