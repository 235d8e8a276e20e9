/** A group that is nothing but an address is handed over: its successor is named first, and begins at the owner's own word. */
import { describe, expect } from '@jest/globals';
import { turns } from './audit.ts';
import { clusterYaml, group, outageMs, virtualAddress } from './config.ts';
import { stories } from './story.ts';
import { endProcess } from './world.ts';

const config = (): string => clusterYaml(group({ resources: '' }));
const address = `udp:${virtualAddress}`;
const takeoverMs = 4_000;

describe('a group that is nothing but an address', () => {
  const story = stories({ config, targets: [address] });

  story('moves and comes back, and the client sees each server once', 60_000, async (scene) => {
    const { world, owner, standby } = scene;
    for (const [from, to] of [
      [owner, standby],
      [standby, owner],
    ] as const) {
      const { status, ended } = await world.operate('w', 'switchover', 'd3', '--to', to);
      expect({ status, outcome: ended?.outcome }).toEqual({ status: 0, outcome: 'done' });
      expect(ended?.steps.map(({ name, server }) => `${server}: ${name}`)).toEqual([
        `${from}: drop addresses`,
        `${to}: probe addresses`,
        `${to}: add addresses`,
        `${to}: announce addresses`,
      ]);
      await world.client.answeredBy(address, to, 5_000);
    }
    expect(turns(world.client.answers(address))).toEqual([owner, standby, owner]);
  });

  story('is not begun with before its owner, whose agent is frozen, has lost it', 60_000, async (scene) => {
    const { world, owner, standby } = scene;
    const agent = world.mustPid(owner, 'agent');
    await world.lab.host(owner).freezeProcess(agent);
    // Whether it ends as done or as a failover: the audit sees to it that the address is never on both.
    await world.operate('w', 'switchover', 'd3', '--to', standby);
    await world.client.answeredBy(address, standby, outageMs + takeoverMs);
    if (world.pidOf(owner, 'agent') === agent) await world.lab.host(owner).thawProcess(agent);
    await world.settled();
    expect((await world.status('w')).groups['d3']?.owner).toBe(standby);
  });

  story('goes on when the agent of its owner dies at the command', 60_000, async (scene) => {
    const { world, owner, standby } = scene;
    const moving = world.operate('w', 'switchover', 'd3', '--to', standby);
    endProcess(world.mustPid(owner, 'agent'));
    await moving;
    await world.settled();
    const holder = (await world.status('w')).groups['d3']?.owner ?? '';
    await world.client.answeredBy(address, holder, takeoverMs);
  });
});
