/** A name server that does not answer: nothing waits for it, it is told when it is back, and all of that is shown. */
import { isDeepStrictEqual } from 'node:util';
import { oneGroup, serviceAddress, Story, until } from './story.ts';

const hostname = 'd3-main';
const dns = { server: '10.77.0.53', zone: 'example.test' };
const identity = { mode: 'add', addresses: [serviceAddress], interface: 'eth0', hostname, dns };
const dead = { kind: 'failed', says: 'nsupdate: the name server 10.77.0.53 does not answer' } as const;

let story: Story;

beforeEach(async () => {
  story = await Story.begin({ config: oneGroup({ identity }, '35s') });
  story.station('a').host.dns = dead;
  story.quorum.own('d3', { kind: 'owned', owner: 'a', epoch: 1n });
  await until('a is active', () => story.quorum.reportOf('a', 'd3')?.state === 'active');
});
afterEach(() => story.end());

const told = () =>
  story.quorum.events.filter(({ kind }) => kind.startsWith('dns-')).map(({ kind, reason }) => [kind, reason]);

describe('a dead name server', () => {
  it('holds nothing up; it is told as soon as it answers, and the history has both', async () => {
    const { host } = story.station('a');
    expect(story.network.holders(serviceAddress)).toEqual(['a']);
    expect(host.hosts.get(hostname)).toEqual([serviceAddress]);
    const failed = ['dns-failed', `${dead.says}; it is tried again`];
    await until('it is shown', () => isDeepStrictEqual(told(), [failed]));
    await until('it is tried again', () => host.dnsUpdates.length >= 2);
    host.dns = { kind: 'done' };
    await until('that it was told is shown', () => told().length === 2);
    expect(told()).toEqual([failed, ['dns-updated', 'the name server was told after all']]);
    expect(new Set(host.dnsUpdates)).toEqual(new Set([hostname]));
  });

  it('is not told any more by a server that gave the name up', async () => {
    const { host } = story.station('a');
    await until('it was tried', () => host.dnsUpdates.length >= 1);
    story.quorum.own('d3', { kind: 'releasing', owner: 'a', epoch: 1n, to: 'b' });
    await until('a is fenced', () => story.quorum.reportOf('a', 'd3')?.state === 'fenced');
    const tried = host.dnsUpdates.length;
    story.quorum.own('d3', { kind: 'owned', owner: 'b', epoch: 2n });
    const other = story.station('b').host;
    await until('b told it', () => other.dnsUpdates.length === 1);
    expect(host.dnsUpdates).toHaveLength(tried);
  });

  it('is told by the next agent, when the one that had to was killed', async () => {
    const station = story.station('a');
    await until('it was tried', () => station.host.dnsUpdates.length >= 1);
    await station.kill();
    station.host.dns = { kind: 'done' };
    const tried = station.host.dnsUpdates.length;
    await station.restart();
    await until('it is told', () => station.host.dnsUpdates.length > tried);
    expect(story.network.history).toEqual([`a set ${serviceAddress}`]);
  });
});
