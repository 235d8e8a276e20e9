/** Identities: replace, IPv6, two groups crosswise on one pair, a third server. */
import { describe, expect } from '@jest/globals';
import { turns } from './audit.ts';
import { clusterYaml, group, outage, outageMs, virtualAddress, web, webResource } from './config.ts';
import { stories } from './story.ts';
import { until } from './until.ts';
import { plain, type World } from './world.ts';

const takeoverMs = 2_500;
const primaryOwn = '10.77.0.11';
const standbyOwn = '10.77.0.12';
const virtual6 = 'fd77::100';

const replaced = clusterYaml(`  d3:
    servers: [a, b]
    outage: ${outage}
    failoversPerHour: 100
    identity: { mode: replace, prefix: 24, hostname: d3-main }
    resources:
${webResource()}`);

const crosswise = clusterYaml(
  group({ name: 'files', resources: '' }),
  group({ name: 'mail', servers: ['b', 'a'], addresses: ['10.77.0.102'], resources: '' }),
);

/** The primary's own address goes with the group; the other server has the other one. */
const both = (world: World, owner: string, other: string): boolean =>
  world.holders(primaryOwn).join() === owner && world.holders(standbyOwn).join() === other;

describe('identities', () => {
  const targets = [web, `http:${primaryOwn}`, `udp:${virtual6}`, 'udp:10.77.0.102', `udp:${standbyOwn}`];
  const story = stories({
    hosts: ['a', 'b', 'c', 'client'],
    config: () => clusterYaml(group({ servers: ['a', 'b', 'c'] })),
    targets,
  });

  story(
    'replace: the standby takes the address of the primary, which comes back with that of the standby, until failback',
    120_000,
    async (scene) => {
      const { world } = scene;
      await home(world);
      expect(await world.apply('c', replaced)).toMatchObject({ status: 0 });
      await world.active('d3', 'a', 20_000, 'c');
      await until('both have their own addresses', 10_000, () => both(world, 'a', 'b'));
      await world.client.answeredBy(`http:${primaryOwn}`, 'a', 10_000);

      await world.lab.host('a').powerOff();
      await world.client.answeredBy(`http:${primaryOwn}`, 'b', outageMs + takeoverMs);
      expect(world.holders(standbyOwn)).toEqual([]);

      await world.boot('a');
      await until('both are reachable, the other way round', 30_000, () => both(world, 'b', 'a'));
      await world.client.answeredBy(`udp:${standbyOwn}`, 'a', 10_000);
      await world.client.answeredBy(`http:${primaryOwn}`, 'b', 10_000);

      const back = await world.operate('c', 'failback', 'd3');
      expect(back).toMatchObject({ status: 0, ended: { outcome: 'done' } });
      await until('both have their own addresses again', 15_000, () => both(world, 'a', 'b'));
      await world.client.answeredBy(`udp:${standbyOwn}`, 'b', 10_000);
      await world.client.answeredBy(`http:${primaryOwn}`, 'a', 10_000);
      expect(turns(world.client.answers(`http:${primaryOwn}`))).toEqual(['a', 'b', 'a']);
    },
  );

  story('an IPv6 address is taken over like an IPv4 one', 60_000, async ({ world, standby }) => {
    await home(world);
    expect(
      await world.apply('c', clusterYaml(group({ addresses: [virtualAddress, virtual6] }))),
    ).toMatchObject({ status: 0 });
    await world.client.answeredBy(`udp:${virtual6}`, 'a', 10_000);
    await world.lab.host('a').powerOff();
    await world.client.answeredBy(`udp:${virtual6}`, 'b', outageMs + takeoverMs);
    await world.client.answeredBy(web, 'b', takeoverMs);
    expect(standby).not.toBe('a');
  });

  story(
    'two groups crosswise: each server carries both when the other dies, and its own again after failback',
    90_000,
    async ({ world }) => {
      expect(await world.apply('c', crosswise)).toMatchObject({ status: 0 });
      await world.active('files', 'a', 20_000, 'c');
      await world.active('mail', 'b', 20_000, 'c');
      expect([world.holders(virtualAddress), world.holders('10.77.0.102')]).toEqual([['a'], ['b']]);
      await world.lab.host('b').powerOff();
      await world.client.answeredBy('udp:10.77.0.102', 'a', outageMs + takeoverMs);
      expect((await world.status('c')).groups['files']).toMatchObject({ owner: 'a', epoch: '1' });
      await world.boot('b');
      await world.settled();
      expect(await world.operate('c', 'failback', 'mail')).toMatchObject({
        status: 0,
        ended: { outcome: 'done' },
      });
      await world.client.answeredBy('udp:10.77.0.102', 'b', 5_000);
      expect((await world.status('c')).groups['files']).toMatchObject({ owner: 'a', epoch: '1' });
    },
  );

  story('a third server takes over when the first two are dead', 90_000, async ({ world }) => {
    await home(world);
    await world.lab.host('a').powerOff();
    await world.client.answeredBy(web, 'b', outageMs + takeoverMs);
    await world.boot('a');
    await world.settled();
    expect(await world.operate('c', 'switchover', 'd3', '--to', 'c')).toMatchObject({
      status: 0,
      ended: { outcome: 'done' },
    });
    await world.client.answeredBy(web, 'c', 5_000);
    await world.lab.host('c').powerOff();
    const first = await world.client.answeredBy(web, 'a', outageMs + takeoverMs);
    expect(first.server).toBe('a'); // the most preferred of those that are left
  });
});

/** The group on its first server. */
async function home(world: World): Promise<void> {
  const { groups } = await world.status('c');
  const [name, found] = Object.entries(groups)[0] ?? ['d3', undefined];
  if (found?.owner !== 'a') await world.operate('c', 'failback', name);
  await world.active(name, 'a', 20_000, 'c');
  for (const address of found?.identity.addresses ?? [])
    await until(`a alone holds ${address}`, 5_000, () => world.holders(plain(address)).join() === 'a');
}
