/** What goes from one group to another: who waits for whom, what `apply` refuses, and what an agent says of itself. */

import {
  configFromJson,
  configToJson,
  encode,
  keys,
  lookedAtGroups,
  newQuorum,
  parseConfig,
  refuseTaking,
  sceneOf,
  stepQuorum,
  withLeaving,
  type ClusterConfig,
  type GroupRecord,
  type QuorumEvent,
  type QuorumState,
  type RenewalRecord,
} from '../src/index.ts';
import { activeOnA, beat, members, ownedByA, renewal } from './leader.ts';
import { own, Owner } from './owner.ts';

const service = '10.77.0.100/24';
const other = '10.77.0.101/24';
const third = '10.77.0.102/24';

function config(groups: Readonly<Record<string, readonly string[]>>, more: object = {}): ClusterConfig {
  const raw = Object.entries(groups).map(([name, addresses]): readonly [string, unknown] => [
    name,
    { servers: ['a', 'b'], outage: '5s', identity: { mode: 'add', addresses }, ...more },
  ]);
  const parsed = parseConfig({ groups: Object.fromEntries<unknown>(raw) }, 'cluster.yaml', members);
  if (parsed.kind === 'invalid') throw new Error(parsed.errors.join('\n'));
  return parsed.config;
}

const replacing = config({ g1: [] }, { identity: { mode: 'replace', prefix: 24 } });

type Told = Partial<RenewalRecord>;

/** W leads, read all this at 1 s and heard both servers then. */
class Quorum {
  state: QuorumState = newQuorum('w', true, 1, 0);

  constructor(applied: ClusterConfig, a: Told, b: Told, records: readonly GroupRecord[] = []) {
    const list: readonly (readonly [string, string])[] = [
      ...members.map((m) => [keys.member(m.id), JSON.stringify(m)] as const),
      [keys.config, JSON.stringify({ config: configToJson(applied) })],
      [keys.leader, encode({ member: 'w', incarnation: 1, term: 1 })],
      [keys.beat, 'w 1 0'],
      [keys.renewal('a'), encode(renewal('a', { waits: {}, ...a }))],
      [keys.renewal('b'), encode(renewal('b', { waits: {}, ...b }))],
      ...records.map((record) => [keys.group(record.group), encode(record)] as const),
    ];
    this.tell({ kind: 'relay', connected: true }, 0);
    const rows = list.map(([key, value]) => ({ key, value, modRevision: 20n }));
    this.tell({ kind: 'read', answer: { kind: 'read', revision: 30n, rows } }, 1_000);
    this.hears(['a', 'b'], 1_000);
  }

  tell(event: QuorumEvent, now: number): void {
    this.state = stepQuorum(this.state, event, now, now).state;
  }

  hears(from: readonly string[], now: number): void {
    for (const id of from) this.tell({ kind: 'heard', from: id, path: 0, heartbeat: beat }, now);
  }

  reason(): string {
    return this.state.judgements.get('g2')?.reason ?? '';
  }
}

const before = config({ g1: [service] });
const renamed = withLeaving(null, before, config({ g2: [service] }), 10n);

describe('a new group that has the address of one that was removed', () => {
  const waits =
    'a takes g2 up as soon as it may: 10.77.0.100 belonged to g1, and a may not have let go of it yet';

  it('is given to nobody before each server acts under the configuration that removed it', () => {
    expect(new Quorum(renamed, { actsUnder: 10n }, { actsUnder: 11n }).reason()).toBe(waits);
    expect(new Quorum(renamed, {}, { actsUnder: 11n }).reason()).toBe(waits);
    expect(new Quorum(renamed, { actsUnder: 11n }, { actsUnder: 11n }).reason()).toBe('a takes g2 up');
  });

  it('does not wait for a server that is down by the rules of that time', () => {
    const w = new Quorum(renamed, { actsUnder: 10n }, { actsUnder: 11n });
    for (let now = 1_500; now <= 9_000; now += 500) {
      w.hears(['b'], now);
      const row = {
        key: keys.renewal('b'),
        value: encode(renewal('b', { waits: {}, counter: now, actsUnder: 11n })),
      };
      const revision = BigInt(now);
      w.tell({ kind: 'changed', revision, rows: [{ ...row, modRevision: revision }] }, now);
      if (now < 5_000) expect(w.reason()).not.toMatch(/^b takes g2 up$/);
    }
    expect(w.reason()).toMatch(/^b takes g2 up/);
  });

  it('waits for nobody when it shares nothing', () => {
    const apart = withLeaving(null, before, config({ g2: [other] }), 10n);
    expect(new Quorum(apart, {}, {}).reason()).toBe('a takes g2 up');
  });

  it('waits for a folder that both mirror, too', () => {
    const mirrors = { data: { files: { root: '/srv/data' } } };
    const after = withLeaving(
      null,
      config({ g1: [service] }, { mirrors }),
      config({ g2: [other] }, { mirrors }),
      10n,
    );
    expect(new Quorum(after, {}, { actsUnder: 11n }).reason()).toContain('/srv/data belonged to g1');
  });
});

describe('a new group that has something else of one that was removed', () => {
  const disk = (path: string) => ({ disk: { volume: { path, size: '1GiB', attach: 'nbd-client' } } });
  const unit = { resources: [{ name: 'x', systemd: 'x' }] };
  const mount = [{ name: 'db', mount: { mirror: 'disk', at: '/srv/db' } }];
  const named = (address: string) => ({
    identity: { mode: 'add', addresses: [address], hostname: 'Files' },
  });

  it.each([
    ['a unit', unit, unit, 'the unit "x.service"'],
    ['a host name', named(service), named(other), 'the host name "files"'],
    [
      'a mount point',
      { mirrors: disk('/srv/one'), resources: mount },
      { mirrors: disk('/srv/two'), resources: mount },
      'the folder "/srv/db"',
    ],
    ['a volume', { mirrors: disk('/srv/one') }, { mirrors: disk('/srv/one') }, '/srv/one'],
  ])('waits for %s', (_, g1, g2, thing) => {
    const after = withLeaving(null, config({ g1: [service] }, g1), config({ g2: [other] }, g2), 10n);
    expect(new Quorum(after, { actsUnder: 10n }, { actsUnder: 10n }).reason()).toBe(
      `a takes g2 up as soon as it may: ${thing} belonged to g1, and a and b may not have let go of it yet`,
    );
    expect(new Quorum(after, { actsUnder: 11n }, { actsUnder: 11n }).reason()).toBe('a takes g2 up');
  });

  it('waits for a unit on the servers that both have', () => {
    const on = (servers: readonly string[]) => ({ ...unit, servers });
    const g1 = config({ g1: [service] }, on(['a', 'b']));
    const after = withLeaving(null, g1, config({ g2: [other] }, on(['b'])), 10n);
    expect(new Quorum(after, {}, { actsUnder: 10n }).reason()).toContain('and b may not have let go');
    expect(new Quorum(after, {}, { actsUnder: 11n }).reason()).toBe('b takes g2 up');
    const apart = withLeaving(
      null,
      config({ g1: [service] }, on(['a'])),
      config({ g2: [other] }, on(['b'])),
      10n,
    );
    expect(new Quorum(apart, {}, {}).reason()).toBe('b takes g2 up');
  });

  it('is told why a server does not let go', () => {
    const [report] = activeOnA.groups;
    if (report === undefined) throw new Error('a holds nothing');
    const refusing = { groups: [{ ...report, releaseRefused: 'hook beforeRelease 1: exit status 1' }] };
    const asked = { kind: 'releasing', epoch: 4n, owner: 'a', to: null } as const;
    const w = new Quorum(renamed, refusing, { actsUnder: 11n }, [{ ...ownedByA, ownership: asked }]);
    expect(w.reason()).toMatch(
      /may not have let go of it yet \(hook beforeRelease 1: exit status 1; see holdfast explain g1\)$/,
    );
  });
});

describe('what a configuration takes away', () => {
  it('is stored with it', () => {
    const raw: unknown = JSON.parse(JSON.stringify(configToJson(renamed)));
    expect(configFromJson(raw)).toEqual({ kind: 'ok', config: renamed });
    expect(renamed.leaving).toEqual([{ group: before.groups.get('g1'), above: 10n }]);
  });

  it('is nothing where all that a group claims stays, or comes back', () => {
    expect(withLeaving(null, before, config({ g1: [service, other] }), 10n).leaving).toEqual([]);
    expect(
      withLeaving(null, renamed, config({ g1: [service] }), 12n).leaving.map((l) => l.group.name),
    ).toEqual(['g2']);
    expect(
      withLeaving(null, config({ g1: [service] }, { takeover: 'observe' }), config({}), 9n).leaving,
    ).toEqual([]);
  });

  it('is all of a group on a server that it moves away from', () => {
    const less = withLeaving(null, before, config({ g1: [service] }, { servers: ['b'] }), 10n);
    expect(less.leaving).toEqual([{ group: before.groups.get('g1'), above: 10n }]);
    expect(lookedAtGroups(before, { ...less, leaving: [] })).toEqual(['g1']);
    expect(withLeaving(null, less, before, 12n).leaving).toEqual([]);
  });

  it('is forgotten with a later configuration, once every server let go', () => {
    const w = new Quorum(renamed, { actsUnder: 11n }, { actsUnder: 11n });
    const next = config({ g2: [service, other] });
    expect(withLeaving(sceneOf(w.state, 1_100), renamed, next, 30n).leaving).toEqual([]);
    const early = new Quorum(renamed, { actsUnder: 11n }, {});
    expect(withLeaving(sceneOf(early.state, 1_100), renamed, next, 30n).leaving).toEqual(renamed.leaving);
  });
});

describe('a group that nobody was given yet', () => {
  it('has nothing to let go of: a new name can be taken back while the old one is still released', () => {
    const asked = { kind: 'releasing', epoch: 4n, owner: 'a', to: null } as const;
    const w = new Quorum(renamed, { actsUnder: 10n }, { actsUnder: 11n }, [
      { ...ownedByA, ownership: asked },
    ]);
    const scene = sceneOf(w.state, 1_100);
    const back = withLeaving(scene, renamed, before, 30n);
    expect(back.leaving).toEqual([]);
    expect(refuseTaking(scene, renamed, back)).toEqual([]);
    // It may be given to somebody before that is stored.
    expect(lookedAtGroups(renamed, back)).toEqual(['g2']);
  });

  it('but for the copies that its servers keep', () => {
    const mirrors = { data: { files: { root: '/srv/data' } } };
    const w = new Quorum(config({ g1: [service] }, { mirrors }), {}, {});
    const after = withLeaving(
      sceneOf(w.state, 1_100),
      config({ g1: [service] }, { mirrors }),
      config({}),
      30n,
    );
    expect(after.leaving.map(({ group }) => group.name)).toEqual(['g1']);
  });
});

describe('an address that goes to a group that runs', () => {
  const both = config({ g1: [service], g2: [other] });
  const moved = config({ g1: [third], g2: [other, service] });
  const runs: GroupRecord = { ...ownedByA, group: 'g2' };
  const refused = (records: readonly GroupRecord[], from: ClusterConfig, to: ClusterConfig, a: Told = {}) => {
    const w = new Quorum(from, a, { actsUnder: 20n }, records);
    const scene = sceneOf(w.state, 1_100);
    return refuseTaking(scene, from, withLeaving(scene, from, to, 19n));
  };

  it('is refused, with what to do', () => {
    expect(refused([ownedByA, runs], both, moved)).toEqual([
      'groups.g2: 10.77.0.100 belonged to g1, and a may not have let go of it yet, and g2 runs, so that it would take it ' +
        'at once; apply first a configuration in which nobody has 10.77.0.100, and this one after that',
    ]);
  });

  it('is refused for a unit, too', () => {
    const x = { resources: [{ name: 'x', systemd: 'x' }] };
    const [g1] = config({ g1: [service] }, x).groups.values();
    const [g2] = config({ g2: [other] }, x).groups.values();
    if (g1 === undefined || g2 === undefined) throw new Error('there are no groups');
    const without = config({ g1: [service], g2: [other] });
    const with1 = { ...without, groups: new Map(without.groups).set('g1', g1) };
    const with2 = { ...without, groups: new Map(without.groups).set('g2', g2) };
    expect(refused([ownedByA, runs], with1, with2)[0]).toContain(
      'apply first a configuration in which nobody has the unit "x.service"',
    );
  });

  it('is taken once its servers let go of it', () => {
    const without = withLeaving(null, both, config({ g1: [third], g2: [other] }), 5n);
    expect(refused([runs], without, moved, { actsUnder: 4n })).toHaveLength(1);
    expect(refused([runs], without, moved, { actsUnder: 20n })).toEqual([]);
  });

  it('is taken by one that nobody owns: it waits by itself', () => {
    expect(refused([], both, moved)).toEqual([]);
  });

  it('does not hold up a change of what it has anyway', () => {
    const has = withLeaving(null, both, moved, 5n);
    expect(refused([runs], has, config({ g1: [third], g2: [service] }))).toEqual([]);
  });
});

describe('an agent', () => {
  const app = { name: 'app', command: { start: ['x'], stop: ['y'], status: ['z'] } };
  const serving = config({ g1: [service] }, { resources: [app] });
  const next = withLeaving(null, serving, config({ g2: [service] }), 50n);

  it('acts under a configuration once nothing is here that it took away, and takes no address from a group that has it', () => {
    const a = new Owner();
    a.take({ kind: 'configured', config: serving, revision: 40n });
    expect(a.renewed?.actsUnder ?? 0n).toBe(0n);
    a.take({ kind: 'stripped' });
    a.pass(2_000);
    expect(a.state.groups.get('g1')?.holding.kind).toBe('active');
    expect(a.renewed?.actsUnder).toBe(40n);

    a.actions = [];
    a.take({ kind: 'configured', config: next, revision: 51n });
    expect(a.stripped()).toEqual([]);
    a.take({ kind: 'stripped' });
    a.record = { ...own, ownership: { kind: 'releasing', epoch: 1n, owner: 'a', to: null } };
    a.pass(2_000);
    expect(a.state.groups.get('g1')?.holding.kind).toBe('releasing');
    expect(a.renewed?.actsUnder).toBe(40n);
    const stop = a.actions.findLast((action) => action.kind === 'run-step');
    if (stop?.kind === 'run-step') a.end(stop);
    a.pass(2_000);
    expect(a.state.groups.get('g1')?.holding.kind).toBe('fenced');
    expect(a.renewed?.actsUnder).toBe(51n);
  });

  it('spares the name and the mount of a group that has a new name', () => {
    const more = {
      identity: { mode: 'add', addresses: [service], hostname: 'Files' },
      mirrors: { disk: { volume: { path: '/srv/one', size: '1GiB', attach: 'nbd-client' } } },
      resources: [{ name: 'db', mount: { mirror: 'disk', at: '/srv/db' } }],
    };
    const old = config({ g1: [service] }, more);
    const a = new Owner([{ group: 'g1', epoch: 1n, state: 'active', fenceAt: 5_000 }]);
    a.take({ kind: 'configured', config: old, revision: 40n });
    a.take({ kind: 'stripped' });
    a.actions = [];
    a.take({
      kind: 'configured',
      config: withLeaving(null, old, config({ g2: [service] }, more), 50n),
      revision: 51n,
    });
    const strips = a.actions.filter((action) => action.kind === 'strip');
    expect(strips).toEqual([
      {
        kind: 'strip',
        addresses: [],
        groups: ['g2'],
        spared: { hostnames: ['files'], folders: ['/srv/db'] },
      },
    ]);
  });

  it('of a new life goes on with a group that was removed, until it is released', () => {
    const held = [{ group: 'g1', epoch: 1n, state: 'active', fenceAt: 5_000 }] as const;
    const a = new Owner(held);
    a.take({ kind: 'configured', config: next, revision: 51n });
    expect(a.stripped()).toEqual([]);
    a.take({ kind: 'stripped' });
    a.record = { ...own, ownership: { kind: 'releasing', epoch: 1n, owner: 'a', to: null } };
    a.pass(2_000);
    expect(a.actions.some((action) => action.kind === 'run-step' && action.step.kind === 'stop')).toBe(true);
    expect(a.renewed?.actsUnder).toBe(0n);
  });

  it.each([
    ['was removed', next],
    ['moved away', withLeaving(null, serving, config({ g1: [service] }, { servers: ['b'] }), 50n)],
  ])('that booted tells the end of a group that %s, as soon as nothing of it is here', (_, applied) => {
    const a = new Owner();
    a.record = { ...own, ownership: { kind: 'releasing', epoch: 1n, owner: 'a', to: null } };
    a.take({ kind: 'configured', config: applied, revision: 51n });
    a.pass(2_000);
    expect(a.renewed?.groups).toEqual([]);
    a.take({ kind: 'stripped' });
    a.pass(2_000);
    expect(a.renewed?.groups).toMatchObject([{ group: 'g1', epoch: 1n, state: 'fenced' }]);
  });

  it('that can not read what it held fences each group first, and never acts at an epoch that may be of that life', () => {
    const a = new Owner([], true);
    a.take({ kind: 'configured', config: serving, revision: 40n });
    expect(a.actions).toContainEqual(expect.objectContaining({ kind: 'fence', group: 'g1', epoch: 0n }));
    expect(a.stripped()).toEqual([]);
    a.take({ kind: 'stripped' });
    a.pass(2_000);
    expect(a.renewed?.groups).toMatchObject([{ state: 'releasing' }]);
    a.take({ kind: 'fence-ended', group: 'g1', epoch: 0n, ended: { kind: 'done' } });
    a.pass(2_000);
    expect(a.renewed?.groups).toMatchObject([{ epoch: 1n, state: 'fenced' }]);
    a.record = { ...own, ownership: { kind: 'owned', owner: 'a', epoch: 2n } };
    a.pass(2_000);
    expect(a.renewed?.groups).toMatchObject([{ epoch: 2n, state: 'active' }]);
  });

  it('that can not read what it held does not act by an answer that was overtaken by a hint', () => {
    const a = new Owner([], true, false);
    a.take({ kind: 'configured', config: serving, revision: 40n });
    a.take({ kind: 'hint', groups: [own], revision: 500n });
    a.take({ kind: 'stripped' });
    a.take({ kind: 'fence-ended', group: 'g1', epoch: 0n, ended: { kind: 'done' } });
    a.answered = true;
    a.pass(2_000);
    expect(a.state.groups.get('g1')?.holding).toMatchObject({ kind: 'fenced', epoch: 0n });
    a.revision = 500n;
    a.pass(2_000);
    expect(a.renewed?.groups).toMatchObject([{ epoch: 1n, state: 'fenced' }]);
  });

  it('of a new life strips what a group had before it was changed', () => {
    const a = new Owner([{ group: 'g1', epoch: 1n, state: 'active', fenceAt: 5_000 }]);
    const less = withLeaving(null, serving, config({ g1: [other] }, { resources: [app] }), 50n);
    a.take({ kind: 'configured', config: less, revision: 51n });
    expect(a.stripped()).toEqual([service]);
  });

  it('of a new life gives its host the own address back that an earlier configuration moved', () => {
    const a = new Owner();
    a.take({ kind: 'configured', config: withLeaving(null, replacing, config({}), 50n), revision: 51n });
    expect(a.stripped()).toContain('10.77.0.11/24');
    a.take({ kind: 'stripped' });
    a.pass(6_000);
    const given = a.actions.flatMap((action) => (action.kind === 'keep-own' ? [action.address] : []));
    expect(new Set(given)).toEqual(new Set(['10.77.0.11/24']));
  });
});
