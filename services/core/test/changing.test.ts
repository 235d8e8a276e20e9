/** What becomes of a configuration that comes to a server which has the group, or is on its way to it or from it. */

import { parseConfig, type AgentAction, type ClusterConfig } from '../src/index.ts';
import { members } from './leader.ts';
import { LoneAgent } from './lone-agent.ts';
import { own } from './owner.ts';

const first = '10.77.0.100/24';
const second = '10.77.0.101/24';

interface Wanted {
  readonly addresses?: readonly string[];
  readonly resources?: readonly string[];
  readonly more?: object;
}

function config({ addresses = [first], resources = ['app'], more = {} }: Wanted = {}): ClusterConfig {
  const command = { start: ['app', 'start'], stop: ['app', 'stop'], status: ['app', 'status'] };
  const named = resources.map((name) => ({ name, command }));
  const g1 = { servers: ['a', 'b'], outage: '5s', identity: { mode: 'add', addresses }, resources: named };
  const parsed = parseConfig({ groups: { g1: { ...g1, ...more } } }, 'cluster.yaml', members);
  if (parsed.kind === 'invalid') throw new Error(parsed.errors.join('\n'));
  return parsed.config;
}

type Step = Extract<AgentAction, { kind: 'run-step' }>;

/** Server a, whose renewals are all committed, and whose steps end when the test says so. */
class Owner extends LoneAgent {
  constructor(wanted: Wanted = {}) {
    super(own);
    this.take({ kind: 'started', held: [], epochs: new Map(), ahead: new Map(), promises: [] });
    this.apply(wanted);
    this.take({ kind: 'stripped' });
    this.pass(100);
  }

  apply(wanted: Wanted): void {
    this.take({ kind: 'configured', config: config(wanted), revision: (this.revision += 1n) });
  }

  /** The step that was ordered last. */
  get step(): Step {
    const last = this.actions.findLast((a) => a.kind === 'run-step');
    if (last === undefined) throw new Error('no step was ordered');
    return last;
  }

  end(says: string | null = null, step = this.step): void {
    const { group, epoch, run } = step;
    const ended = says === null ? ({ kind: 'done' } as const) : ({ kind: 'failed', says } as const);
    const occupied = says === 'somebody answers';
    this.take({ kind: 'step-ended', group, epoch, run, ended, ms: 1, occupied });
  }

  /** Ends steps until the group is active with nothing to do. */
  rest(): this {
    for (let left = 30; left > 0 && !this.isAtRest; left -= 1) this.end();
    return this;
  }

  get isAtRest(): boolean {
    const { holding } = this.group;
    return holding.kind === 'active' && holding.change === null;
  }

  get group() {
    const g = this.state.groups.get('g1');
    if (g === undefined) throw new Error('no group');
    return g;
  }

  /** Every step from then on, in words. */
  stepsSince(from: number): readonly string[] {
    return this.actions.slice(from).flatMap((a) => {
      if (a.kind !== 'run-step') return [];
      const { step } = a;
      if ('resource' in step) return [`${step.kind} ${step.resource}`];
      return ['addresses' in step ? `${step.kind} ${step.addresses.join()}` : step.kind];
    });
  }

  inForce(): readonly string[] {
    return this.state.config?.groups.get('g1')?.resources.map((r) => r.name) ?? [];
  }
}

/** Every extension from then on. */
const extended = (a: Owner, from: number): readonly string[] =>
  a.actions.slice(from).flatMap((action) => (action.kind === 'extend' ? [action.addresses.join()] : []));

describe('a configuration that comes to an active group', () => {
  it('orders nothing for what did not change', () => {
    const a = new Owner({ resources: ['app', 'db'] }).rest();
    const from = a.actions.length;
    a.apply({ addresses: [first, second], resources: ['db', 'app', 'web'] });
    a.rest();
    expect(a.stepsSince(from)).toEqual([
      `probe ${second}`,
      `hold-addresses ${second}`,
      `announce ${second}`,
      'start web',
    ]);
  });

  it('stays with what runs until that was stopped, so that a guard ends it, too', () => {
    const a = new Owner({ resources: ['app', 'db'] }).rest();
    const from = a.actions.length;
    a.apply({ resources: ['app'] });
    expect(a.inForce()).toEqual(['app', 'db']);
    a.pass(3_000);
    expect(a.stepsSince(from)).toEqual(['stop db']);
    expect(extended(a, from).length).toBeGreaterThan(1);
    a.end();
    expect(a.inForce()).toEqual(['app']);
    expect(a.isAtRest).toBe(true);
  });

  it('tells the guard what comes before it is started', () => {
    const a = new Owner().rest();
    const from = a.actions.length;
    a.apply({ resources: ['app', 'db'] });
    const kinds = a.actions.slice(from).map((action) => action.kind);
    expect(kinds.indexOf('arm')).toBeGreaterThanOrEqual(0);
    expect(kinds.indexOf('arm')).toBeLessThan(kinds.indexOf('run-step'));
    expect(a.inForce()).toEqual(['app', 'db']);
  });

  it('probes for what is new also while a planned move is being ended', () => {
    const a = new Owner().rest();
    a.record = {
      ...a.record,
      operation: {
        id: 'g1-1-switchover',
        group: 'g1',
        kind: 'switchover',
        phase: 'acquiring',
        from: 'b',
        to: 'a',
        by: 'ann',
        forced: false,
        reason: '',
        startedAt: 0,
        steps: [],
      },
    };
    a.pass(2_000);
    a.apply({ addresses: [first, second] });
    expect(a.step).toMatchObject({ step: { kind: 'probe', addresses: [second] }, planned: false });
  });

  it('is tried again where it can not be carried out, and can be taken back', () => {
    const a = new Owner().rest();
    a.apply({ resources: ['app', 'db'] });
    a.end('no such program');
    const from = a.actions.length;
    a.pass(9_000);
    expect(a.stepsSince(from)).toEqual([]);
    a.pass(2_000);
    expect(a.stepsSince(from)).toEqual(['start db']);
    a.end('no such program');
    expect(a.group.holding.kind).toBe('active');
    const back = a.actions.length;
    a.apply({ resources: ['app'] });
    a.rest();
    expect(a.stepsSince(back)).toEqual(['stop db']);
    expect([...a.group.resources.keys()]).toEqual(['app']);
  });

  it('waits for a step that is under way, and is then followed by the newest', () => {
    const a = new Owner().rest();
    const from = a.actions.length;
    a.apply({ resources: ['app', 'db'] });
    a.apply({ resources: ['app', 'web'] });
    a.apply({ resources: ['app'] });
    a.rest();
    expect(a.stepsSince(from)).toEqual(['start db', 'stop db']);
  });
});

describe('a configuration that comes while the group is taken over', () => {
  it('waits until it is active', () => {
    const a = new Owner({ resources: ['app', 'db'] });
    while (a.step.step.kind !== 'start') a.end();
    const from = a.actions.length;
    a.apply({ addresses: [first, second], resources: ['app'] });
    expect(a.inForce()).toEqual(['app', 'db']);
    a.pass(2_000);
    expect(extended(a, from)).toContain(first);
    expect(extended(a, from)).not.toContain(`${first},${second}`);
    a.rest();
    expect(a.stepsSince(from)).toEqual([
      'start db',
      'stop db',
      `probe ${second}`,
      `hold-addresses ${second}`,
      `announce ${second}`,
    ]);
  });
});

describe('an owner that is asked to release', () => {
  const more = { hooks: { beforeRelease: [['/bin/hook']] } };

  function asked(a: Owner): Owner {
    a.record = { ...a.record, ownership: { kind: 'releasing', owner: 'a', epoch: 1n, to: 'b' } };
    return a;
  }

  it('keeps its addresses up to the step that gives them up, and not longer', () => {
    const a = asked(new Owner({ more }).rest());
    a.pass(2_000);
    expect(a.step.step.kind).toBe('hook');
    const from = a.actions.length;
    a.pass(6_000);
    expect(extended(a, from).length).toBeGreaterThan(2);
    while (a.step.step.kind !== 'drop-addresses') a.end();
    const dropping = a.actions.length;
    a.pass(3_000);
    expect(extended(a, dropping)).toEqual([]);
  });

  it('takes no end of a step for that of another', () => {
    const a = asked(new Owner({ more }));
    const probe = a.step;
    a.pass(2_000);
    expect(a.step.step.kind).toBe('hook');
    a.end(null, probe);
    expect(a.step.step.kind).toBe('hook');
  });

  it('brings what a takeover had not brought yet, when it stays after all', () => {
    const a = asked(new Owner({ more }));
    while (a.step.step.kind !== 'announce') a.end();
    a.pass(2_000);
    expect(a.step.step.kind).toBe('hook');
    a.record = { ...a.record, ownership: { kind: 'owned', owner: 'a', epoch: 1n } };
    const from = a.actions.length;
    a.end('not now');
    a.rest();
    expect(a.stepsSince(from)).toEqual(['start app']);
  });

  it('opens every mirror again when one can not be drained, and what is held for the others goes on', () => {
    const volumes = Object.fromEntries(
      ['db', 'log'].map((name) => [name, { volume: { path: `/dev/vg0/${name}`, size: '1GiB' } }]),
    );
    const a = asked(new Owner({ more: { mirrors: volumes } }).rest());
    a.pass(2_000);
    while (a.step.step.kind !== 'drain-mirrors') a.end();
    const from = a.actions.length;
    a.end('log is not in step');
    a.record = { ...a.record, ownership: { kind: 'owned', owner: 'a', epoch: 1n } };
    a.rest();
    expect(a.stepsSince(from)).toEqual(['open-mirrors', 'start app']);
  });
});
