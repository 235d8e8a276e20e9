/** What a story may expect, in words. */

import { lastCommon } from '@holdfast/core';
import { clockWarnings } from '@holdfast/core';
import type { Cluster } from '../cluster.ts';
import type { Machine } from '../machine.ts';
import { leadsAnew } from './story-commands.ts';

type State = (cluster: Cluster, words: readonly string[]) => boolean;

const address = '10.77.0.100/24';

function active(cluster: Cluster, id: string): boolean {
  const agent = cluster.host(id).agent;
  return agent?.mailbox.alive === true && agent.state.groups.get('g1')?.holding.kind === 'active';
}

const serves = ({ addresses, resources }: Machine): boolean =>
  addresses.has(address) && resources.has('g1/app');

const states: readonly (readonly [RegExp, State])[] = [
  [/^(\w) owns$/, (c, [id = '']) => owner(c) === id],
  [/^(\w) is active$/, (c, [id = '']) => active(c, id)],
  [/^nobody is active$/, (c) => !c.hosts.some((h) => active(c, h.id))],
  // The service as clients see it, whatever our processes think.
  [/^(\w) serves$/, (c, [id = '']) => serves(c.host(id).machine)],
  [/^somebody serves$/, (c) => c.hosts.some(({ machine }) => serves(machine))],
  [/^(\w+) runs on (\w)$/, (c, [name = '', id = '']) => c.host(id).machine.resources.has(`g1/${name}`)],
  [
    /^(\w+) does not run on (\w)$/,
    (c, [name = '', id = '']) => !c.host(id).machine.resources.has(`g1/${name}`),
  ],
  [/^(g\d\/\w+) runs on (\w)$/, (c, [key = '', id = '']) => c.host(id).machine.resources.has(key)],
  [/^(g\d\/\w+) does not run on (\w)$/, (c, [key = '', id = '']) => !c.host(id).machine.resources.has(key)],
  [/^(\w) has (10\.[\d./]+)$/, (c, [id = '', own = '']) => c.host(id).machine.addresses.has(own)],
  [/^(\w) has the address$/, (c, [id = '']) => c.host(id).machine.addresses.has(address)],
  [/^(\w) has no address$/, (c, [id = '']) => !c.host(id).machine.addresses.has(address)],
  [
    /^(\w) has nothing$/,
    (c, [id = '']) => {
      const { machine } = c.host(id);
      return !machine.addresses.has(address) && !machine.resources.has('g1/app');
    },
  ],
  [
    /^the clock of (\w) is said to be (slower|faster)$/,
    (c, [id = '', how = '']) =>
      c
        .services()
        .some(({ state }) =>
          clockWarnings(state.vantage).some((w) => w.startsWith(`the clock of ${id} `) && w.includes(how)),
        ),
  ],
  [/^another leads$/, leadsAnew],
  [/^(\w) is in step$/, (c, [id = '']) => inStep(c, id)],
  [/^(\w) kept something aside$/, (c, [id = '']) => c.host(id).machine.copyOf('g1').kept.length > 0],
  [/^(\w) kept nothing aside$/, (c, [id = '']) => c.host(id).machine.copyOf('g1').kept.length === 0],
  [
    /^the mirror to (\w) is ([\w-]+)$/,
    (c, [id = '', state = '']) => {
      const reports = c.host(owner(c) ?? 'w').agent?.state.mirrors ?? [];
      const rows = reports.flatMap((r) => (r.kind === 'source' ? r.targets : []));
      return rows.find((row) => row.target === id)?.state === state;
    },
  ],
  [/^the record says (.+)$/, (c, [text = '']) => (c.records.recordOf('g1')?.reason ?? '').includes(text)],
  [
    /^g1 was given by force at (\d+)$/,
    (c, [epoch = '']) => c.records.recordOf('g1')?.forced?.toString() === epoch,
  ],
  [/^(\w) is told of force at (\d+)$/, (c, [id = '', epoch = '']) => forcedTo(c, id) === epoch],
  [/^no operation$/, (c) => (c.records.recordOf('g1')?.operation ?? null) === null],
  [/^an approval is wanted$/, (c) => c.records.recordOf('g1')?.operation?.phase === 'awaiting-approval'],
  [/^the reason says (.+)$/, (c, [text = '']) => (c.judgement('g1')?.reason ?? '').includes(text)],
  [
    /^(\w) sees an asymmetric path$/,
    (c, [id = '']) =>
      c.hosts.some(
        (h) =>
          h.agent?.state.vantage.ears.get(id)?.diagnoses.some((d) => d.says.startsWith('asymmetric')) ===
          true,
      ),
  ],
];

/** As the orders of its mirror say it. */
function forcedTo(cluster: Cluster, id: string): string | null {
  const roles = cluster.host(id).agent?.state.mirrorOrders?.mirrors.map(({ role }) => role) ?? [];
  return roles.find((role) => role.kind === 'target')?.forced?.toString() ?? null;
}

function owner(cluster: Cluster): string | null {
  const own = cluster.records.recordOf('g1')?.ownership;
  return own?.kind === 'owned' ? own.owner : null;
}

/** Two seconds' worth: a beat may be under way. */
const behindMax = 20;

function inStep(cluster: Cluster, id: string): boolean {
  const { now } = cluster.sim;
  const copy = cluster.host(id).machine.copyOf('g1');
  const data = cluster
    .host(owner(cluster) ?? id)
    .machine.copyOf('g1')
    .historyAt(now);
  const held = copy.historyAt(now);
  const behind = (data.at(-1)?.sequence ?? 0) - (held.at(-1)?.sequence ?? 0);
  const common = held.length === 0 || lastCommon(held, data) === held.at(-1)?.sequence;
  return copy.consistent && common && behind <= behindMax;
}

/** Several states may be joined by "and". */
export function stateOf(cluster: Cluster, text: string): () => boolean {
  const parts = text.split(' and ').map((part) => {
    for (const [pattern, state] of states) {
      const match = pattern.exec(part);
      if (match !== null) return () => state(cluster, match.slice(1));
    }
    throw new Error(`a story can't expect: ${part}`);
  });
  return () => parts.every((part) => part());
}
