import { spawn, type ChildProcess } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { bootClock } from '../src/boot-clock.ts';
import type { GroupMessage } from '../src/index.ts';
import { connectTo, exited, startGuard, until, type TestClient } from './client.ts';
import { compileSources } from './compiled.ts';

const bootMs = bootClock();
let compiled = '';
let dir = '';
let socket = '';
let processes: ChildProcess[] = [];
let clients: TestClient[] = [];

beforeAll(() => {
  compiled = compileSources(join(import.meta.dirname, '../src'));
});
afterAll(() => rmSync(compiled, { recursive: true, force: true }));
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'holdfast-guard-'));
  socket = join(dir, 'guard.sock');
});
afterEach(async () => {
  for (const client of clients) client.socket.destroy();
  for (const child of processes) if (child.exitCode === null) child.kill('SIGKILL');
  await Promise.all(processes.map(exited));
  processes = [];
  clients = [];
  rmSync(dir, { recursive: true, force: true });
});

async function guard(...args: string[]): Promise<{ process: ChildProcess; client: TestClient }> {
  const child = await startGuard(join(compiled, 'main.js'), socket, ...args);
  processes.push(child);
  return { process: child, client: await client() };
}

async function client(): Promise<TestClient> {
  const connected = await connectTo(socket);
  clients.push(connected);
  return connected;
}

function group(inMs: number, rest: Partial<GroupMessage> = {}): GroupMessage {
  const fenceAtMs = bootMs() + inMs;
  return { group: 'd3', epoch: '7', fenceAtMs, doneByMs: fenceAtMs + 3_000, drops: [], stops: [], ...rest };
}

const runsStill = (pid: number): boolean => {
  try {
    return !/^State:\s+Z/m.test(readFileSync(`/proc/${pid}/status`, 'utf8'));
  } catch {
    return false;
  }
};

describe('the guard process', () => {
  it('fences within 50 ms of its deadline: drops, then stops in order', async () => {
    const { client: agent } = await guard();
    const lateness: number[] = [];
    // Another process may have the processor at that moment: one of three must be in time, none may be early.
    for (let epoch = 1; epoch <= 3 && !lateness.some((ms) => ms < 50); epoch += 1) {
      const log = join(dir, `log${epoch}`);
      const say = (word: string): string[] => ['sh', '-c', `echo ${word} >> ${log}`];
      agent.messages.length = 0;
      const armed = group(150, {
        epoch: String(epoch),
        drops: [say('drop')],
        stops: [
          { argv: say('app'), timeoutMs: 1_000 },
          { argv: say('db'), timeoutMs: 1_000 },
        ],
      });
      expect((await agent.arm([armed])).type).toBe('armed');
      const fencing = await agent.event('fencing');
      const fenced = await agent.event('fenced');
      expect(fenced).toMatchObject({ group: 'd3', epoch: String(epoch), ok: true, failures: [] });
      expect(readFileSync(log, 'utf8')).toBe('drop\napp\ndb\n');
      expect(fencing.atMs).toBeGreaterThanOrEqual(armed.fenceAtMs);
      lateness.push(fencing.atMs - armed.fenceAtMs);
    }
    expect(Math.min(...lateness)).toBeLessThan(50);
  });

  it('fences although the client that armed it was killed, and is told so to whom connects later', async () => {
    await guard();
    const armed = group(400, { drops: [['touch', join(dir, 'dropped')]] });
    const script = `
      import { connect } from 'node:net';
      const socket = connect(${JSON.stringify(socket)});
      const armed = ${JSON.stringify(armed)};
      // Its deadline counts from now: on a busy machine the start of this process takes longer than that.
      const startedMs = Date.now() - ${String(Date.now())};
      const order = { ...armed, fenceAtMs: armed.fenceAtMs + startedMs, doneByMs: armed.doneByMs + startedMs };
      socket.write(JSON.stringify({ type: 'arm', id: 1, watchdog: null, groups: [order] }) + '\\n');
      socket.once('data', () => process.stdout.write('armed'));
      setInterval(() => {}, 1000);`;
    const agent = spawn(process.execPath, ['--input-type=module', '-e', script]);
    processes.push(agent);
    let said = '';
    agent.stdout.on('data', (chunk: Buffer) => (said += chunk.toString()));
    await until('the client to arm', () => said === 'armed');
    agent.kill('SIGKILL');
    await until('the drop', () => existsSync(join(dir, 'dropped')));
    const later = await client();
    await until('the outcome', async () => (await later.state()).fenced.length === 1);
    expect((await later.state()).fenced).toMatchObject([{ group: 'd3', epoch: '7', ok: true }]);
  });

  it('kills a hanging stop with its children, also those that left its group, and is done in time', async () => {
    const { client: agent } = await guard();
    const pids = join(dir, 'pids');
    const hang = `sleep 987 & echo $! >> ${pids}; setsid sleep 988 & echo $! >> ${pids}; echo $$ >> ${pids}; wait`;
    const armed = group(50, {
      stops: [
        { argv: ['sh', '-c', hang], timeoutMs: 300 },
        { argv: ['touch', join(dir, 'later')], timeoutMs: 500 },
      ],
    });
    await agent.arm([armed]);
    const fenced = await agent.event('fenced');
    expect(fenced.ok).toBe(false);
    expect(fenced.failures).toEqual([expect.stringMatching(/^stop: sh: killed after \d+ ms$/)]);
    expect(fenced.atMs).toBeLessThan(armed.doneByMs);
    expect(existsSync(join(dir, 'later'))).toBe(true);
    const left = readFileSync(pids, 'utf8').trim().split('\n').map(Number);
    expect(left).toHaveLength(3);
    await until('all of them to be gone', () => !left.some(runsStill));
  });

  it('refuses lower and fenced epochs', async () => {
    const { client: agent } = await guard();
    expect((await agent.arm([group(60_000, { epoch: '7' })])).type).toBe('armed');
    expect(await agent.arm([group(60_000, { epoch: '6' })])).toMatchObject({
      type: 'refused',
      groups: ['d3'],
    });
    expect((await agent.state()).armed).toMatchObject([{ group: 'd3', epoch: '7' }]);
    expect((await agent.ask({ type: 'fence', group: 'd3' })).type).toBe('accepted');
    await agent.event('fenced');
    expect(await agent.arm([group(60_000, { epoch: '7' })])).toMatchObject({
      type: 'refused',
      groups: ['d3'],
    });
    expect((await agent.arm([group(60_000, { epoch: '8' })])).type).toBe('armed');
  });

  it('stays through signals while armed, and ends once it is not', async () => {
    const journal = join(dir, 'guard.jsonl');
    const { process: child, client: agent } = await guard('--journal', journal);
    await agent.arm([group(60_000)]);
    for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP'] as const) child.kill(signal);
    await until(
      'the signals to be ignored',
      () => existsSync(journal) && readFileSync(journal, 'utf8').match(/is ignored/g)?.length === 2,
    );
    expect(await agent.ask({ type: 'quit' })).toMatchObject({ type: 'refused', reason: 'group d3 is armed' });
    expect((await agent.ask({ type: 'disarm' })).type).toBe('disarmed');
    child.kill('SIGTERM');
    expect(await exited(child)).toBe('0');
    expect(existsSync(socket)).toBe(false);
    const events = readFileSync(journal, 'utf8')
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as { kind: string });
    expect(events.map(({ kind }) => kind)).toEqual(['started', 'ignored', 'ignored', 'exit']);
  });

  it('counts garbage and goes on', async () => {
    const { client: agent } = await guard();
    agent.socket.write(`nonsense\n{"type":"arm"}\n${'x'.repeat(200_000)}\n`);
    agent.socket.write(Buffer.from([0xff, 0xfe, 0x0a]));
    expect(await agent.ask({ type: 'arm', groups: 7 })).toMatchObject({ type: 'refused', groups: [] });
    expect((await agent.state()).garbage).toBe(5);
  });

  it('has a socket for its owner alone, and does not take over a living one', async () => {
    const { client: agent } = await guard();
    expect(statSync(socket).mode & 0o777).toBe(0o600);
    const second = await startGuard(join(compiled, 'main.js'), socket);
    processes.push(second);
    expect(await exited(second)).toBe('3');
    expect((await agent.state()).armed).toEqual([]);
  });

  it('replaces the socket file of a guard that died', async () => {
    const first = await guard();
    first.process.kill('SIGKILL');
    await exited(first.process);
    expect(existsSync(socket)).toBe(true);
    const second = await startGuard(join(compiled, 'main.js'), socket);
    processes.push(second);
    await until('the new guard', async () => {
      try {
        return (await (await client()).state()).pid === second.pid;
      } catch {
        return false;
      }
    });
  });

  it('says what is wrong with its command line', async () => {
    const child = spawn(process.execPath, [join(compiled, 'main.js')], { stdio: 'ignore' });
    processes.push(child);
    expect(await exited(child)).toBe('2');
  });

  it('pets the watchdog, closes it in order, and leaves it alone after a failure', async () => {
    const device = join(dir, 'watchdog');
    writeFileSync(device, '');
    const read = (): string => readFileSync(device, 'utf8');
    const { client: agent } = await guard();
    await agent.arm([group(60_000)], device);
    await until('some pets', () => read().length >= 3);
    await agent.ask({ type: 'disarm' });
    expect(read()).toMatch(/^1+V$/);
    writeFileSync(device, '');
    await agent.arm([group(60_000, { drops: [['false']], doneByMs: bootMs() + 60_200 })], device);
    await agent.ask({ type: 'fence', group: 'd3' });
    await agent.ask({ type: 'disarm' });
    const fenceEnds = await agent.event('fenced');
    expect(fenceEnds.failures).toEqual(['drop: false: exit status 1']);
    expect((await agent.state()).watchdog.kind).toBe('triggered');
    const size = read().length;
    await agent.arm([group(60_000, { epoch: '8' })], device);
    await agent.ask({ type: 'disarm' });
    expect(read()).toMatch(/^1+$/);
    expect(read().length).toBe(size);
  });

  it('tells that a watchdog cannot be opened, and guards without it', async () => {
    const { client: agent } = await guard();
    const reply = await agent.arm([group(60_000)], join(dir, 'no-such-device'));
    expect(reply.type).toBe('armed');
    expect((await agent.event('watchdog')).says).toContain('ENOENT');
    expect((await agent.state()).watchdog.kind).toBe('broken');
  });
});
