import fc from 'fast-check';
import { decide, fenceAheadMsMax, groupsKnownMax, lateAllowanceMs, outcomesMax } from '../src/dead-man.ts';
import type { FenceOrder, Request } from '../src/protocol.ts';
import { initialState, type Action, type Decision, type Event, type State } from '../src/state.ts';

const drop = ['ip', 'addr', 'flush', 'to', '10.77.0.100/32'];

function orderOf(group: string, epoch: bigint, fenceAtMs: number, doneByMs = fenceAtMs + 6_000): FenceOrder {
  return { group, epoch, fenceAtMs, doneByMs, drops: [drop], stops: [] };
}

function asked(request: Request): Event {
  return { kind: 'request', client: 1, request };
}

function arm(orders: readonly FenceOrder[], watchdog: string | null = null): Event {
  return asked({ kind: 'arm', id: 'x', watchdog, orders, wrong: [] });
}

/** A guard that lives through a list of events at given times; the last decision. */
function story(...events: readonly (readonly [number, Event])[]): Decision {
  let decision: Decision = { state: initialState, actions: [], wakeAt: null, reason: '' };
  for (const [nowMs, event] of events) decision = decide(decision.state, event, nowMs);
  return decision;
}

const kinds = (actions: readonly Action[]): string[] => actions.map((action) => action.kind);
const runs = (actions: readonly Action[]): string[] =>
  actions
    .filter((action) => action.kind === 'run')
    .map(({ order }) => `${order.group}@${order.epoch.toString()}`);
const replies = (actions: readonly Action[]): unknown[] =>
  actions.filter((action) => action.kind === 'reply').map(({ message }) => message);
const ran = (group: string, epoch: bigint, ...failures: string[]): Event => ({
  kind: 'ran',
  group,
  epoch,
  failures,
});

describe('arming', () => {
  it('wakes at the earliest deadline and does nothing before it', () => {
    const decision = story([0, arm([orderOf('d3', 7n, 10_000), orderOf('d4', 2n, 9_000)])]);
    expect(decision.wakeAt).toBe(9_000);
    expect(replies(decision.actions)).toEqual([{ type: 'armed', id: 'x' }]);
    expect(decide(decision.state, { kind: 'wake' }, 8_999.9).actions).toEqual([]);
  });

  it('replaces all: a later deadline counts, an absent group is disarmed', () => {
    const decision = story(
      [0, arm([orderOf('d3', 7n, 10_000), orderOf('d4', 2n, 9_000)])],
      [3_000, arm([orderOf('d3', 7n, 13_000)])],
    );
    expect(decision.wakeAt).toBe(13_000);
    expect(runs(decide(decision.state, { kind: 'wake' }, 12_000).actions)).toEqual([]);
    expect(runs(decide(decision.state, { kind: 'wake' }, 13_000).actions)).toEqual(['d3@7']);
  });

  it('takes an earlier deadline too', () => {
    expect(story([0, arm([orderOf('d3', 7n, 10_000)])], [1, arm([orderOf('d3', 7n, 5_000)])]).wakeAt).toBe(
      5_000,
    );
  });

  it('fences at once what is armed with a deadline that has passed', () => {
    const decision = story([20_000, arm([orderOf('d3', 7n, 10_000)])]);
    expect(kinds(decision.actions)).toEqual(['reply', 'run', 'tell', 'journal']);
    expect(decision.wakeAt).toBe(20_000 + lateAllowanceMs);
  });

  it('refuses a lower epoch, also after a disarm, and keeps what was armed', () => {
    const armed = story([0, arm([orderOf('d3', 7n, 10_000)])]);
    const refused = decide(armed.state, arm([orderOf('d3', 6n, 20_000), orderOf('d4', 1n, 15_000)]), 1);
    expect(replies(refused.actions)).toEqual([
      {
        type: 'refused',
        id: 'x',
        groups: ['d3'],
        reason: 'epoch 6 of group d3 is lower than 7, seen before',
      },
    ]);
    expect(refused.state.groups.get('d3')).toEqual({ kind: 'armed', order: orderOf('d3', 7n, 10_000) });
    expect(refused.state.groups.get('d4')?.kind).toBe('armed');
    const after = decide(
      decide(armed.state, asked({ kind: 'disarm', id: 1 }), 2).state,
      arm([orderOf('d3', 6n, 9e3)]),
      3,
    );
    expect(replies(after.actions)).toMatchObject([{ type: 'refused', groups: ['d3'] }]);
    expect(after.wakeAt).toBeNull();
  });

  it('refuses a fenced epoch for ever and takes a higher one', () => {
    const fenced = story(
      [0, arm([orderOf('d3', 7n, 10_000)])],
      [10_000, { kind: 'wake' }],
      [10_010, ran('d3', 7n)],
    ).state;
    for (const epoch of [6n, 7n]) {
      const refused = decide(fenced, arm([orderOf('d3', epoch, 30_000)]), 20_000);
      expect(replies(refused.actions)).toMatchObject([{ type: 'refused', groups: ['d3'] }]);
      expect(refused.wakeAt).toBeNull();
    }
    const higher = decide(fenced, arm([orderOf('d3', 8n, 30_000)]), 20_000);
    expect(replies(higher.actions)).toEqual([{ type: 'armed', id: 'x' }]);
    expect(higher.wakeAt).toBe(30_000);
  });

  it('refuses even a higher epoch while the fence is under way', () => {
    const decision = story(
      [0, arm([orderOf('d3', 7n, 10_000)])],
      [10_000, { kind: 'wake' }],
      [10_001, arm([orderOf('d3', 8n, 30_000)])],
    );
    expect(replies(decision.actions)).toMatchObject([{ reason: 'group d3 is being fenced at epoch 7' }]);
    expect(decision.state.groups.get('d3')?.kind).toBe('fencing');
  });

  it('refuses a deadline out of all reason, and one group too many', () => {
    const far = story([0, arm([orderOf('d3', 1n, fenceAheadMsMax + 1)])]);
    expect(replies(far.actions)).toMatchObject([{ type: 'refused', groups: ['d3'] }]);
    const seen = new Map(Array.from({ length: groupsKnownMax }, (_, index) => [`g${index}`, 1n]));
    const full = decide({ ...initialState, seen }, arm([orderOf('d3', 1n, 9), orderOf('g1', 1n, 9)]), 0);
    expect(replies(full.actions)).toMatchObject([{ type: 'refused', groups: ['d3'] }]);
  });
});

describe('a deadline', () => {
  const armed = story([0, arm([orderOf('d3', 7n, 10_000), orderOf('d4', 2n, 10_000)])]).state;

  it('is fenced at its moment, every group of it', () => {
    const decision = decide(armed, { kind: 'wake' }, 10_000);
    expect(runs(decision.actions)).toEqual(['d3@7', 'd4@2']);
    expect(decision.wakeAt).toBe(16_000);
    expect(decision.reason).toContain('group d3 is fenced at epoch 7');
  });

  it('is fenced only once', () => {
    const once = decide(armed, { kind: 'wake' }, 10_000).state;
    expect(runs(decide(once, { kind: 'wake' }, 10_001).actions)).toEqual([]);
  });

  it('that passed while the host slept is fenced before the arm that waited in the socket', () => {
    const decision = decide(armed, arm([orderOf('d3', 7n, 110_000), orderOf('d4', 2n, 110_000)]), 100_000);
    expect(runs(decision.actions)).toEqual(['d3@7', 'd4@2']);
    expect(replies(decision.actions)).toMatchObject([{ type: 'refused', groups: ['d3', 'd4'] }]);
    const phase = decision.state.groups.get('d3');
    expect(phase?.kind === 'fencing' ? phase.endsByMs : null).toBe(100_000 + lateAllowanceMs);
  });

  it('that passed is not escaped by a disarm, a quit or a signal', () => {
    const escapes: Event[] = [
      asked({ kind: 'disarm', id: 1 }),
      asked({ kind: 'quit', id: 1 }),
      { kind: 'signal', signal: 'SIGTERM' },
    ];
    for (const event of escapes) {
      const decision = decide(armed, event, 10_000);
      expect(runs(decision.actions)).toEqual(['d3@7', 'd4@2']);
      expect(kinds(decision.actions)).not.toContain('exit');
    }
  });
});

describe('a fence', () => {
  const fencing = story([0, arm([orderOf('d3', 7n, 10_000)])], [10_000, { kind: 'wake' }]).state;

  it('that succeeds is told and remembered', () => {
    const decision = decide(fencing, ran('d3', 7n), 10_020);
    const outcome = { group: 'd3', epoch: '7', ok: true, atMs: 10_020, failures: [] };
    expect(decision.actions[0]).toEqual({ kind: 'tell', message: { type: 'fenced', ...outcome } });
    expect(decision.state.outcomes).toEqual([outcome]);
    expect(decision.wakeAt).toBeNull();
  });

  it('that overruns is told at its deadline, and again when its commands ended', () => {
    const missed = decide(fencing, { kind: 'wake' }, 16_000);
    expect(missed.actions[0]).toMatchObject({ kind: 'tell', message: { type: 'fenced', ok: false } });
    expect(missed.wakeAt).toBeNull();
    expect(decide(missed.state, { kind: 'wake' }, 17_000).actions).toEqual([]);
    expect(replies(decide(missed.state, arm([orderOf('d3', 8n, 30_000)]), 17_000).actions)).toMatchObject([
      { type: 'refused' },
    ]);
    const late = decide(missed.state, ran('d3', 7n), 18_000);
    expect(late.actions[0]).toMatchObject({ kind: 'tell', message: { type: 'fenced', ok: true } });
    expect(late.reason).toContain('late');
  });

  it('that failed can be tried again, and no longer keeps the guard', () => {
    const failed = decide(fencing, ran('d3', 7n, 'drop: ip: exit status 1'), 10_020);
    expect(failed.reason).toContain('ip: exit status 1');
    expect(kinds(decide(failed.state, { kind: 'signal', signal: 'SIGTERM' }, 10_030).actions)).toContain(
      'exit',
    );
    const again = decide(failed.state, asked({ kind: 'fence', id: 1, group: 'd3' }), 11_000);
    expect(runs(again.actions)).toEqual(['d3@7']);
  });

  it('on request happens now, has until the deadline, and is refused for an unarmed group', () => {
    const armed = story([0, arm([orderOf('d3', 7n, 10_000)])]).state;
    const decision = decide(armed, asked({ kind: 'fence', id: 5, group: 'd3' }), 1_000);
    expect(replies(decision.actions)).toEqual([{ type: 'accepted', id: 5 }]);
    expect(runs(decision.actions)).toEqual(['d3@7']);
    expect(decision.wakeAt).toBe(16_000);
    const twice = decide(decision.state, asked({ kind: 'fence', id: 6, group: 'd3' }), 1_001);
    expect(kinds(twice.actions)).toEqual(['reply']);
    const unknown = decide(armed, asked({ kind: 'fence', id: 7, group: 'nope' }), 1_000);
    expect(replies(unknown.actions)).toMatchObject([{ type: 'refused', reason: 'group nope is not armed' }]);
  });

  it('is not called off by an arm without the group, nor by a disarm', () => {
    for (const event of [arm([]), asked({ kind: 'disarm', id: 1 })]) {
      const { state } = decide(fencing, event, 10_001);
      expect(state.groups.get('d3')?.kind).toBe('fencing');
    }
  });

  it('must be the one that ran', () => {
    expect(() => decide(fencing, ran('d3', 8n), 10_020)).toThrow('not being fenced at epoch 8');
    expect(() => decide(initialState, ran('d3', 7n), 10_020)).toThrow('ended');
  });

  it('is kept among the last outcomes only', () => {
    let state: State = initialState;
    for (let epoch = 1n; epoch <= outcomesMax + 5; epoch += 1n) {
      state = decide(state, arm([orderOf('d3', epoch, 0)]), 0).state;
      state = decide(state, ran('d3', epoch), 0).state;
    }
    expect(state.outcomes).toHaveLength(outcomesMax);
    expect(state.outcomes.at(-1)?.epoch).toBe(String(outcomesMax + 5));
  });
});

describe('leaving', () => {
  it('is refused while armed or fencing, and granted otherwise', () => {
    const armed = story([0, arm([orderOf('d3', 7n, 10_000)])]).state;
    const fencing = decide(armed, { kind: 'wake' }, 10_000).state;
    const quit = asked({ kind: 'quit', id: 1 });
    expect(replies(decide(armed, quit, 1).actions)).toMatchObject([{ reason: 'group d3 is armed' }]);
    expect(replies(decide(fencing, quit, 10_001).actions)).toMatchObject([
      { reason: 'group d3 is being fenced' },
    ]);
    expect(kinds(decide(armed, { kind: 'signal', signal: 'SIGTERM' }, 1).actions)).toEqual(['journal']);
    expect(kinds(decide(initialState, quit, 1).actions)).toEqual(['reply', 'journal', 'exit']);
    const disarmed = decide(armed, asked({ kind: 'disarm', id: 1 }), 1).state;
    expect(kinds(decide(disarmed, { kind: 'signal', signal: 'SIGINT' }, 2).actions)).toContain('exit');
  });
});

describe('the watchdog', () => {
  const device = '/dev/watchdog';
  const watched = story([0, arm([orderOf('d3', 7n, 10_000)], device)]);

  it('is opened by the first arm that names it, and petted from then on', () => {
    expect(kinds(watched.actions)).toEqual(['open-watchdog', 'reply']);
    expect(kinds(decide(watched.state, { kind: 'wake' }, 1).actions)).toEqual(['pet-watchdog']);
    const again = decide(watched.state, arm([orderOf('d3', 7n, 13_000)], device), 1);
    expect(kinds(again.actions)).toEqual(['pet-watchdog', 'reply']);
    expect(kinds(decide(initialState, { kind: 'wake' }, 1).actions)).toEqual([]);
  });

  it('is closed in order on disarm, on quit, and when it is named no more', () => {
    expect(kinds(decide(watched.state, asked({ kind: 'disarm', id: 1 }), 1).actions)).toContain(
      'close-watchdog',
    );
    expect(kinds(decide(watched.state, arm([], null), 1).actions)).toContain('close-watchdog');
    const idle = decide(watched.state, arm([], device), 1).state;
    expect(kinds(decide(idle, asked({ kind: 'quit', id: 1 }), 2).actions)).toContain('close-watchdog');
    expect(kinds(decide(watched.state, arm([], '/dev/watchdog1'), 1).actions)).toEqual([
      'close-watchdog',
      'open-watchdog',
      'reply',
    ]);
  });

  it('goes on being petted during and after a fence that succeeds', () => {
    const fencing = decide(watched.state, { kind: 'wake' }, 10_000);
    expect(kinds(fencing.actions)).toContain('pet-watchdog');
    const done = decide(fencing.state, ran('d3', 7n), 10_050).state;
    expect(kinds(decide(done, { kind: 'wake' }, 10_100).actions)).toEqual(['pet-watchdog']);
  });

  it('stays open through a fence that was under way when it was disarmed', () => {
    const fencing = decide(watched.state, { kind: 'wake' }, 10_000).state;
    for (const event of [asked({ kind: 'disarm', id: 1 }), arm([], null)]) {
      const disarmed = decide(fencing, event, 10_001);
      expect(kinds(disarmed.actions)).toEqual(['reply']);
      expect(kinds(decide(disarmed.state, { kind: 'wake' }, 10_002).actions)).toEqual(['pet-watchdog']);
      expect(kinds(decide(disarmed.state, ran('d3', 7n), 10_003).actions)).toContain('close-watchdog');
      expect(decide(disarmed.state, ran('d3', 7n, 'hung'), 10_003).state.watchdog.kind).toBe('triggered');
      const wanted = decide(disarmed.state, arm([], '/dev/watchdog1'), 10_002).state;
      expect(decide(wanted, ran('d3', 7n), 10_003).state.watchdog).toMatchObject({ kind: 'on', device });
    }
  });

  it('is never touched again after a fence failed or overran', () => {
    const fencing = decide(watched.state, { kind: 'wake' }, 10_000).state;
    const failed = decide(fencing, ran('d3', 7n, 'stop: hung'), 12_000).state;
    const missed = decide(fencing, { kind: 'wake' }, 16_000).state;
    const late = decide(missed, ran('d3', 7n), 17_000).state;
    for (const state of [failed, missed, late]) {
      expect(state.watchdog).toEqual({ kind: 'triggered', device });
      const events = [{ kind: 'wake' } as const, arm([], null), arm([orderOf('d4', 1n, 9e5)], device)];
      events.push(asked({ kind: 'disarm', id: 1 }), asked({ kind: 'quit', id: 1 }));
      for (const event of events) {
        const { actions } = decide(state, event, 20_000);
        expect(kinds(actions).filter((kind) => kind.endsWith('-watchdog'))).toEqual([]);
      }
    }
  });

  it('that does not work is told, and tried again with the next arm', () => {
    const broken = decide(watched.state, { kind: 'watchdog-failed', device, says: 'EBUSY' }, 1);
    expect(kinds(broken.actions)).toEqual(['tell', 'journal']);
    expect(kinds(decide(broken.state, { kind: 'wake' }, 2).actions)).toEqual([]);
    expect(kinds(decide(broken.state, arm([], device), 3).actions)).toEqual(['open-watchdog', 'reply']);
    expect(kinds(decide(broken.state, asked({ kind: 'disarm', id: 1 }), 3).actions)).toEqual(['reply']);
    expect(kinds(decide(initialState, { kind: 'watchdog-failed', device, says: 'x' }, 3).actions)).toEqual(
      [],
    );
  });
});

describe('whatever happens', () => {
  const groups = ['d3', 'd4'];
  const orderArb = fc
    .record({
      group: fc.constantFrom(...groups),
      epoch: fc.bigInt(1n, 4n),
      inMs: fc.integer({ min: -50, max: 200 }),
    })
    .map(({ group, epoch, inMs }) => ({ group, epoch, inMs }));
  const stepArb = fc.record({
    afterMs: fc.oneof(fc.integer({ min: 0, max: 60 }), fc.constant(10_000)),
    what: fc.oneof(
      fc.record({
        kind: fc.constant('arm' as const),
        orders: fc.uniqueArray(orderArb, { maxLength: 2, selector: ({ group }) => group }),
        watchdog: fc.constantFrom(null, '/dev/watchdog'),
      }),
      fc.record({
        kind: fc.constantFrom('fence' as const, 'ran' as const),
        group: fc.constantFrom(...groups),
        fails: fc.boolean(),
      }),
      fc.record({
        kind: fc.constantFrom('wake' as const, 'disarm' as const, 'quit' as const, 'signal' as const),
      }),
    ),
  });

  it('D1 to D5 hold', () => {
    fc.assert(
      fc.property(fc.array(stepArb, { maxLength: 40 }), (steps) => {
        let state: State = initialState;
        let nowMs = 1_000;
        const running = new Map<string, bigint>();
        const fencedEpoch = new Map<string, bigint>();
        for (const { afterMs, what } of steps) {
          nowMs += afterMs;
          let event: Event;
          switch (what.kind) {
            case 'arm':
              event = arm(
                what.orders.map(({ group, epoch, inMs }) =>
                  orderOf(group, epoch, nowMs + inMs, nowMs + inMs + 100),
                ),
                what.watchdog,
              );
              break;
            case 'fence':
              event = asked({ kind: 'fence', id: 1, group: what.group });
              break;
            case 'ran': {
              const epoch = running.get(what.group);
              if (epoch === undefined) continue;
              running.delete(what.group);
              event = ran(what.group, epoch, ...(what.fails ? ['failed'] : []));
              break;
            }
            case 'wake':
              event = { kind: 'wake' };
              break;
            case 'signal':
              event = { kind: 'signal', signal: 'SIGTERM' };
              break;
            case 'disarm':
            case 'quit':
              event = asked({ kind: what.kind, id: 1 });
              break;
          }
          const before = state;
          const decision = decide(state, event, nowMs);
          state = decision.state;
          for (const action of decision.actions) {
            if (action.kind === 'run') {
              expect(running.has(action.order.group)).toBe(false); // one fence of a group at a time
              running.set(action.order.group, action.order.epoch);
              fencedEpoch.set(action.order.group, action.order.epoch);
            }
          }
          for (const [group, phase] of before.groups) {
            // D1
            if (phase.kind === 'armed' && phase.order.fenceAtMs <= nowMs)
              expect(running.has(group)).toBe(true);
          }
          for (const [group, phase] of state.groups) {
            if (phase.kind !== 'armed') continue;
            expect(phase.order.fenceAtMs).toBeGreaterThan(nowMs); // D1
            expect(phase.order.epoch).toBeGreaterThan(fencedEpoch.get(group) ?? 0n); // D2
          }
          for (const [group, epoch] of before.seen) {
            expect(state.seen.get(group)).toBeGreaterThanOrEqual(epoch); // D2
          }
          for (const group of running.keys()) expect(state.groups.get(group)?.kind).toBe('fencing'); // D3
          if (before.watchdog.kind === 'triggered') expect(state.watchdog.kind).toBe('triggered'); // D4
          const phases = [...state.groups.values()];
          if (decision.actions.some((action) => action.kind === 'exit')) {
            expect(phases.every((phase) => phase.kind === 'failed')).toBe(true); // D5
            return;
          }
          const deadlines = phases.map((phase) =>
            phase.kind === 'armed'
              ? phase.order.fenceAtMs
              : phase.kind === 'fencing' && !phase.missed
                ? phase.endsByMs
                : Infinity,
          );
          expect(decision.wakeAt ?? Infinity).toBe(Math.min(Infinity, ...deadlines));
        }
      }),
      { numRuns: 300 },
    );
  });
});
