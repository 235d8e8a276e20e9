/** A server dies, freezes or loses what runs on it: faults 1 to 9 and 25, with real processes, etcd and addresses. */
import { describe, expect } from '@jest/globals';
import { clusterYaml, group, outageMs, virtualAddress, web } from './config.ts';
import { etcdLeader, leadBoth, leadEtcd } from './leading.ts';
import { stories, type Scene } from './story.ts';
import { turns } from './audit.ts';
import { monotonicMs, until } from './until.ts';
import { endProcess } from './world.ts';

/** From the declaration to an answer of the service, which has to be started first; the table of the benchmark has none. */
const takeoverMs = 2_500;
/** The last heartbeat may be as old as its period when the fault strikes. */
const heartbeatMs = 420;
/** By then the kernel has dropped an address whose owner is silenced: F + S at an outage of 5 s. */
const goneMs = 1_429 + 2_050;

/** The same at 20 s. */
const goneOf20sMs = 5_714 + 3_429;

describe('a server that fails', () => {
  const story = stories({ config: () => clusterYaml(group()), targets: [web, `udp:${virtualAddress}`] });

  story(
    '1: the owner loses its power: the standby answers after the outage; the owner returns as standby',
    60_000,
    async (scene) => {
      const { world, owner, standby } = scene;
      await world.client.answeredBy(web, owner, 5_000);
      const offMs = monotonicMs();
      await world.lab.host(owner).powerOff();
      const answer = await world.client.answeredBy(web, standby, outageMs + takeoverMs);
      expect(answer.answeredMs - offMs).toBeGreaterThan(outageMs - heartbeatMs);
      await world.active('d3', standby, 5_000);
      const { reason } = await world.event('w', 5_000, scene.beganWallMs, ({ kind }) => kind === 'failover');
      expect(reason).toContain(owner);
      await world.boot(owner);
      await until(
        `${owner} is back`,
        30_000,
        async () => (await world.status('w')).servers[owner]?.state === 'up',
      );
      expect((await world.status('w')).groups['d3']?.owner).toBe(standby);
      expect(turns(world.client.answers(web))).toEqual([owner, standby]);
    },
  );

  story(
    '2: the agent of the owner is killed: it is started again, and nobody else notices',
    40_000,
    async ({ world, owner, status }) => {
      // A busy machine needs a second to start a process: more than what an outage of 5 s leaves.
      await world.mustApply('w', clusterYaml(group({ outage: '20s' })));
      await world.client.answeredBy(web, owner, 5_000);
      const before = world.mustPid(owner, 'agent');
      const killedMs = monotonicMs();
      await world.lab.host(owner).killProcess(before);
      await until('another agent runs', 5_000, () => (world.pidOf(owner, 'agent') ?? before) !== before);
      // Longer than what a silent owner has: had it not been re-attached, all would be gone.
      await world.client.answeredBy(web, owner, 15_000, killedMs + goneOf20sMs + 1_000);
      expect(world.client.longestGapMs(web, killedMs)).toBeLessThan(1_000);
      expect((await world.status('w')).groups['d3']).toMatchObject({
        owner,
        epoch: status.groups['d3']?.epoch,
        phase: 'active',
      });
    },
  );

  story(
    '3: everything of ours on the owner is killed: its kernel drops the address before the standby adds it',
    60_000,
    async (scene) => {
      const { world, owner, standby } = scene;
      await world.client.answeredBy(web, owner, 5_000);
      const killedMs = monotonicMs();
      await world.killAllOfOurs(owner);
      await until(
        'the kernel drops the address',
        goneMs + 1_000,
        () => !world.kernel(owner).holdsNow(virtualAddress),
      );
      expect(monotonicMs() - killedMs).toBeLessThan(goneMs + 500);
      await world.client.answeredBy(web, standby, outageMs + takeoverMs);
      world.cluster.run(owner);
      await world.active('d3', standby, 20_000);
    },
  );

  story(
    '4: the agent of the owner is frozen: the guard fences; thawed, it does nothing',
    60_000,
    async (scene) => {
      const { world, owner, standby } = scene;
      const agent = world.mustPid(owner, 'agent');
      await world.lab.host(owner).freezeProcess(agent);
      await until('the address is gone', goneMs + 1_500, () => !world.kernel(owner).holdsNow(virtualAddress));
      await until('the service is stopped', 5_000, () => !serves(scene, owner));
      await world.client.answeredBy(web, standby, outageMs + takeoverMs);
      if (world.pidOf(owner, 'agent') === agent) await world.lab.host(owner).thawProcess(agent);
      await world.settled();
      expect((await world.status('w')).groups['d3']?.owner).toBe(standby);
      expect(serves(scene, owner)).toBe(false);
    },
  );

  story(
    '5: the whole owner is frozen, as a paused virtual machine, and thaws after the takeover',
    60_000,
    async (scene) => {
      const { world, owner, standby } = scene;
      const host = world.lab.host(owner);
      await host.freeze();
      await world.kernel(owner).start({ afresh: true });
      await world.client.answeredBy(web, standby, outageMs + takeoverMs);
      await world.active('d3', standby, 5_000);
      const thawedMs = monotonicMs();
      await host.thaw();
      await world.settled();
      await until('the service of the former owner is stopped', 10_000, () => !serves(scene, owner));
      expect(
        world
          .kernel(owner)
          .holdings(virtualAddress)
          .filter(({ fromMs }) => fromMs > thawedMs),
      ).toEqual([]);
      expect((await world.status('w')).groups['d3']?.owner).toBe(standby);
    },
  );

  story(
    '6: the service fails: started again in place, and after that given to the standby without waiting',
    60_000,
    async (scene) => {
      const { world, owner, standby } = scene;
      for (const restart of [1, 2]) {
        const failedMs = monotonicMs();
        killService(scene, owner);
        await world.client.answeredBy(web, owner, 5_000, failedMs + 50);
        // One that dies while it is started is waited for, for as long as a start may take.
        const seen = await world.until('w', 'the service is known to run', 5_000, ({ groups }) =>
          Object.values(groups['d3']?.resources ?? {}).every(({ state }) => state === 'running'),
        );
        expect(`${restart}: ${seen.groups['d3']?.owner ?? ''}`).toBe(`${restart}: ${owner}`);
      }
      const failedMs = monotonicMs();
      killService(scene, owner);
      const answer = await world.client.answeredBy(web, standby, outageMs, failedMs);
      expect(answer.answeredMs - failedMs).toBeLessThan(outageMs);
      await world.active('d3', standby, 5_000);
      const { reason } = await world.event(
        'w',
        5_000,
        scene.beganWallMs,
        ({ kind }) => kind === 'switchover' || kind === 'failover',
      );
      expect(reason).toMatch(/web/);
    },
  );

  story('7: the standby dies: the owner goes on', 60_000, async (scene) => {
    await leadEtcd(scene.world, 'w');
    await goesOnWithout(scene, scene.standby);
  });

  story('7: the standby dies while it leads etcd and the quorum services', 90_000, async (scene) => {
    // Nobody is left to promise anything: F has to outlast the election.
    await scene.world.mustApply('w', clusterYaml(group({ outage: '20s' })));
    await leadBoth(scene.world, scene.standby);
    await goesOnWithout(scene, scene.standby);
  });

  story('etcd is led by the witness, whenever it is well, and not by a server', 90_000, async (scene) => {
    const { world, owner } = scene;
    await leadEtcd(world, owner);
    await until('the witness leads etcd', 60_000, async () => (await etcdLeader(world, 'w')) === 'w');
    expect(world.client.longestGapMs(web, scene.beganMs)).toBeLessThan(1_500);
  });

  story('8: the witness dies: the owner goes on', 60_000, async (scene) => {
    await leadEtcd(scene.world, scene.owner);
    await goesOnWithout(scene, 'w');
  });

  story('8: the witness dies while it leads etcd and the quorum services', 90_000, async (scene) => {
    await leadBoth(scene.world, 'w');
    await goesOnWithout(scene, 'w');
  });

  story(
    '9: witness and standby die: the owner alone has no majority and no promise, and fences',
    60_000,
    async (scene) => {
      const { world, owner, standby } = scene;
      await Promise.all([world.lab.host('w').powerOff(), world.lab.host(standby).powerOff()]);
      await until('the address is gone', goneMs + 1_500, () => !world.kernel(owner).holdsNow(virtualAddress));
      await until('the service is stopped', 5_000, () => !serves(scene, owner));
      await world.boot('w');
      await world.active('d3', owner, 30_000);
      await world.client.answeredBy(web, owner, 5_000);
    },
  );

  story('9: with onControlLoss freeze the owner goes on alone', 60_000, async ({ world, owner, standby }) => {
    const config = clusterYaml(group({ more: '    onControlLoss: freeze\n' }));
    await world.mustApply(owner, config);
    const offMs = monotonicMs();
    await Promise.all([world.lab.host('w').powerOff(), world.lab.host(standby).powerOff()]);
    await world.client.answeredBy(web, owner, 3 * outageMs, offMs + goneMs + outageMs);
    expect(world.client.longestGapMs(web, offMs)).toBeLessThan(1_500);
  });

  story(
    '25: both servers lose their power and only the standby returns: it waits for the last owner',
    60_000,
    async (scene) => {
      const { world, owner, standby } = scene;
      await Promise.all([world.lab.host(owner).powerOff(), world.lab.host(standby).powerOff()]);
      await world.boot(standby);
      const waiting = await world.until(
        standby,
        'it waits for the last owner',
        30_000,
        ({ quorum, groups }) =>
          quorum.healthy &&
          new RegExp(`${owner}.*(newer|last owner)|(newer|last owner).*${owner}`).test(
            groups['d3']?.reason ?? '',
          ),
      );
      expect(waiting.groups['d3']?.owner).not.toBe(standby);
      const refused = await world.operate(standby, 'failover', 'd3', '--to', standby);
      expect(refused.status).toBe(4);
      const forced = await world.operate(standby, 'failover', 'd3', '--to', standby, '--force');
      expect(forced).toMatchObject({ status: 0, ended: { outcome: 'done' } });
      await world.client.answeredBy(web, standby, 5_000);
      const { reason } = await world.event(standby, 5_000, scene.beganWallMs, (event) =>
        /forced?/.test(event.kind + event.reason),
      );
      expect(reason).not.toBe('');
    },
  );
});

/** Where the one that dies led etcd, nothing is committed for a whole election. */
async function goesOnWithout(scene: Scene, victim: string): Promise<void> {
  const { world, owner } = scene;
  const asked = victim === 'w' ? owner : 'w';
  // Not the scene's: to make a member lead, others were frozen.
  const before = await world.settled();
  expect(before.groups['d3']?.owner).toBe(owner);
  const offMs = monotonicMs();
  await world.lab.host(victim).powerOff();
  const seen = await world.until(
    asked,
    `${victim} is missed`,
    20_000,
    ({ servers, quorum }) => servers[victim]?.state !== 'up' && quorum.spareVotes === 0,
  );
  expect(seen.warnings.join()).toMatch(/spare vote/);
  await world.client.answeredBy(web, owner, 20_000, offMs + goneOf20sMs + 1_000);
  expect(world.client.longestGapMs(web, offMs)).toBeLessThan(1_500);
  expect((await world.status(asked)).groups['d3']).toMatchObject({
    owner,
    epoch: before.groups['d3']?.epoch,
    phase: 'active',
  });
}

function servicePid({ world }: Scene, host: string): number | undefined {
  return world.lab
    .host(host)
    .views()
    .find(({ command }) => command.includes('lab-service.js serve'))?.pid;
}

const serves = (scene: Scene, host: string): boolean => servicePid(scene, host) !== undefined;

function killService(scene: Scene, host: string): void {
  const pid = servicePid(scene, host);
  if (pid === undefined) throw new Error(`no service runs on ${host}`);
  endProcess(pid);
}
