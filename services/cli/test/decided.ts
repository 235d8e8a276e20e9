/** A decision that a leader really made: with nobody in charge of g1, a takes it up. */
import {
  configToJson,
  encode,
  keys,
  newQuorum,
  parseConfig,
  parseEvent,
  stepQuorum,
  type EventRecord,
  type Heartbeat,
  type Member,
  type RenewalRecord,
} from '@holdfast/core';

const members = (['a', 'b', 'w'] as const).map((id, i): Member => {
  const addresses = [`10.77.0.${11 + i}`, `10.78.0.${11 + i}`];
  return { id, role: id === 'w' ? 'witness' : 'server', addresses, voter: true };
});

function renewal(server: string): RenewalRecord {
  return {
    ...{ server, incarnation: 1, counter: 1, bootId: `${server}-boot`, bootRevision: 5n, version: '1' },
    ...{ leaving: false, waits: { g1: 20_000 }, awaitsFormer: true, groups: [] },
  };
}

const beat: Heartbeat = {
  ...{ kind: 'heartbeat', sentAt: 0, echo: null, version: '1', leaving: false },
  ...{ addresses: [], groups: [], vantage: [], diagnoses: [] },
};

/** `maintenance`: it would have. */
export function decided(maintenance?: string): { readonly event: EventRecord; readonly decision: string } {
  const identity = { mode: 'add', addresses: ['10.77.0.100/24'] };
  const parsed = parseConfig({ groups: { g1: { servers: ['a', 'b'], identity } } }, 'cluster.yaml', members);
  if (parsed.kind === 'invalid') throw new Error(parsed.errors.join('\n'));
  const rows = [
    ...members.map((m): [string, string] => [keys.member(m.id), JSON.stringify(m)]),
    [keys.config, JSON.stringify({ config: configToJson(parsed.config) })],
    [keys.leader, encode({ member: 'w', incarnation: 1, term: 1 })],
    [keys.renewal('a'), encode(renewal('a'))],
    [keys.renewal('b'), encode(renewal('b'))],
    ...(maintenance === undefined
      ? []
      : [[keys.maintenance, encode({ cluster: maintenance, servers: {}, groups: {} })]]),
  ].map(([key = '', value = '']) => ({ key, value, modRevision: 9n }));
  let state = newQuorum('w', true, 1, 0);
  for (const event of [
    { kind: 'relay', connected: true },
    { kind: 'heard', from: 'a', path: 0, heartbeat: beat },
    { kind: 'heard', from: 'b', path: 0, heartbeat: beat },
    { kind: 'read', answer: { kind: 'read', revision: 30n, rows } },
  ] as const) {
    const step = stepQuorum(state, event, 1_000, 1_800_000_000_000);
    state = step.state;
    for (const action of step.actions) {
      const puts = action.kind === 'txn' ? action.txn.puts : [];
      const value = (prefix: string): string => puts.find(({ key }) => key.startsWith(prefix))?.value ?? '';
      const told = parseEvent(value(keys.events));
      if (told.kind === 'ok') return { event: told.value, decision: value(keys.decisions) };
    }
  }
  throw new Error('nothing was decided');
}
