/** Mode replace: the address of the primary goes with the group, and both servers stay reachable. */
import { describe, expect } from '@jest/globals';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { turns } from './audit.ts';
import { clusterYaml, group, outage, outageMs, virtualAddress, webResource } from './config.ts';
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

const journalOf = (world: World, host: string): string =>
  readFileSync(join(world.lab.host(host).dir, 'journal', 'agent.jsonl'), 'utf8');

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

describe('a group that was of mode replace', () => {
  const story = stories({ config: () => replaced, targets: [`udp:${virtualAddress}`] });

  story(
    'is changed to add: each host has its own address again, and keeps it at its next boot',
    90_000,
    async ({ world, owner, standby, beganWallMs }) => {
      await world.mustApply('w', clusterYaml(group()));
      await until('both have their own addresses', outageMs / 4, () => holds(world, owner, standby));
      await world.active('d3', owner, 10_000);
      await world.lab.host(standby).powerOff();
      const before = journalOf(world, standby).length;
      await world.boot(standby);
      await world.until('w', 'it is up', 30_000, ({ servers }) => servers[standby]?.state === 'up');
      await until(
        'it was given its own address back',
        20_000,
        () =>
          journalOf(world, standby).slice(before).includes('"kind":"spare-kept"') &&
          holds(world, owner, standby),
      );
      const moved = (await world.events('w')).filter(
        ({ time, kind }) => Date.parse(time) >= beganWallMs && kind === 'switchover',
      );
      expect(moved).toEqual([]);
    },
  );
});
