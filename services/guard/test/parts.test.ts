import { bootClock } from '../src/boot-clock.ts';
import { runCommand, type CommandEnd } from '../src/commands.ts';
import { marginMs, runFence, turnEnd } from '../src/fence-run.ts';
import { LineBuffer } from '../src/line-buffer.ts';
import { lineBytesMax, parseRequest, type Argv, type FenceOrder } from '../src/protocol.ts';

describe('boot time', () => {
  const world = { monotonicMs: 1_000_000, uptimeMs: 1_000_000 as number | null };
  const clockOf = (): (() => number) =>
    bootClock({ monotonicMs: () => world.monotonicMs, uptimeMs: () => world.uptimeMs });
  beforeEach(() => {
    world.monotonicMs = 1_000_000;
    world.uptimeMs = 1_000_000;
  });

  it('follows the fine clock while the coarse one agrees within 50 ms', () => {
    const bootMs = clockOf();
    world.monotonicMs += 1_000.5;
    world.uptimeMs = 1_001_040;
    expect(bootMs()).toBe(1_001_000.5);
  });

  it('counts suspend, and never goes back', () => {
    const bootMs = clockOf();
    world.monotonicMs += 10;
    world.uptimeMs = 1_090_010;
    expect(bootMs()).toBe(1_090_010);
    world.monotonicMs += 5;
    world.uptimeMs = 1_000_000;
    expect(bootMs()).toBe(1_090_015);
    world.uptimeMs = null;
    expect(bootMs()).toBe(1_090_015);
  });

  it('counts suspend in a container that is shown its own age', () => {
    world.uptimeMs = 5_000;
    const bootMs = clockOf();
    expect(bootMs()).toBe(1_000_000);
    world.monotonicMs += 10;
    world.uptimeMs = 95_010;
    expect(bootMs()).toBe(1_090_010);
  });

  it('agrees with the host', () => {
    const bootMs = bootClock();
    expect(bootMs()).toBeLessThanOrEqual(bootMs());
  });
});

describe('lines', () => {
  it('come whole out of any pieces', () => {
    const lines = new LineBuffer(100);
    const bytes = Buffer.from('{"ä":1}\n\n  x  \ny');
    const got = [...bytes].flatMap((byte) => lines.push(Buffer.from([byte])));
    expect(got).toEqual(['{"ä":1}', 'x']);
    expect(lines.push(Buffer.from('\n'))).toEqual(['y']);
  });

  it('that are too long are dropped whole and counted once', () => {
    const lines = new LineBuffer(10);
    expect(lines.push(Buffer.from('a'.repeat(11)))).toEqual([]);
    expect(lines.push(Buffer.from('a'.repeat(50)))).toEqual([]);
    expect(lines.push(Buffer.from('a\nshort\n0123456789\n'))).toEqual(['short', '0123456789']);
    expect(lines.takeDropped()).toBe(1);
    expect(lines.takeDropped()).toBe(0);
  });
});

describe('a request', () => {
  const group = { group: 'd3', epoch: '7', fenceAtMs: 10, doneByMs: 20, drops: [['ip', 'x']], stops: [] };
  const armWith = (...groups: unknown[]): string =>
    JSON.stringify({ type: 'arm', id: 1, watchdog: null, groups });

  it('is read', () => {
    const stops = [{ argv: ['stop'], timeoutMs: 5 }];
    expect(parseRequest(armWith({ ...group, epoch: '18446744073709551615', stops }))).toEqual({
      kind: 'request',
      request: {
        kind: 'arm',
        id: 1,
        watchdog: null,
        orders: [{ ...group, epoch: 18446744073709551615n, stops }],
        wrong: [],
      },
    });
    expect(parseRequest('{"type":"fence","id":"a","group":"d3"}')).toEqual({
      kind: 'request',
      request: { kind: 'fence', id: 'a', group: 'd3' },
    });
    for (const type of ['state', 'disarm', 'quit']) {
      expect(parseRequest(JSON.stringify({ type, id: 2 }))).toEqual({
        kind: 'request',
        request: { kind: type, id: 2 },
      });
    }
  });

  it('is read as large as a configuration can make it', () => {
    const argv = ['env', ...Array.from({ length: 133 }, (_, i) => `A${i}=${'x'.repeat(20)}`)];
    const stops = Array.from({ length: 80 }, () => ({ argv: ['x'], timeoutMs: 5 }));
    const drops = Array.from({ length: 64 }, () => ['ip']);
    const large = Array.from({ length: 500 }, (_, i) => ({
      ...{ ...group, group: `g${i}`, drops },
      stops: i === 0 ? [...stops.slice(1), { argv, timeoutMs: 5 }] : stops,
    }));
    const line = armWith(...large);
    const [read = ''] = new LineBuffer(lineBytesMax).push(Buffer.from(`${line}\n`));
    const parsed = parseRequest(read);
    const request = parsed.kind === 'request' && parsed.request.kind === 'arm' ? parsed.request : null;
    expect(request?.wrong).toEqual([]);
    expect(request?.orders).toHaveLength(500);
  });

  it.each([
    '',
    '{',
    'null',
    '[]',
    '7',
    '"arm"',
    '{}',
    '{"type":"state"}',
    '{"type":"state","id":1.5}',
    '\u0000',
  ])('is garbage: %j', (line) => expect(parseRequest(line)).toEqual({ kind: 'garbage' }));

  it.each([
    ['{"type":"dance","id":1}', 'type'],
    ['{"type":"fence","id":1}', 'group'],
    ['{"type":"arm","id":1}', 'groups is not a list'],
    ['{"type":"arm","id":1,"watchdog":7,"groups":[]}', 'watchdog'],
    [armWith(7), 'not an object'],
    [armWith({ ...group, group: '' }), 'group'],
    [armWith(group, group), 'twice'],
  ])('is wrong, and told so: %s', (line, reason) => {
    expect(parseRequest(line)).toMatchObject({
      kind: 'wrong',
      id: 1,
      reason: expect.stringContaining(reason) as string,
    });
  });

  it.each([
    [{ epoch: 7 }, 'epoch'],
    [{ epoch: '-1' }, 'epoch'],
    [{ fenceAtMs: null }, 'fenceAtMs'],
    [{ fenceAtMs: -1 }, 'fenceAtMs'],
    [{ doneByMs: 9 }, 'doneByMs'],
    [{ drops: [[]] }, 'empty'],
    [{ drops: [['a\0b']] }, 'argument'],
    [{ drops: 'ip' }, 'drops'],
    [{ stops: [['x']] }, 'stop'],
    [{ stops: [{ argv: ['x'], timeoutMs: 0 }] }, 'timeoutMs'],
    [{ drops: Array.from({ length: 129 }, () => ['x']) }, 'more than 128'],
  ])('has a group that is wrong, which is told by its name: %j', (field, reason) => {
    const other = { ...group, group: 'd4' };
    expect(parseRequest(armWith({ ...group, ...field }, other))).toMatchObject({
      kind: 'request',
      request: {
        orders: [{ group: 'd4' }],
        wrong: [{ group: 'd3', reason: expect.stringContaining(reason) as string }],
      },
    });
  });
});

describe('a fence run', () => {
  /** Commands with simulated time: each takes as long as its last argument says, or fails, or hangs. */
  function worldOf(): { log: string[]; ports: Parameters<typeof runFence>[2] } {
    const log: string[] = [];
    let nowMs = 0;
    let failuresLeft = 2;
    const run = async ([name = '', takes = '0']: Argv, timeoutMs: number): Promise<CommandEnd> => {
      const startMs = nowMs;
      log.push(`${name} at ${Math.round(startMs)}`);
      await Promise.resolve();
      if (name === 'flaky' && failuresLeft-- > 0) return { kind: 'failed', says: 'flaky: exit status 1' };
      if (name === 'broken') return { kind: 'failed', says: 'broken: exit status 1' };
      const ms = Number(takes);
      nowMs = Math.max(nowMs, startMs + Math.min(ms, timeoutMs));
      if (ms <= timeoutMs) return { kind: 'done' };
      return { kind: 'timed-out', says: `${name}: killed after ${Math.round(timeoutMs)} ms` };
    };
    const pause = async (ms: number): Promise<void> => {
      await Promise.resolve();
      nowMs += ms;
    };
    return { log, ports: { bootMs: () => nowMs, run, pause } };
  }
  const order = (drops: Argv[], stops: [string, string, number][]): FenceOrder => ({
    group: 'd3',
    epoch: 1n,
    fenceAtMs: 0,
    doneByMs: 6_000,
    drops,
    stops: stops.map(([name, takes, timeoutMs]) => ({ argv: [name, takes], timeoutMs })),
  });

  it('runs all drops at once, then the stops in order', async () => {
    const { log, ports } = worldOf();
    const stops: [string, string, number][] = [
      ['app', '30', 1_000],
      ['db', '40', 1_000],
    ];
    expect(
      await runFence(
        order(
          [
            ['d1', '5'],
            ['d2', '5'],
          ],
          stops,
        ),
        6_000,
        ports,
      ),
    ).toEqual([]);
    expect(log).toEqual(['d1 at 0', 'd2 at 0', 'app at 5', 'db at 35']);
  });

  it('gives up a hanging drop in time for the stops', async () => {
    const { log, ports } = worldOf();
    const failures = await runFence(order([['d1', '99999']], [['app', '30', 1_000]]), 6_000, ports);
    expect(failures).toEqual(['drop: d1: killed after 2000 ms']);
    expect(log).toContain('app at 2000');
  });

  it('leaves later stops their turn when an earlier one hangs, and is done by the deadline', async () => {
    const { log, ports } = worldOf();
    const stops: [string, string, number][] = [
      ['app', '99999', 60_000],
      ['db', '99999', 60_000],
      ['fs', '100', 60_000],
    ];
    const failures = await runFence(order([], stops), 6_000, ports);
    expect(log).toEqual(['app at 0', `db at ${6_000 - marginMs - 1_000}`, `fs at ${6_000 - marginMs - 500}`]);
    expect(failures).toHaveLength(2);
    expect(ports.bootMs()).toBeLessThanOrEqual(6_000 - marginMs);
  });

  it('tries again what fails, and tells what never succeeds', async () => {
    const { log, ports } = worldOf();
    expect(await runFence(order([['flaky', '1']], []), 6_000, ports)).toEqual([]);
    expect(log).toEqual(['flaky at 0', 'flaky at 100', 'flaky at 200']);
    const other = worldOf();
    expect(await runFence(order([['broken', '1']], []), 1_000, other.ports)).toEqual([
      'drop: broken: exit status 1',
    ]);
    expect(other.ports.bootMs()).toBeLessThan(1_000);
  });

  it('starts everything at least once, even when no time is left', async () => {
    const { log, ports } = worldOf();
    await runFence(order([['d1', '1']], [['app', '1', 1_000]]), 0, ports);
    expect(log).toEqual(['d1 at 0', 'app at 1']);
  });

  it('splits a short rest evenly', () => {
    expect(turnEnd(0, 900, 2)).toBe(300);
    expect(turnEnd(0, 6_000, 0)).toBe(6_000);
    expect(turnEnd(700, 600, 1)).toBe(600);
  });
});

describe('a command that fails', () => {
  it('is told with its own words, in one line', async () => {
    const script = 'echo not booted; echo host is down; exit 4';
    expect(await runCommand(['sh', '-c', script], 5_000)).toEqual({
      kind: 'failed',
      says: 'sh: exit status 4: not booted host is down',
    });
  });
});
