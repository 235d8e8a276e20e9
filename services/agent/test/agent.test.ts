/** Stories of agents with real heartbeats, real gRPC, real sockets to the guard, and made-up hosts. */
import { request } from 'node:http';
import { createSocket } from 'node:dgram';
import { readFile } from 'node:fs/promises';
import { connect } from 'node:net';
import { join } from 'node:path';
import { parseHeard, type HeardLine } from '@holdfast/core';
import { exited, type FakeHost } from './fake-network.ts';
import { oneGroup, serviceAddress, Story, until, type StoryOptions } from './story.ts';

let story: Story;

const begin = async (options?: StoryOptions): Promise<Story> => {
  story = await Story.begin(options);
  return story;
};

afterEach(async () => {
  await story.end();
});

const given = (owner: string, epoch: bigint) => story.quorum.own('d3', { kind: 'owned', owner, epoch });
const stateOf = (server: string) => story.quorum.reportOf(server, 'd3')?.state ?? 'nothing';
const isActive =
  (server: string, epoch = 1n) =>
  () =>
    stateOf(server) === 'active' && story.quorum.reportOf(server, 'd3')?.epoch === epoch;
/** By the agent or by the guard. */
const stops = (host: FakeHost) => host.runs.filter((run) => run.argv.at(-1) === 'app-stop');
const holdingOf = (name: string) => story.station(name).agent.state().groups.get('d3')?.holding.kind;

describe('an agent that is given a group', () => {
  it('takes it over: guard first, then the address with an end, name, service', async () => {
    await begin();
    const { host, guard, dir } = story.station('a');
    host.command = ({ argv }) =>
      Promise.resolve(exited(argv[0] === 'app-status' && host.ran('app-start').length === 0 ? 3 : 0));
    given('a', 1n);
    await until('a is active', isActive('a'));
    expect(story.network.holders(serviceAddress)).toEqual(['a']);
    expect(host.endOf(serviceAddress)).toBeLessThan(host.now() + 4_400);
    expect(host.hosts.get('d3-main')).toEqual([serviceAddress]);
    // Once with the address itself, and in the step that repeats it.
    expect(host.announced).toEqual([serviceAddress, serviceAddress]);
    expect(host.ran('app-start')).toHaveLength(1);
    expect(host.ran('app-start')[0]?.env).toMatchObject({
      HOLDFAST_GROUP: 'd3',
      HOLDFAST_EPOCH: '1',
      HOLDFAST_SERVER: 'a',
      HOLDFAST_EVENT: 'start',
      HOLDFAST_PEER: '',
    });
    expect(guard.armed.get('d3')).toMatchObject({ epoch: '1', drops: [['fake-drop', serviceAddress]] });
    expect(guard.armed.get('d3')?.stops[0]?.argv.slice(-1)).toEqual(['app-stop']);
    const remembered = () => readFile(join(dir, 'state', 'holdings.json'), 'utf8');
    await until('it is on disk', async () => (await remembered()).includes('"epoch":"1","state":"active"'));
    await until('the history has it', () => story.quorum.events.some((e) => e.kind === 'active'));
    expect(story.quorum.events.find((e) => e.kind === 'active')).toMatchObject({ group: 'd3', server: 'a' });
  });

  it('hands it over on request, and at no moment both have the address', async () => {
    await begin();
    given('a', 1n);
    await until('a is active', isActive('a'));
    story.quorum.own('d3', { kind: 'releasing', owner: 'a', epoch: 1n, to: 'b' });
    await until('a is fenced', () => stateOf('a') === 'fenced');
    given('b', 2n);
    await until('b is active', isActive('b', 2n));
    expect(story.network.history).toEqual([
      `a set ${serviceAddress}`,
      `a dropped ${serviceAddress}`,
      `b set ${serviceAddress}`,
    ]);
    expect(story.station('a').host.ran('app-stop')).toHaveLength(1);
    expect(story.station('a').host.hosts.size).toBe(0);
  });

  it('keeps the address while it renews, and sets it again when somebody took it away', async () => {
    await begin({ stations: ['a'] });
    given('a', 1n);
    await until('a is active', isActive('a'));
    const { host } = story.station('a');
    const end = host.endOf(serviceAddress) ?? 0;
    await until('the end moved on', () => (host.endOf(serviceAddress) ?? 0) > end + 500);
    host.drop(serviceAddress);
    await until('it is back', () => host.holds(serviceAddress));
    await until('people are told', () => story.quorum.events.some((e) => e.kind === 'address-restored'));
  });

  it('leaves an address that vanished to whoever answers there now, and keeps the others', async () => {
    const other = '10.77.0.101/24';
    const identity = { mode: 'add', addresses: [serviceAddress, other], interface: 'eth0' };
    await begin({ stations: ['a'], config: oneGroup({ identity }) });
    given('a', 1n);
    await until('a is active', isActive('a'));
    const { host } = story.station('a');
    story.network.strangers.set(other, '02:00:00:00:00:66');
    host.drop(other);
    const end = host.endOf(serviceAddress) ?? 0;
    await until('the end moved on', () => (host.endOf(serviceAddress) ?? 0) > end + 500);
    expect(host.holds(other)).toBe(false);
    const told = () => story.quorum.events.find((e) => e.kind === 'extend-failed')?.reason ?? '';
    await until('people are told', () => told().includes('02:00:00:00:00:66'));
  });

  it('carries a new configuration out beside the service, and the guard knows of all that runs', async () => {
    const resource = (name: string) => {
      const command = { start: [`${name}-start`], stop: [`${name}-stop`], status: [`${name}-status`] };
      return { name, command };
    };
    await begin({ stations: ['a'], config: oneGroup({ resources: [resource('app'), resource('old')] }) });
    given('a', 1n);
    await until('a is active', isActive('a'));
    const { host, guard } = story.station('a');
    let letStop: () => void = () => undefined;
    const stopping = new Promise<void>((resolve) => {
      letStop = resolve;
    });
    host.command = async ({ argv }) => {
      if (argv[0] === 'old-stop') await stopping;
      return exited(argv[0] === 'new-status' && host.ran('new-start').length === 0 ? 3 : 0);
    };
    const end = host.endOf(serviceAddress) ?? 0;
    story.quorum.configure(oneGroup({ resources: [resource('app'), resource('new')] }));
    await until('it stops what is gone', () => host.ran('old-stop').length > 0);
    await until('the end moved on', () => (host.endOf(serviceAddress) ?? 0) > end + 500);
    const stops = () => guard.armed.get('d3')?.stops.map(({ argv }) => argv.at(-1)) ?? [];
    expect(stops()).toEqual(['old-stop', 'app-stop']);
    expect(holdingOf('a')).toBe('active');
    letStop();
    await until('it starts what is new', () => host.ran('new-start').length > 0);
    await until('the guard knows', () => stops().join() === 'new-stop,app-stop');
    await until('people are told', () => story.quorum.events.some((e) => e.reason.includes('start new')));
    expect(host.ran('app-stop')).toEqual([]);
    expect(host.ran('app-start')).toEqual([]);
  });

  it('does nothing visible while the guard is away', async () => {
    await begin({ stations: ['a'] });
    const { host, guard } = story.station('a');
    await guard.close();
    given('a', 1n);
    await until('it gave up', () => stateOf('a') === 'failed');
    expect(story.network.history).toEqual([]);
    expect(host.ran('app-start')).toHaveLength(0);
    expect(story.quorum.reportOf('a', 'd3')?.says).toContain('guard is not connected');
  });

  it('waits while somebody answers at the address, and names who', async () => {
    await begin({ stations: ['a'] });
    story.network.strangers.set(serviceAddress, '02:00:00:00:00:66');
    given('a', 1n);
    await until('it is held', () =>
      (story.quorum.reportOf('a', 'd3')?.says ?? '').includes('02:00:00:00:00:66'),
    );
    expect(story.network.history).toEqual([]);
    story.network.strangers.clear();
    await until('a is active', isActive('a'));
  });

  it('is asked to prove from outside that the network finds it', async () => {
    await begin();
    given('a', 1n);
    await until('b has seen it', () => story.quorum.events.some((e) => e.kind === 'verified'));
  });

  it('restarts a failed service in place, then asks to be released', async () => {
    const monitor = { every: '1s', timeout: '1s', restarts: 1 };
    const command = { start: ['app-start'], stop: ['app-stop'], status: ['app-status'] };
    const app = { name: 'app', command, monitor, startTimeout: '1s' };
    await begin({ stations: ['a'], config: oneGroup({ resources: [app] }) });
    given('a', 1n);
    await until('a is active', isActive('a'));
    const { host } = story.station('a');
    host.command = ({ argv }) => Promise.resolve(exited(argv[0] === 'app-status' ? 1 : 0, 'down'));
    const wish = () => story.quorum.reportOf('a', 'd3')?.wantsRelease ?? '';
    await until('it asks for it', () => wish() !== '');
    expect(host.ran('app-start')).toHaveLength(1);
    expect(wish()).toContain('down');
    expect(story.network.holders(serviceAddress)).toEqual(['a']);
  });
});

describe('an agent that ends', () => {
  it('is re-attached by the next: service and address are not touched', async () => {
    await begin({ stations: ['a'] });
    given('a', 1n);
    await until('a is active', isActive('a'));
    const station = story.station('a');
    await station.restart();
    const before = story.quorum.renewed;
    await until('it renews again', () => story.quorum.renewed > before + 2);
    expect(holdingOf('a')).toBe('active');
    expect(story.network.history).toEqual([`a set ${serviceAddress}`]);
    expect(stops(station.host)).toHaveLength(0);
    expect(station.guard.fenced).toEqual([]);
  });

  it('leaves it to the guard when nobody follows', async () => {
    await begin({ stations: ['a'] });
    given('a', 1n);
    await until('a is active', isActive('a'));
    const station = story.station('a');
    await station.kill();
    await until('the guard fenced', () => station.guard.fenced.length === 1);
    expect(story.network.holders(serviceAddress)).toEqual([]);
    await station.restart();
    await until('the next one says so', () => stateOf('a') === 'fenced');
    given('a', 2n);
    await until('a is active again', isActive('a', 2n));
  });

  it('is followed by one that stops what nobody vouches for', async () => {
    await begin({ stations: ['a'] });
    given('a', 1n);
    await until('a is active', isActive('a'));
    const station = story.station('a');
    await station.kill();
    await station.guard.close();
    await station.guard.open();
    station.guard.armed.clear();
    await station.restart();
    await until('it is fenced', () => stateOf('a') === 'fenced');
    expect(stops(station.host)).toHaveLength(1);
    expect(story.network.holders(serviceAddress)).toEqual([]);
  });

  it('gives up its groups first when asked to', async () => {
    await begin({ stations: ['a'] });
    given('a', 1n);
    await until('a is active', isActive('a'));
    const { agent, guard, host } = story.station('a');
    agent.release('a is shutting down');
    await until('it asks for it', () => story.quorum.reportOf('a', 'd3')?.wantsRelease !== null);
    story.quorum.own('d3', { kind: 'releasing', owner: 'a', epoch: 1n, to: null });
    await agent.released;
    expect(host.ran('app-stop')).toHaveLength(1);
    expect(story.network.holders(serviceAddress)).toEqual([]);
    expect(guard.armed.size).toBe(0);
    expect(story.quorum.renewals.get('a')?.record.leaving).toBe(true);
  });
});

describe('an agent whose renewals are not answered', () => {
  it('goes on with the promise of the other server', async () => {
    await begin();
    given('a', 1n);
    await until('a is active', isActive('a'));
    story.quorum.deaf = true;
    const { guard, host, agent } = story.station('a');
    const first = guard.armed.get('d3')?.fenceAtMs ?? 0;
    await until('it lived on promises', () => (guard.armed.get('d3')?.fenceAtMs ?? 0) > first + 2_500);
    expect(agent.state().renewal.failingSince).not.toBeNull();
    expect(host.holds(serviceAddress)).toBe(true);
    const promises: unknown = JSON.parse(
      await readFile(join(story.station('b').dir, 'state', 'promises.json'), 'utf8'),
    );
    expect(promises).toMatchObject({ d3: { epoch: '1' } });
  });

  it('goes on with it also when the other one had made ready for a move that was called off, and began anew', async () => {
    await begin({ config: oneGroup({ hooks: { beforeRelease: [['ask-people']] } }) });
    given('a', 5n);
    await until('a is active', isActive('a', 5n));
    const [a, b] = [story.station('a'), story.station('b')];
    let refuse: () => void = () => undefined;
    const refused = new Promise<void>((resolve) => {
      refuse = resolve;
    });
    a.host.command = async ({ argv }) => {
      if (argv[0] === 'ask-people') await refused;
      return exited(argv[0] === 'ask-people' ? 1 : 0);
    };
    story.quorum.own('d3', { kind: 'releasing', owner: 'a', epoch: 5n, to: 'b' });
    const remembered = () => readFile(join(b.dir, 'state', 'holdings.json'), 'utf8').catch(() => '');
    await until('b is ready', async () => (await remembered()).includes('6'));
    await b.kill();
    refuse();
    await until('a refused', () => (story.quorum.reportOf('a', 'd3')?.releaseRefused ?? '') !== '');
    expect(story.quorum.reportOf('a', 'd3')?.steps).toMatchObject([{ server: 'a', outcome: 'failed' }]);
    given('a', 5n);
    await b.restart();
    await until(
      'b knows the owner',
      () => b.agent.state().groups.get('d3')?.seen?.ownership.kind === 'owned',
    );
    story.quorum.deaf = true;
    const { guard, agent } = a;
    const first = guard.armed.get('d3')?.fenceAtMs ?? 0;
    await until('a lived on promises', () => (guard.armed.get('d3')?.fenceAtMs ?? 0) > first + 2_500);
    expect(agent.state().groups.get('d3')?.holding).toMatchObject({ kind: 'active', epoch: 5n });
    expect(agent.state().renewal.failingSince).not.toBeNull();
    await until('nothing is left of it', async () => !(await remembered()).includes('6'));
  });

  it('fences without it, and takes nothing up again at that epoch', async () => {
    await begin({ stations: ['a'] });
    given('a', 1n);
    await until('a is active', isActive('a'));
    story.quorum.deaf = true;
    await until('it fenced', () => holdingOf('a') === 'fenced');
    expect(story.network.holders(serviceAddress)).toEqual([]);
    story.quorum.deaf = false;
    await until('it says so', () => stateOf('a') === 'fenced');
    expect(story.network.history.filter((line) => line.includes('set'))).toHaveLength(1);
  });
});

describe('a fence', () => {
  it('ends a start that is under way, and leaves nothing of it', async () => {
    await begin({ stations: ['a'] });
    const { host } = story.station('a');
    host.command = ({ argv }) => {
      if (argv[0] === 'app-start') return new Promise(() => undefined);
      return Promise.resolve(exited(argv[0] === 'app-status' ? 3 : 0));
    };
    given('a', 1n);
    await until('the start hangs', () => host.ran('app-start').length === 1);
    given('b', 2n);
    await until('a is fenced', () => holdingOf('a') === 'fenced');
    expect(host.killed).toBeGreaterThan(0);
    expect(stops(host).length).toBeGreaterThan(0);
    expect(story.network.holders(serviceAddress)).toEqual([]);
  });

  it('is done by the agent itself when the guard is silent', async () => {
    await begin({ stations: ['a'] });
    given('a', 1n);
    await until('a is active', isActive('a'));
    const { host, guard } = story.station('a');
    guard.mute = true;
    given('b', 2n);
    await until('a is fenced', () => holdingOf('a') === 'fenced');
    expect(guard.fenced).toEqual([]);
    expect(host.ran('app-stop')).toHaveLength(1);
    expect(story.network.holders(serviceAddress)).toEqual([]);
  });

  it('takes back an address that was on its way', async () => {
    await begin({ stations: ['a'] });
    const { host } = story.station('a');
    let set: (() => void) | null = null;
    const finish = () => set?.();
    host.holding = () =>
      new Promise((resolve) => {
        set = () => resolve({ kind: 'done' });
      });
    given('a', 1n);
    await until('the address is being set', () => set !== null);
    given('b', 2n);
    await until('it fences', () => holdingOf('a') === 'fencing');
    finish();
    await until('a is fenced', () => holdingOf('a') === 'fenced');
    expect(story.network.holders(serviceAddress)).toEqual([]);
  });
});

describe('heartbeats', () => {
  it('go both ways on every path, and to the quorum service of the host', async () => {
    await begin();
    const heard = (by: string, whom: string) =>
      story.station(by).agent.state().vantage.ears.get(whom)?.paths.size;
    await until('they hear each other', () => heard('a', 'b') === 2 && heard('b', 'a') === 2);
    const lines = await relayed(join(story.station('a').dir, 'run', 'heard.sock'), 6);
    const from = (who: string) => lines.filter((line) => line.from === who).map((line) => line.path);
    expect(new Set(from('a'))).toEqual(new Set([0, 1]));
    expect(new Set(from('b'))).toEqual(new Set([0, 1]));
  });

  it('are refused under a name when they are not ours', async () => {
    await begin({ stations: ['a'] });
    const { agent, dir } = story.station('a');
    const record: unknown = JSON.parse(await readFile(join(dir, 'member.json'), 'utf8'));
    const { addresses, ports } = record as {
      addresses: string[];
      ports: { heartbeat: number; metrics: number };
    };
    const stranger = createSocket('udp4');
    for (let n = 0; n < 5; n += 1)
      stranger.send('garbage that is long enough', ports.heartbeat, addresses[0]);
    const metrics = () => get(ports.metrics, '/metrics');
    await until('they are counted', async () =>
      /rejected_total\{why="not-ours"\} [1-9]/.test(await metrics()),
    );
    stranger.close();
    expect(JSON.parse(await get(ports.metrics, '/health'))).toMatchObject({ member: 'a', guard: true });
    expect(agent.state().vantage.ears.size).toBe(0);
  });
});

describe('the checks of a server', () => {
  it('are reported: what is missing, what can not be run', async () => {
    await begin({ stations: ['a'] });
    const names = () => (story.quorum.reports.get('a') ?? []).map((p) => p.name);
    await until('they came', () => names().length > 0);
    expect(names()).toEqual(expect.arrayContaining(['d3/app start', 'd3/app stop', 'd3/app status']));
  });
});

function relayed(path: string, count: number): Promise<readonly HeardLine[]> {
  return new Promise((resolve, reject) => {
    const socket = connect(path);
    let text = '';
    const limit = setTimeout(() => {
      socket.destroy();
      reject(new Error(`only ${text.split('\n').length - 1} lines were relayed`));
    }, 6_000);
    socket.on('error', reject);
    socket.on('data', (chunk) => {
      text += chunk.toString();
      const lines = text.split('\n').slice(0, -1);
      if (lines.length < count) return;
      clearTimeout(limit);
      socket.destroy();
      const parsed = lines.map((line) => parseHeard(line));
      resolve(parsed.flatMap((line) => (line.kind === 'ok' ? [line.value] : [])));
    });
  });
}

function get(port: number, path: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const asking = request({ port, path, host: '127.0.0.1', timeout: 2_000 }, (response) => {
      let text = '';
      response.on('data', (chunk: Buffer) => (text += chunk.toString()));
      response.on('end', () => resolve(text));
    });
    asking.on('error', reject);
    asking.end();
  });
}
