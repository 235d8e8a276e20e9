/** Identities that are added: IPv6, two groups crosswise on one pair, a third server. */
import { describe, expect } from '@jest/globals';
import { clusterYaml, group, outageMs, virtualAddress, web } from './config.ts';
import { stories } from './story.ts';
import { until } from './until.ts';
import { plain, type World } from './world.ts';

const takeoverMs = 2_500;
const virtual6 = 'fd77::100';

/** Long enough for etcd to choose another leader before the owner must fence: the server that dies may be the leader. */
const crosswiseMs = 12_000;
const crosswise = clusterYaml(
  group({ name: 'files', outage: '12s', resources: '' }),
  group({ name: 'mail', servers: ['b', 'a'], addresses: ['10.77.0.102'], outage: '12s', resources: '' }),
);

describe('identities', () => {
  const targets = [web, `udp:${virtual6}`, 'udp:10.77.0.102'];
  const story = stories({
    hosts: ['a', 'b', 'c', 'client'],
    config: () => clusterYaml(group({ servers: ['a', 'b', 'c'] })),
    targets,
  });

  story('an IPv6 address is taken over like an IPv4 one', 60_000, async ({ world, standby }) => {
    await home(world);
    await world.mustApply('c', clusterYaml(group({ addresses: [virtualAddress, virtual6] })));
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
      await world.mustApply('c', crosswise);
      await world.active('files', 'a', 20_000, 'c');
      await world.active('mail', 'b', 20_000, 'c');
      expect([world.holders(virtualAddress), world.holders('10.77.0.102')]).toEqual([['a'], ['b']]);
      await world.lab.host('b').powerOff();
      await world.client.answeredBy('udp:10.77.0.102', 'a', crosswiseMs + takeoverMs);
      expect((await world.status('c')).groups['files']).toMatchObject({ owner: 'a', epoch: '1' });
      await world.boot('b');
      await world.settled();
      // A server that has just come back is asked for its renewal first.
      await until(
        'the failback is done',
        20_000,
        async () => (await world.operate('c', 'failback', 'mail')).status === 0,
        () => world.ended.join('\n'),
      );
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
