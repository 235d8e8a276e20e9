/** A majority of the votes that is gone for good: the steps of docs/operations.md, as a person would take them. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { clusterYaml, group, virtualAddress, web } from './config.ts';
import { monotonicMs, until } from './until.ts';
import { openWorld, openWorldMs, type World } from './world.ts';

const storyMs = 300_000;
const off = ['--without', 'a', '--without', 'w'];

// Without the frame of stories: two of the members never come back as what they were.
describe('a majority that is gone for good', () => {
  let world: World;
  beforeAll(async () => {
    // By hand, so that it is a person who takes over.
    const config = (): string => clusterYaml(group({ outage: '10s', more: '    takeover: manual\n' }));
    world = await openWorld({ config, targets: [web] });
  }, openWorldMs);
  afterAll(() => world.close(), 30_000);

  const recover = (...words: readonly string[]) =>
    world.cluster.holdfast('b', 'recover', '--alone', ...words);

  it(
    'is done without: the member that is left takes over by a person, and whoever comes back acts no more',
    async () => {
      const { lab, cluster, client } = world;
      await lab.host('a').powerOff();
      await lab.host('w').powerOff();
      const running = await recover(...off);
      expect(running.status).toBe(4);
      expect(running.stderr).toContain('another `holdfast run` uses it');
      process.kill(world.mustPid('b', 'run'), 'SIGTERM');
      await until('b is stopped', 90_000, () => world.pidOf('b', 'run') === undefined);
      const unsaid = await recover('--without', 'a');
      expect(unsaid.status).toBe(4);
      expect(unsaid.stderr).toContain('w may still vote');
      const planned = await recover(...off, '--dry-run');
      expect(planned.status).toBe(0);
      expect(planned.stdout).toContain('dry run: b would go on with the only vote');

      expect(await recover(...off)).toMatchObject({ status: 0, stderr: '' });
      cluster.run('b');
      const alone = await world.until('b', 'a is down', 60_000, ({ quorum, servers }) => {
        return quorum.healthy && servers['a']?.state === 'down';
      });
      expect(alone.quorum.members).toMatchObject({
        a: { voter: false },
        b: { voter: true },
        w: { voter: false },
      });
      expect(alone.groups['d3']).toMatchObject({ owner: 'a', epoch: '1' });
      const forcedMs = monotonicMs();
      await until(
        'd3 is forced over',
        60_000,
        async () => {
          await world.operate('b', 'failover', 'd3', '--to', 'b', '--force');
          return (await world.status('b')).groups['d3']?.owner === 'b';
        },
        () => world.ended.join('\n'),
      );
      const answer = await client.answeredBy(web, 'b', 30_000, forcedMs);
      expect(answer.epoch).toBeGreaterThan(1n);
      const told = await world.event('b', 10_000, 0, ({ kind }) => kind === 'recovered');
      expect(told.reason).toContain('a and w are off for good');

      await world.boot('a');
      await until('a is told that it was removed', 60_000, () =>
        /quorum can't run.*\n.*removed/.test(said('a')),
      );
      await until('a is stopped', 60_000, () => world.pidOf('a', 'run') === undefined);
      expect(world.holders(virtualAddress)).toEqual(['b']);
      expect(world.kernel('a').holdsNow(virtualAddress)).toBe(false);
      await client.answeredBy(web, 'b', 10_000);
    },
    storyMs,
  );

  /** What its `run` printed in all its lives. */
  const said = (host: string): string =>
    readFileSync(join(world.lab.host(host).dir, 'run', 'holdfast.log'), 'utf8');
});
