/** Mode replace: the address of the primary goes with the group, and both servers stay reachable. */
import { describe, expect } from '@jest/globals';
import { turns } from './audit.ts';
import { clusterYaml, outage, outageMs, webResource } from './config.ts';
import { stories } from './story.ts';
import { until } from './until.ts';
import type { World } from './world.ts';

const takeoverMs = 2_500;
const primaryOwn = '10.77.0.11';
const standbyOwn = '10.77.0.12';

const replaced = clusterYaml(`  d3:
    servers: [a, b]
    outage: ${outage}
    failoversPerHour: 100
    identity: { mode: replace, prefix: 24, hostname: d3-main }
    resources:
${webResource()}`);

/** Who has which of the two addresses. */
const holds = (world: World, primary: string, standby: string): boolean =>
  world.holders(primaryOwn).join() === primary && world.holders(standbyOwn).join() === standby;

const nameOf = async (world: World, host: string): Promise<string> =>
  (await world.lab.host(host).exec(['uname', '-n'])).stdout.trim();

/**
 * Boots a host whose system configures no address on the service network: it is Holdfast's to give. (The lab's hosts are born
 * with one, and would answer there until the boot rule takes it off.)
 */
async function bootWithoutOwnAddress(world: World, name: string): Promise<void> {
  const host = world.lab.host(name);
  await host.pullCable('service');
  await host.powerOn();
  const removed = await host.exec(['ip', 'addr', 'del', `${host.addresses.service}/24`, 'dev', 'eth0']);
  expect(removed).toMatchObject({ status: 0 });
  await host.plugCable('service');
  await world.boot(name);
}

describe('mode replace', () => {
  const identity = `udp:${primaryOwn}`;
  const other = `udp:${standbyOwn}`;
  const story = stories({ config: () => replaced, targets: [identity, other, `http:${primaryOwn}`] });

  story(
    'the standby takes address and name of the primary, which comes back with those of the standby, until failback',
    120_000,
    async ({ world, owner }) => {
      expect(owner).toBe('a');
      await until('both have their own addresses', 10_000, () => holds(world, 'a', 'b'));
      await world.client.answeredBy(identity, 'a', 5_000);
      await world.client.answeredBy(other, 'b', 5_000);
      expect(await nameOf(world, 'a')).toBe('d3-main');

      await world.lab.host('a').powerOff();
      await world.client.answeredBy(identity, 'b', outageMs + takeoverMs);
      expect(world.holders(standbyOwn)).toEqual([]);
      await until('b has the name', 5_000, async () => (await nameOf(world, 'b')) === 'd3-main');

      await bootWithoutOwnAddress(world, 'a');
      await until('both are reachable, the other way round', 30_000, () => holds(world, 'b', 'a'));
      await world.client.answeredBy(other, 'a', 10_000);
      await world.client.answeredBy(identity, 'b', 10_000);

      const back = await world.operate('w', 'failback', 'd3');
      expect(back).toMatchObject({ status: 0, ended: { outcome: 'done' } });
      await until('both have their own addresses again', 15_000, () => holds(world, 'a', 'b'));
      await world.client.answeredBy(other, 'b', 10_000);
      await world.client.answeredBy(identity, 'a', 10_000);
      expect(turns(world.client.answers(identity))).toEqual(['a', 'b', 'a']);
      expect([await nameOf(world, 'a'), await nameOf(world, 'b')]).toEqual(['d3-main', 'b']);
    },
  );

  story(
    "everything of ours on the primary is killed: its own address, which is the group's, is dropped by the kernel",
    90_000,
    async ({ world, owner, standby }) => {
      await world.killAllOfOurs(owner);
      await world.client.answeredBy(identity, standby, outageMs + takeoverMs);
      world.cluster.run(owner);
      await until('both are reachable, the other way round', 30_000, () => holds(world, standby, owner));
      await world.client.answeredBy(other, owner, 10_000);
      expect(await world.operate('w', 'switchover', 'd3', '--to', owner)).toMatchObject({ status: 0 });
      await until('both are reachable again', 15_000, () => holds(world, owner, standby));
    },
  );
});
