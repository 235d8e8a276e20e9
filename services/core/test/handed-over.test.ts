/** The two agents of a group that is handed over: it is nothing but an address (docs/adr/0023, docs/adr/0071). */

import {
  parseConfig,
  type AgentAction,
  type AgentEvent,
  type GroupRecord,
  type HeldBefore,
  type Ownership,
} from '../src/index.ts';
import { beat, members, ownedByA } from './leader.ts';
import { LoneAgent } from './lone-agent.ts';

const address = '10.77.0.100/24';
const record = (ownership: Ownership): GroupRecord => ({ ...ownedByA, ownership });
const ownedAt4 = record({ kind: 'owned', owner: 'a', epoch: 4n });
const handedToB = record({ kind: 'owned', owner: 'b', epoch: 5n, after: { server: 'a', epoch: 4n } });
const word: AgentEvent = {
  kind: 'heard',
  from: 'a',
  path: 0,
  message: { ...beat, groups: [{ group: 'g1', epoch: 4n, state: 'fenced' }] },
};

function config() {
  const g1 = { servers: ['a', 'b'], identity: { mode: 'add', addresses: [address] } };
  const parsed = parseConfig({ groups: { g1 } }, 'cluster.yaml', members);
  if (parsed.kind === 'invalid') throw new Error(parsed.errors.join('\n'));
  return parsed.config;
}

/** A server whose renewals are committed, and whose steps end when the test says so. */
class Server extends LoneAgent {
  /** Its renewals are answered. */
  answered = true;

  constructor(self: 'a' | 'b', held: readonly HeldBefore[] = []) {
    super(ownedAt4, self);
    this.take({ kind: 'started', held, epochs: new Map(), ahead: new Map(), promises: [] });
    this.take({ kind: 'configured', config: config(), revision: 10n });
    this.take({ kind: 'stripped' });
    this.pass(100);
    this.endSteps();
    this.pass(100);
  }

  protected override carryOut(action: AgentAction): void {
    if (this.answered) super.carryOut(action);
  }

  sees(next: GroupRecord): void {
    this.record = next;
    this.take({ kind: 'hint', groups: [next], revision: (this.revision += 1n) });
  }

  /** What the end of the step that was ordered last leads to. */
  endStep(): readonly AgentAction[] {
    const step = this.of('run-step').at(-1);
    if (step === undefined) throw new Error('no step was ordered');
    const { group, epoch, run } = step;
    return this.take({ kind: 'step-ended', group, epoch, run, ended: { kind: 'done' }, ms: 1 });
  }

  endSteps(): void {
    while (this.holding === 'acquiring') this.endStep();
  }

  of<K extends AgentAction['kind']>(kind: K): readonly Extract<AgentAction, { kind: K }>[] {
    return this.actions.filter((a): a is Extract<AgentAction, { kind: K }> => a.kind === kind);
  }

  get holding(): string | undefined {
    return this.state.groups.get('g1')?.holding.kind;
  }

  get armed(): bigint | undefined {
    return this.of('arm')
      .at(-1)
      ?.groups.find(({ group }) => group === 'g1')?.epoch;
  }
}

describe('who takes a group over that is handed over', () => {
  it('has the guard armed for it before the former owner has let go, and begins nothing', () => {
    const b = new Server('b');
    expect(b.armed).toBeUndefined();
    b.sees(handedToB);
    expect(b.armed).toBe(5n);
    expect(b.of('run-step')).toEqual([]);
    b.actions = [];
    b.take(word);
    expect(b.of('run-step')).toHaveLength(1);
    expect(b.of('arm')).toEqual([]);
  });

  it('keeps the guard from fencing as long as it waits', () => {
    const b = new Server('b');
    b.sees(handedToB);
    const before = b.of('arm').at(-1)?.groups[0]?.fenceAt ?? Infinity;
    b.pass(20_000);
    expect(b.of('arm').at(-1)?.groups[0]?.fenceAt).toBeGreaterThan(before + 10_000);
  });

  it('has it armed only when a renewal entitles to anything still', () => {
    const b = new Server('b');
    b.answered = false;
    b.pass(11_000);
    b.sees(handedToB);
    expect(b.armed).toBeUndefined();
    b.answered = true;
    b.pass(3_000);
    expect(b.armed).toBe(5n);
  });

  it('disarms it when the group went to somebody else', () => {
    const b = new Server('b');
    b.sees(handedToB);
    b.sees(record({ kind: 'owned', owner: 'a', epoch: 6n }));
    expect(b.of('arm').at(-1)?.groups).toEqual([]);
  });

  it('says that it is fenced when the guard fenced it meanwhile, and begins the next one', () => {
    const b = new Server('b');
    b.sees(handedToB);
    b.take({ kind: 'fence-ended', group: 'g1', epoch: 5n, ended: { kind: 'done' } });
    expect(b.state.groups.get('g1')?.holding).toMatchObject({ kind: 'fenced', epoch: 5n, after: 'fenced' });
    expect(b.armed).toBeUndefined();
    b.take(word);
    expect(b.of('run-step')).toEqual([]);
    b.sees(record({ kind: 'owned', owner: 'b', epoch: 6n }));
    expect(b.of('run-step')).toMatchObject([{ epoch: 6n }]);
  });

  it('takes nothing up at an epoch of which it hears only after the guard fenced it', () => {
    const b = new Server('b');
    b.take({ kind: 'fence-ended', group: 'g1', epoch: 5n, ended: { kind: 'done' } });
    expect(b.holding).toBe('idle');
    b.sees(handedToB);
    expect(b.state.groups.get('g1')?.holding).toMatchObject({ kind: 'fenced', epoch: 5n });
  });

  it('fences it after a restart, though the guard vouches for it', () => {
    const b = new Server('b', [{ group: 'g1', epoch: 5n, state: 'acquiring', fenceAt: 10_000 }]);
    expect(b.of('fence')).toMatchObject([{ group: 'g1', epoch: 5n }]);
    b.sees(handedToB);
    b.take(word);
    expect(b.of('run-step')).toEqual([]);
  });

  it('renews when it is done, not while clients wait', () => {
    const b = new Server('b');
    b.sees(handedToB);
    b.pass(100);
    b.actions = [];
    b.take(word);
    b.endSteps();
    b.pass(50);
    expect(b.of('renew')).toEqual([]);
    b.pass(30);
    expect(b.of('renew').map(({ next }) => next.groups[0]?.state)).toEqual(['active']);
  });
});

describe('who hands it over', () => {
  it('and can not be fenced is fenced again when that is due, not with each news', () => {
    const a = new Server('a');
    a.sees(record({ kind: 'owned', owner: 'b', epoch: 5n }));
    a.take({ kind: 'fence-ended', group: 'g1', epoch: 4n, ended: { kind: 'failed', says: 'it hangs' } });
    expect(a.of('fence')).toHaveLength(1);
    a.pass(9_000);
    expect(a.of('fence')).toHaveLength(1);
    a.pass(2_000);
    expect(a.of('fence')).toHaveLength(2);
  });

  it('says so before it does anything else', () => {
    const a = new Server('a');
    expect(a.holding).toBe('active');
    a.sees(handedToB);
    expect(
      a
        .endStep()
        .map(({ kind }) => kind)
        .slice(0, 5),
    ).toEqual(['arm', 'send', 'send', 'send', 'send']);
  });

  it('renews at the time it is due, whatever was told by heartbeat', () => {
    const a = new Server('a');
    a.sees(handedToB);
    const dueAt = a.state.renewal.nextAt;
    while (a.now < dueAt - 10) a.pass(10);
    a.endStep();
    a.actions = [];
    a.pass(30);
    expect(a.of('renew')).toHaveLength(1);
  });
});
