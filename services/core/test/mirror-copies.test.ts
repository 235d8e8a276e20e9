/** Rule 10 for mirrors: whose copy may be taken over to, what it would lose, and in which words that is said. */

import {
  encode,
  keys,
  lossClause,
  parseConfig,
  type GroupConfig,
  type GroupRecord,
  type Member,
} from '../src/index.ts';
import { assess } from '../src/quorum/candidates.ts';
import { nobodyHeard } from '../src/quorum/presence.ts';
import type { Scene } from '../src/quorum/scene.ts';
import { lossNow, notInStep } from '../src/quorum/copies.ts';
import { absorb, emptyView } from '../src/quorum/view.ts';
import { hear, startListening } from '../src/vantage.ts';
import type { LiveMirror, MirrorCopy } from '../src/mirror/report.ts';
import type { GroupReport, RenewalRecord } from '../src/records.ts';
import type { Heartbeat } from '../src/heartbeat.ts';

const member = (id: string, last: number): Member => ({
  id,
  role: 'server',
  addresses: [`10.77.0.${String(last)}`],
  voter: true,
});
const members = [member('a', 11), member('b', 12)];

function configured(gate?: object, mirrors: object = { data: { files: { root: '/srv/d3' } } }): GroupConfig {
  const group = {
    servers: ['a', 'b'],
    identity: { mode: 'add', addresses: ['10.77.0.100/24'] },
    mirrors,
    ...(gate === undefined ? {} : { gate }),
  };
  const parsed = parseConfig({ groups: { d3: group } }, 'cluster.yaml', members);
  const config = parsed.kind === 'ok' ? parsed.config.groups.get('d3') : undefined;
  if (config === undefined) throw new Error(JSON.stringify(parsed));
  return config;
}

const owned: GroupRecord = {
  group: 'd3',
  ownership: { kind: 'owned', owner: 'a', epoch: 7n },
  operation: null,
  ownerBoot: 'a-boot',
  failovers: [],
  reason: 'a takes d3 up',
  since: 0,
  takeoverMs: [],
  data: { server: 'a', epoch: 7n },
};

const whole: MirrorCopy = {
  mirror: 'd3/data',
  epoch: 7n,
  sequence: 900,
  consistent: true,
  state: 'replicating',
  lossMs: 0,
  lossBytes: 0,
  wordAgeMs: 0,
  says: '',
};

const fenced: GroupReport = {
  group: 'd3',
  epoch: 7n,
  state: 'fenced',
  says: '',
  steps: [],
  resources: {},
  wantsRelease: null,
  releaseRefused: null,
};

const beat: Heartbeat = {
  kind: 'heartbeat',
  sentAt: 0,
  echo: null,
  version: '1',
  leaving: false,
  addresses: [],
  groups: [],
  vantage: [],
  diagnoses: [],
};

function renewal(server: string, told: Partial<RenewalRecord>): RenewalRecord {
  const base = { server, incarnation: 1, counter: 1, bootId: `${server}-boot`, bootRevision: 1n };
  return { ...base, version: '1', leaving: false, waits: {}, groups: [], ...told };
}

interface Told {
  readonly copy?: MirrorCopy | null;
  readonly record?: GroupRecord;
  readonly owner?: Partial<RenewalRecord>;
  /** What A said with its last heartbeat. */
  readonly live?: LiveMirror;
  /** When A was last heard; it is 100 s now. */
  readonly heardAt?: number;
}

const now = 100_000;

function scene(told: Told): Scene {
  const { copy = whole, record = owned, owner = {}, live, heardAt = 60_000 } = told;
  const mirrors = copy === null ? {} : { mirrors: [copy] };
  const put = (key: string, value: string, modRevision: bigint) => ({ key, value, modRevision });
  const first = [
    ...members.map((m) => put(keys.member(m.id), JSON.stringify(m), 2n)),
    put(keys.group('d3'), encode(record), 3n),
    put(keys.renewal('a'), encode(renewal('a', owner)), 20n),
  ];
  const before = absorb(emptyView, 20n, first, 1_000);
  const view = absorb(before, 21n, [put(keys.renewal('b'), encode(renewal('b', mirrors)), 21n)], now - 500);
  const a = live === undefined ? beat : { ...beat, mirrors: [live] };
  const heardA = hear(startListening('w', 0), 'a', 0, a, heardAt);
  return {
    now,
    view,
    vantage: hear(heardA, 'b', 0, beat, now - 100),
    heartbeatMs: 1_000,
    presence: nobodyHeard,
  };
}

const standby = (told: Told, config = configured()) => {
  const s = scene(told);
  const record = told.record ?? owned;
  const candidate = assess(s, config, record, 'b');
  return { ...candidate, lossText: lossClause([candidate], 'b'), behind: notInStep(s, config, record, 'b') };
};

describe('a copy', () => {
  it('that is complete and heard everything is taken over to, and loses nothing', () => {
    const b = standby({ heardAt: 99_400 });
    expect(b).toMatchObject({ blocker: null, ask: null, lossText: '; estimated loss: none', behind: null });
  });

  it('that is not complete is refused, and a person may force it', () => {
    const b = standby({ copy: { ...whole, consistent: false, state: 'initial-copy' } });
    expect(b).toMatchObject({
      blocker: 'the copy of d3/data on b is not complete (initial copy)',
      forceable: true,
    });
    expect(b.lossText).toBe('; estimated loss: not known');
  });

  it('that has diverged is refused with its own words, and a person may force it', () => {
    const b = standby({ copy: { ...whole, state: 'diverged', says: 'a person chooses' } });
    expect(b).toMatchObject({
      blocker: 'the copy of d3/data on b has writes of its own that are not kept aside yet: a person chooses',
      forceable: true,
    });
  });

  it('of which nothing was told is refused', () => {
    expect(standby({ copy: null }).blocker).toBe('nothing is known of the copy of d3/data on b');
  });

  it('that has not heard its source in this life waits, because how far it is behind is not known', () => {
    const b = standby({ copy: { ...whole, lossMs: null, lossBytes: null, wordAgeMs: null } });
    expect(b.blocker).toBe('the copy on b may be behind, and by how much is not known');
    expect(b.forceable).toBe(true);
  });

  it('of an earlier epoch counts as unknown, however complete it is', () => {
    expect(standby({ copy: { ...whole, epoch: 6n } }).blocker).toContain('is not known');
  });

  it('that lost its source before the source died lacks at least the time between', () => {
    const b = standby({ copy: { ...whole, wordAgeMs: 60_000 }, heardAt: 60_000 });
    expect(b.loss).toEqual({ ms: 20_500, bytes: null });
    expect(b.lossText).toBe('; estimated loss: 21 s and an unknown number of bytes');
  });

  it('is as far behind as its source said last, if that is known', () => {
    const live: LiveMirror = {
      ...{ mirror: 'd3/data', epoch: 7n, target: 'b', state: 'disconnected', consistent: true },
      ...{
        behindBytes: 5_242_880,
        behindMs: 19_000,
        totalBytes: 0,
        doneBytes: 0,
        rateBytesPerSecond: 0,
        says: '',
      },
    };
    const b = standby({ copy: { ...whole, wordAgeMs: 60_000 }, live });
    expect(b.lossText).toBe('; estimated loss: 19 s and 5.0 MiB');
  });
});

describe('what is shown as the loss of this moment', () => {
  const row: LiveMirror = {
    ...{ mirror: 'd3/data', epoch: 7n, target: 'b', state: 'replicating', consistent: true },
    ...{ behindBytes: 500, behindMs: 49, totalBytes: 0, doneBytes: 0, rateBytesPerSecond: 0, says: '' },
  };
  const shown = (told: Told, config = configured()) => lossNow(scene(told), config, owned, 'b');

  it('has the age of the word on which it rests', () => {
    expect(shown({ live: row, heardAt: 99_600 })).toEqual({ ms: 49, bytes: 500, ageMs: 800 });
    expect(shown({ live: { ...row, behindMs: 0 }, heardAt: 100_000 })).toMatchObject({ ms: 0, ageMs: 400 });
  });

  it('grows as long as the owner is silent, which may go on writing', () => {
    const silent = { copy: { ...whole, wordAgeMs: 20_000 }, live: row, heardAt: 80_000 };
    expect(shown(silent)).toMatchObject({ ms: 49, ageMs: 20_400 });
  });

  it('rests on what the copy was told, where the owner is not heard here', () => {
    // The renewal is 500 ms old, and what it calls fresh may be 1.5 s old.
    expect(shown({ copy: { ...whole, lossMs: 100 }, heardAt: 99_000 })).toMatchObject({
      ms: 100,
      ageMs: 2_000,
    });
    expect(shown({ copy: { ...whole, lossMs: null, lossBytes: null, wordAgeMs: null } })).toMatchObject({
      ms: null,
    });
  });

  it('is nothing where everything was drained', () => {
    const owner = { groups: [{ ...fenced, drained: ['b'] }] };
    expect(shown({ live: row, heardAt: 99_600, owner })).toEqual({ ms: 0, bytes: 0, ageMs: 0 });
  });

  it('is nothing more than is under way where nothing is answered that the copy does not have', () => {
    const sync = (more: object) =>
      configured(undefined, {
        disk: { volume: { path: '/dev/vg0/d3', size: '1GiB', mode: 'sync', ...more } },
      });
    const copy = { ...whole, mirror: 'd3/disk', wordAgeMs: 10_000 };
    const disk = { copy, live: { ...row, mirror: 'd3/disk', behindMs: 0 } };
    expect(shown({ ...disk, heardAt: 99_600 }, sync({}))).toMatchObject({ ms: 0, ageMs: 0 });
    // The owner may have lost the copy, waited for it, and gone on alone.
    expect(shown({ ...disk, heardAt: 90_000 }, sync({}))).toMatchObject({ ms: 0, ageMs: 10_400 });
    expect(shown({ ...disk, heardAt: 90_000 }, sync({ onTargetLoss: 'block' }))).toMatchObject({ ageMs: 0 });
  });
});

describe('the gate', () => {
  const stale = { copy: { ...whole, wordAgeMs: 60_000 }, heardAt: 60_000 };

  it.each([
    ['wait', 'the copy on b is 21 s behind, and the gate allows 10s', null],
    ['ask', null, 'the copy on b is 21 s behind, and the gate allows 10s'],
    ['takeover', null, null],
  ])('with onStale %s', (onStale, blocker, ask) => {
    expect(standby(stale, configured({ maxLag: '10s', onStale }))).toMatchObject({ blocker, ask });
  });

  it('counts an unknown number of bytes as too many', () => {
    expect(standby(stale, configured({ maxBytes: '1GiB' })).blocker).toContain('unknown number of bytes');
  });

  it('has nothing to say about a copy to which everything was drained', () => {
    const owner = { groups: [{ ...fenced, drained: ['b'] }] };
    const b = standby({ ...stale, owner }, configured({ maxLag: '10s' }));
    expect(b).toMatchObject({ blocker: null, lossText: '; estimated loss: none' });
  });
});

describe('whose data counts', () => {
  it('is the last owner, which no mirror blocks', () => {
    const record: GroupRecord = { ...owned, ownership: { kind: 'owned', owner: 'b', epoch: 8n } };
    expect(standby({ copy: null, record }).blocker).toBeNull();
  });

  it('is still the former one while the new owner was never active', () => {
    const record: GroupRecord = {
      ...owned,
      ownership: { kind: 'owned', owner: 'a', epoch: 8n },
      data: { server: 'b', epoch: 7n },
    };
    const owner = { groups: [{ ...fenced, epoch: 8n, state: 'failed' as const }] };
    expect(standby({ copy: null, record, owner }).blocker).toBeNull();
  });

  it('is nobody yet: then the group begins on its preferred server', () => {
    const record: GroupRecord = {
      ...owned,
      ownership: { kind: 'unowned', epoch: 0n, lastOwner: null },
      ownerBoot: null,
      data: undefined,
    };
    expect(standby({ record }).blocker).toBe('nothing was ever copied to b: d3 begins on a');
  });
});

describe('a planned move', () => {
  it.each([
    ['the copy catches up', { ...whole, state: 'resync' as const }, 'is not in step (resync)'],
    ['the line is silent', { ...whole, wordAgeMs: 8_000 }, 'has heard nothing for 8.0 s'],
    ['it is far behind', { ...whole, lossMs: 45_000, lossBytes: 4_096 }, 'is 45 s behind'],
  ])('waits while %s', (_, copy, says) => {
    expect(standby({ copy, heardAt: 99_400 }).behind).toContain(says);
  });
});
