/** A group that gets a new name: what it has stays until it is released, although the new one claims the same. */
import type { ClusterConfig, GroupConfig } from '@holdfast/core';
import { oneGroup, serviceAddress, Story, until } from './story.ts';

const before = oneGroup();

function renamed(): ClusterConfig {
  const old = before.groups.get('d3');
  if (old === undefined) throw new Error('there is no d3');
  const d4: GroupConfig = { ...old, name: 'd4' };
  return { ...before, groups: new Map([['d4', d4]]), leaving: [{ group: old, above: 1n }] };
}

it('keeps its host name and its address until it is released', async () => {
  const story = await Story.begin({ config: before, stations: ['a'] });
  try {
    const { agent, host } = story.station('a');
    const holding = () => agent.state().groups.get('d3')?.holding.kind;
    story.quorum.own('d3', { kind: 'owned', owner: 'a', epoch: 1n });
    await until('a is active', () => holding() === 'active');
    expect(host.hosts.get('d3-main')).toEqual([serviceAddress]);
    story.quorum.configure(renamed());
    await until('a knows the new name', () => agent.state().groups.has('d4'));
    await until('nothing is left to strip', () => agent.state().stripped);
    expect(holding()).toBe('active');
    expect(host.hosts.get('d3-main')).toEqual([serviceAddress]);
    expect(story.network.holders(serviceAddress)).toEqual(['a']);
    story.quorum.own('d3', { kind: 'releasing', owner: 'a', epoch: 1n, to: null });
    await until('it let go', () => holding() === 'fenced');
    expect(host.hosts.has('d3-main')).toBe(false);
  } finally {
    await story.end();
  }
});
