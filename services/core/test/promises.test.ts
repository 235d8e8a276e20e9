/** An owner whose store is silent for a while, as during an etcd election, lives on promises and does not fence. */

import {
  newAgent,
  parseConfig,
  stepAgent,
  type AgentAction,
  type AgentEvent,
  type AgentState,
  type ClusterConfig,
} from '../src/index.ts';
import { identityOfA, members, ownedByA } from './leader.ts';
import { LoneAgent } from './lone-agent.ts';
import { own } from './owner.ts';

function config(outage: string): ClusterConfig {
  const identity = { mode: 'add', addresses: ['10.77.0.100/24'] };
  const document = { groups: { g1: { servers: ['a', 'b'], outage, identity } } };
  const parsed = parseConfig(document, 'cluster.yaml', members);
  if (parsed.kind === 'invalid') throw new Error(parsed.errors.join('\n'));
  return parsed.config;
}

interface World {
  /** From then on the store answers nothing. */
  readonly silentFrom: number;
  /** From the request to the promise of b; fsync on a busy disk. */
  readonly promiseMs: number;
}

/** Server a, which owns g1, with a store and a server b that answer as they are told to. */
class Owner {
  private state: AgentState;
  private readonly world: World;
  private readonly due: { readonly at: number; readonly event: AgentEvent }[] = [];
  private revision = 10n;
  fencedAt: number | null = null;

  constructor(outage: string, world: World) {
    this.state = newAgent(identityOfA, 0);
    this.world = world;
    this.take({ kind: 'started', held: [], epochs: new Map(), ahead: new Map(), promises: [] }, 0);
    this.take({ kind: 'configured', config: config(outage), revision: 1n }, 0);
    this.take({ kind: 'stripped' }, 0);
  }

  configure(outage: string, at: number): void {
    this.due.push({ at, event: { kind: 'configured', config: config(outage), revision: 2n } });
  }

  /** Lets time pass, from one moment at which something is due to the next. */
  runUntil(end: number): void {
    for (let turn = 0; turn < 10_000; turn += 1) {
      this.due.sort((one, other) => one.at - other.at);
      const first = this.due[0];
      const wakeAt = this.state.wakeAt ?? Infinity;
      const now = Math.min(first?.at ?? Infinity, wakeAt);
      if (now > end) return;
      if (first !== undefined && first.at <= wakeAt) this.due.shift();
      this.take(first !== undefined && first.at <= wakeAt ? first.event : { kind: 'wake' }, now);
    }
    throw new Error('it does not come to rest');
  }

  private take(event: AgentEvent, now: number): void {
    const step = stepAgent(this.state, event, now);
    this.state = step.state;
    for (const action of step.actions) this.perform(action, now);
  }

  private perform(action: AgentAction, now: number): void {
    const later = (ms: number, event: AgentEvent) => this.due.push({ at: now + ms, event });
    if (action.kind === 'fence') this.fencedAt ??= now;
    if (action.kind === 'run-step') {
      const { group, epoch, run } = action;
      later(1, { kind: 'step-ended', group, epoch, run, ended: { kind: 'done' }, ms: 1 });
    }
    if (action.kind === 'renew' && now < this.world.silentFrom) {
      const answer = { kind: 'committed', revision: (this.revision += 1n), groups: [own] } as const;
      later(5, { kind: 'renewed', attempt: action.attempt, answer });
    }
    if (action.kind === 'send' && action.to === 'b' && action.message.kind === 'hold-request') {
      const message = { ...action.message, kind: 'hold-promise', promised: true, reason: '' } as const;
      later(this.world.promiseMs, { kind: 'heard', from: 'b', path: action.path, message });
    }
  }
}

describe('an owner whose store falls silent', () => {
  it('goes on while b promises', () => {
    const a = new Owner('5s', { silentFrom: 3_000, promiseMs: 5 });
    a.runUntil(30_000);
    expect(a.fencedAt).toBeNull();
  });

  it('fences when nobody promises', () => {
    const a = new Owner('5s', { silentFrom: 3_000, promiseMs: Infinity });
    a.runUntil(30_000);
    expect(a.fencedAt).toBeGreaterThan(3_000);
    expect(a.fencedAt).toBeLessThan(3_000 + 1_430);
  });

  it('asks in time by the rules that it still acts under, when longer ones were configured a moment before', () => {
    const a = new Owner('5s', { silentFrom: 3_000, promiseMs: 5 });
    a.configure('20s', 3_001);
    a.runUntil(30_000);
    expect(a.fencedAt).toBeNull();
  });

  it('goes on with promises that take longer to be written than it waits with the next question', () => {
    const a = new Owner('5s', { silentFrom: 3_000, promiseMs: 400 });
    a.runUntil(30_000);
    expect(a.fencedAt).toBeNull();
  });
});

describe('a standby that had an epoch on the disk before it was given to anybody', () => {
  const ahead = new Map([['g1', 6n]]);

  function standby(epochs: ReadonlyMap<string, bigint>): AgentState {
    const id = {
      self: 'b',
      role: 'server',
      members,
      incarnation: 2,
      bootId: 'boot-2',
      version: '1',
    } as const;
    const events: readonly AgentEvent[] = [
      { kind: 'started', held: [], epochs, ahead, promises: [] },
      { kind: 'configured', config: config('5s'), revision: 1n },
      { kind: 'stripped' },
    ];
    return events.reduce((state, event) => stepAgent(state, event, 0).state, newAgent(id, 0));
  }

  const answer = (state: AgentState): readonly string[] => {
    const message = { kind: 'hold-request', group: 'g1', epoch: 5n, round: 1 } as const;
    return stepAgent(state, { kind: 'heard', from: 'a', path: 0, message }, 10).actions.flatMap((action) =>
      action.kind === 'send' && action.message.kind === 'hold-promise'
        ? [action.message.reason]
        : [action.kind],
    );
  };

  it('promises for the epoch before, and never begins at that one', () => {
    const b = standby(new Map([['g1', 5n]]));
    expect(answer(b)).toContain('keep-promise');
    expect(b.groups.get('g1')?.formerEpoch).toBe(6n);
  });

  it('refuses once it was given to somebody', () => {
    expect(answer(standby(new Map([['g1', 6n]])))).toContain('epoch 6 was seen here');
  });
});

describe('a configuration with a new server, which the next life of the owner would not know yet', () => {
  const servers = (...names: readonly string[]): ClusterConfig => {
    const identity = { mode: 'add', addresses: ['10.77.0.100/24'] };
    const document = { groups: { g1: { servers: names, identity } } };
    const c = { ...members[0], id: 'c', addresses: ['10.77.0.14', '10.78.0.14'] } as (typeof members)[number];
    const parsed = parseConfig(document, 'cluster.yaml', [...members, c]);
    if (parsed.kind === 'invalid') throw new Error(parsed.errors.join('\n'));
    return parsed.config;
  };

  it('is told to nobody, who would count on the new server being asked, before it would', () => {
    const a = new LoneAgent(ownedByA);
    const asked = () => a.actions.findLast((action) => action.kind === 'renew')?.next.asks?.['g1'];
    a.take({ kind: 'started', held: [], epochs: new Map(), ahead: new Map(), promises: [] });
    a.take({ kind: 'configured', config: servers('a', 'b'), revision: 1n });
    a.take({ kind: 'stripped' });
    a.pass(5_000);
    expect(asked()).toEqual(['a', 'b']);
    a.take({ kind: 'configured', config: servers('a', 'b', 'c'), revision: 2n, unkept: true });
    a.pass(10_000);
    expect(asked()).toEqual(['a', 'b']);
    a.take({ kind: 'config-kept', revision: 1n });
    a.pass(5_000);
    expect(asked()).toEqual(['a', 'b']);
    a.take({ kind: 'config-kept', revision: 2n });
    expect(asked()).toEqual(['a', 'b', 'c']);
  });
});
