import { Guard, type GuardPorts } from '../src/guard.ts';
import { Journal } from '../src/journal.ts';
import type { EventMessage, ReplyMessage } from '../src/protocol.ts';
import { WatchdogDevice } from '../src/watchdog.ts';
import { until } from './client.ts';

describe('the shell of the guard', () => {
  const world = { nowMs: 1_000, ran: [] as string[], sent: [] as (ReplyMessage | EventMessage)[] };
  const ports: GuardPorts = {
    bootMs: () => world.nowMs,
    run: async (argv) => {
      world.ran.push(argv.join(' '));
      await Promise.resolve();
      return { kind: 'done' };
    },
    send: (_client, message) => world.sent.push(message),
    sendAll: (message) => world.sent.push(message),
    exit: () => undefined,
    watchdog: new WatchdogDevice(),
    journal: new Journal(null),
  };
  let guard: Guard;
  beforeEach(() => {
    Object.assign(world, { nowMs: 1_000, ran: [], sent: [] });
    guard = new Guard(ports);
  });
  afterEach(() => guard.close());

  const armLine = (fenceAtMs: number): string =>
    JSON.stringify({
      type: 'arm',
      id: 1,
      watchdog: null,
      groups: [
        { group: 'd3', epoch: '7', fenceAtMs, doneByMs: fenceAtMs + 6_000, drops: [['drop']], stops: [] },
      ],
    });

  it('notices that the clock jumped, although no timer is due, and fences', async () => {
    guard.line(1, armLine(50_000));
    expect(world.ran).toEqual([]);
    const jumpedAt = performance.now();
    world.nowMs = 90_000;
    await until('the drop', () => world.ran.length === 1);
    expect(performance.now() - jumpedAt).toBeLessThan(1_000);
    await until('the outcome', () => world.sent.some((message) => message.type === 'fenced' && message.ok));
  });

  it('looks at the clock before it looks at a message', () => {
    guard.line(1, armLine(50_000));
    world.nowMs = 60_000;
    guard.line(1, armLine(110_000));
    expect(world.ran).toEqual(['drop']);
    expect(world.sent.at(-1)).toMatchObject({ type: 'refused', groups: ['d3'] });
  });

  it('extends the deadlines of all groups but one that is wrong, and refuses that one by name', () => {
    const arm = (fenceAtMs: number, d4: object): string => {
      const order = (group: string) => ({ group, epoch: '7', fenceAtMs, doneByMs: fenceAtMs + 6_000 });
      const commands = { drops: [['drop']], stops: [] };
      const groups = [
        { ...order('d3'), ...commands },
        { ...order('d4'), ...commands, ...d4 },
      ];
      return JSON.stringify({ type: 'arm', id: 1, watchdog: null, groups });
    };
    guard.line(1, arm(50_000, {}));
    guard.line(1, arm(60_000, { drops: [[]] }));
    expect(world.sent.at(-1)).toMatchObject({ type: 'refused', groups: ['d4'] });
    guard.line(1, '{"type":"state","id":2}');
    expect(world.sent.at(-1)).toMatchObject({
      armed: [
        { group: 'd3', fenceAtMs: 60_000 },
        { group: 'd4', fenceAtMs: 50_000 },
      ],
    });
  });

  it('tells what is wrong with a request, and counts it', () => {
    guard.line(1, '{"type":"fence","id":9}');
    guard.line(1, 'garbage');
    guard.line(1, '{"type":"state","id":10}');
    expect(world.sent).toMatchObject([
      { type: 'refused', id: 9 },
      { type: 'state', id: 10, garbage: 2, armed: [] },
    ]);
  });
});
