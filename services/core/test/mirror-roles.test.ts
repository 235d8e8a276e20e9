/** Who is the source and who the target, as the holding of a server and the records of the groups say. */

import { encode, parseConfig, parseRenewal, type Member } from '../src/index.ts';
import { newGroupState, type GroupState } from '../src/agent/holding.ts';
import { copiesAt, liveAt } from '../src/agent/copies.ts';
import type { CopyNotes } from '../src/mirror/report.ts';
import { ordersOf, type Cast } from '../src/mirror/roles.ts';
import { deriveTimeRules } from '../src/time.ts';
import { startListening } from '../src/vantage.ts';
import type { GroupRecord, Ownership, PauseRecord } from '../src/records.ts';
import { activeOnA } from './leader.ts';

const member = (id: string, last: number): Member => ({
  id,
  role: 'server',
  addresses: [`10.77.0.${String(last)}`, `10.78.0.${String(last)}`],
  voter: true,
  mirrorPort: 7_000 + last,
});
const members = [member('a', 11), member('b', 12), member('c', 13)];

const parsed = parseConfig(
  {
    groups: {
      d3: {
        servers: ['a', 'b'],
        identity: { mode: 'add', addresses: ['10.77.0.100/24'] },
        mirrors: { data: { files: { root: '/srv/d3' }, throttle: '1Mbit' } },
      },
    },
    mirrors: {
      offsite: { from: { group: 'd3', mirror: 'data' }, to: ['c'], root: '/backup/d3', encrypt: 'never' },
    },
  },
  'cluster.yaml',
  members,
);
if (parsed.kind === 'invalid') throw new Error(parsed.errors.join('\n'));
const { config } = parsed;

const derived = deriveTimeRules(35_000);
if (derived.kind !== 'ok') throw new Error('the default outage is too short');
const { rules } = derived;

const recordOf = (ownership: Ownership): GroupRecord => ({
  ...{ group: 'd3', ownership, operation: null, ownerBoot: null, failovers: [], reason: '', since: 0 },
  takeoverMs: [],
});

const idle = newGroupState('d3', 0n);
const active: GroupState = {
  ...idle,
  holding: { kind: 'active', epoch: 7n, done: [], change: null },
  entitlement: { provenAt: 50_000, rules },
  entitledEpoch: 7n,
  opened: { epoch: 7n, mirrors: ['d3/data'] },
};

function cast(
  self: string,
  g: GroupState | null,
  followed: GroupRecord | null = null,
  stripped = true,
): Cast {
  return {
    self,
    config,
    stripped,
    members: new Map(members.map((m) => [m.id, m])),
    vantage: startListening(self, 0),
    pauses,
    groups: new Map(g === null ? [] : [['d3', g]]),
    followed: new Map(followed === null ? [] : [['d3', followed]]),
  };
}
const pauses: PauseRecord = { mirrors: { offsite: { c: 'backup' } } };

const roleOf = (c: Cast) => ordersOf(c, config).mirrors[0]?.role;

describe('an owner', () => {
  it('is the source until it begins to fence, and sends to the standby and to the copy elsewhere', () => {
    const order = ordersOf(cast('a', active), config).mirrors[0];
    expect(order).toMatchObject({ mirror: 'd3/data', dataset: { kind: 'files', root: '/srv/d3' } });
    expect(order?.role).toMatchObject({
      kind: 'source',
      epoch: 7n,
      grantUntil: 50_000 + rules.fenceMs,
      targets: [
        {
          member: 'b',
          addresses: ['10.78.0.12', '10.77.0.12'],
          port: 7_012,
          encrypt: 'always',
          paused: null,
        },
        { member: 'c', port: 7_013, throttle: null, encrypt: 'never', paused: 'backup', elsewhere: true },
      ],
    });
    const standby = order?.role.kind === 'source' ? order.role.targets[0] : null;
    expect(standby?.elsewhere).toBeUndefined();
  });

  it('is not the source before its copy was opened at this very epoch', () => {
    expect(roleOf(cast('a', { ...active, opened: null }))).toMatchObject({ kind: 'idle' });
    const earlier = { epoch: 6n, mirrors: ['d3/data'] };
    expect(roleOf(cast('a', { ...active, opened: earlier }))).toMatchObject({ kind: 'idle' });
  });

  it('is nothing any more as soon as it fences', () => {
    const holding = { kind: 'fencing', epoch: 7n, reason: '', retryAt: 0, then: 'fenced' } as const;
    expect(roleOf(cast('a', { ...active, holding }))).toMatchObject({ kind: 'idle', epoch: 7n });
  });
});

describe('another server', () => {
  const owned = recordOf({ kind: 'owned', owner: 'a', epoch: 7n });

  it('takes what the owner on record sends', () => {
    expect(roleOf(cast('b', { ...idle, seen: owned }))).toEqual({
      kind: 'target',
      epoch: 7n,
      sources: ['a'],
    });
  });

  it('is told when the group was given by force last, in the group and outside of it', () => {
    const forced = { ...owned, forced: 6n };
    expect(roleOf(cast('b', { ...idle, seen: forced }))).toMatchObject({ kind: 'target', forced: 6n });
    expect(roleOf(cast('c', null, forced))).toMatchObject({ kind: 'target', forced: 6n });
  });

  it('takes nothing before the boot rule was carried out', () => {
    expect(roleOf(cast('b', { ...idle, seen: owned }, null, false))).toMatchObject({ kind: 'idle' });
  });

  it('takes nothing any more when the group was given to it', () => {
    const given = recordOf({ kind: 'owned', owner: 'b', epoch: 8n });
    expect(roleOf(cast('b', { ...idle, seen: given }))).toMatchObject({ kind: 'idle', epoch: 8n });
  });

  it('outside of the group follows the owner, in a folder of its own', () => {
    const orders = ordersOf(cast('c', null, owned), config).mirrors;
    expect(orders).toMatchObject([
      { mirror: 'd3/data', dataset: { root: '/backup/d3' }, role: { kind: 'target', sources: ['a'] } },
    ]);
  });
});

describe('an observed group', () => {
  const group = config.groups.get('d3');
  if (group === undefined) throw new Error('no group d3');
  const observed = { ...config, groups: new Map([['d3', { ...group, takeover: 'observe' as const }]]) };
  const orders = (g: GroupState, stripped = true) =>
    ordersOf({ ...cast('b', g, null, stripped), config: observed }, observed).mirrors;

  it('has no mirror here while nobody of ours owns it', () => {
    const unowned = recordOf({ kind: 'unowned', epoch: 7n, lastOwner: 'a' });
    expect(orders(idle)).toEqual([]);
    expect(orders({ ...idle, highestEpoch: 7n, seen: unowned })).toEqual([]);
  });

  it('that was owned before keeps its mirror while a server begins, for what is taken away is not believed any more', () => {
    const before: GroupState = { ...idle, highestEpoch: 7n };
    const seen = recordOf({ kind: 'owned', owner: 'a', epoch: 7n });
    expect(orders(before, false)).toMatchObject([{ mirror: 'd3/data', role: { kind: 'idle' } }]);
    expect(orders({ ...before, seen }, false)).toMatchObject([{ role: { kind: 'idle' } }]);
    expect(orders({ ...before, seen })).toMatchObject([{ role: { kind: 'target', sources: ['a'] } }]);
  });
});

it('a copy tells in its renewal how old the last word of its source is', () => {
  const word = { at: 9_000, behindMs: 140, behindBytes: 5 };
  const report = { mirror: 'd3/data', epoch: 7n, sequence: 4, consistent: true, says: '' } as const;
  const at = (now: number) => copiesAt([{ kind: 'target', ...report, state: 'replicating', word }], now)[0];
  expect(at(9_400)).toMatchObject({ lossMs: 200, lossBytes: 5, wordAgeMs: 0 });
  expect(at(14_010)).toMatchObject({ lossMs: 200, wordAgeMs: 5_100 });
});

it('a source tells in its heartbeats for how long its mirror process has told nothing', () => {
  const row = { target: 'b', state: 'replicating', consistent: true, behindBytes: 5, behindMs: 140 } as const;
  const figures = { totalBytes: 0, doneBytes: 0, rateBytesPerSecond: 0, says: '' };
  const report = { mirror: 'd3/data', epoch: 7n, sequence: 4, says: '', export: null } as const;
  const source = { kind: 'source', ...report, targets: [{ ...row, ...figures }] } as const;
  const at = (now: number) => liveAt([source], 9_000, 1_000, now)[0]?.behindMs;
  expect(at(11_000)).toBe(140);
  expect(at(11_500)).toBe(2_640);
});

it('a copy tells in its renewal only what there is to tell besides', () => {
  const report = {
    mirror: 'd3/data',
    epoch: 7n,
    sequence: 4,
    consistent: true,
    says: '',
    word: null,
  } as const;
  const told = (notes: CopyNotes) =>
    copiesAt([{ kind: 'target', ...report, state: 'replicating', notes }], 0)[0];
  const well = { foreign: 0, unprotected: '', keptEntries: 0, keptBytes: 0 };
  expect(told(well)).not.toHaveProperty('foreign');
  expect(told({ ...well, foreign: null, unprotected: 'no right to mount', keptEntries: 2 })).toMatchObject({
    unprotected: 'no right to mount',
    kept: 2,
  });
  const [asks] = copiesAt([{ kind: 'target', ...report, state: 'diverged', choice: true }], 0);
  const renewal = { ...activeOnA, mirrors: asks === undefined ? [] : [asks] };
  const read = parseRenewal(encode(renewal));
  expect(read.kind === 'ok' ? read.value.mirrors : read).toMatchObject([{ state: 'diverged', choice: true }]);
});
