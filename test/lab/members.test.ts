/** Members that are gone for good, and those that come in their place. */
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { clusterYaml, group, virtualAddress, web } from './config.ts';
import { until } from './until.ts';
import { openWorld, openWorldMs, type World } from './world.ts';

/** As long as anybody may count on what the one that is removed was told. */
const goneMs = 60_000;

// Without the frame of stories: nobody waits for the removed one at the end.
describe('a member that is gone for good', () => {
  let world: World;
  beforeAll(async () => {
    const targets = [web, `udp:${virtualAddress}`];
    world = await openWorld({ config: () => clusterYaml(group()), targets });
  }, openWorldMs);
  afterAll(() => world.close(), 30_000);

  it(
    'is removed, and the one that joins in its place gets its vote',
    async () => {
      const { cluster, lab } = world;
      const remove = (member: string) => cluster.holdfast('a', 'remove', member);
      const named = await remove('b');
      expect(named.status).toBe(4);
      expect(named.stderr).toContain('groups.d3.servers names b');
      const alive = await remove('w');
      expect(alive.status).toBe(4);
      expect(alive.stderr).toContain('stop it for good');
      await lab.host('w').powerOff();

      await joinWitness('v', 'client');
      await world.until('a', 'v is up', 20_000, ({ servers }) => servers['v']?.state === 'up');
      expect((await world.status('a')).quorum.members['v']?.voter).not.toBe(true);
      await until('w is removed', goneMs, async () => (await remove('w')).status === 0);
      const after = await world.until(
        'a',
        'v votes, and a vote is to spare',
        30_000,
        ({ quorum }) => quorum.healthy && quorum.members['v']?.voter === true && quorum.spareVotes === 1,
      );
      expect(Object.keys(after.servers).sort()).toEqual(['a', 'b', 'v']);
      expect(after.groups['d3']).toMatchObject({ owner: 'a', phase: 'active', epoch: '1' });
    },
    3 * goneMs,
  );

  async function joinWitness(node: string, on: string): Promise<void> {
    const { cluster, lab } = world;
    const token = (await cluster.must('a', 'token', '--role', 'witness')).trim().split('\n').at(-1) ?? '';
    const { service, private: second } = lab.host(on).addresses;
    const where = ['--seed', lab.host('a').addresses.service, '--address', service, '--address', second];
    await cluster.must(on, 'join', ...where, '--token', token, '--node', node);
    cluster.run(on);
  }
});
