/** Processes killed, frozen and restarted in the middle of what they do: faults 20 to 22 and 27. */
import { describe, expect } from '@jest/globals';
import {
  clusterYaml,
  group,
  outageMs,
  pointHooks,
  pointResource,
  virtualAddress,
  web,
  webResource,
} from './config.ts';
import { hold, letGo, pointNames, reached, type PointName } from './points.ts';
import { stories, type Scene } from './story.ts';
import { monotonicMs, until } from './until.ts';
import { endProcess, type OurProcess } from './world.ts';

/** Hardly anything here waits for the outage; a longer one keeps a busy disk from fencing a healthy owner. */
const usualOutageMs = 10_000;
const config = (points: string, outage = '10s'): string =>
  clusterYaml(group({ outage, more: pointHooks(points), resources: webResource() + pointResource(points) }));

/** From everything being there again to rest, with the repair of what was left half done. */
const repairMs = 45_000;
const giving: readonly PointName[] = ['beforeRelease', 'stop', 'afterRelease'];

describe('processes that die in the middle', () => {
  const story = stories({ config, targets: [web, `udp:${virtualAddress}`] });

  for (const point of pointNames) {
    const side = giving.includes(point) ? 'owner' : 'standby';
    story(
      `22: the agent of the ${side} is killed in ${point}: the switchover ends or is rolled back`,
      90_000,
      async (scene) => {
        await killedAt(scene, point, scene[side], 'agent');
      },
    );
  }

  story('22: the guard of the standby is killed while a resource starts', 90_000, (scene) =>
    killedAt(scene, 'start', scene.standby, 'guard'),
  );

  story(
    '22: everything of ours on the standby is killed in the middle of a takeover',
    90_000,
    async (scene) => {
      const { world, owner, standby } = scene;
      hold(world, 'start');
      await world.lab.host(owner).powerOff();
      await reached(world, 'start', standby, usualOutageMs + 10_000);
      await world.killAllOfOurs(standby);
      letGo(world, 'start');
      world.cluster.run(standby);
      await world.active('d3', standby, repairMs);
      await world.client.answeredBy(web, standby, 5_000);
    },
  );

  for (const point of ['stop', 'beforeTakeover', 'start'] as const)
    story(
      `21: the leading quorum service is killed while ${point} runs: the next one ends it or rolls it back`,
      90_000,
      async (scene) => {
        const { leader } = scene.status.quorum;
        await killedAt(
          scene,
          point,
          giving.includes(point) ? scene.owner : scene.standby,
          'quorum',
          leader ?? 'none',
        );
      },
    );

  story(
    '20: each etcd in turn is killed: nobody loses anything',
    60_000,
    async ({ world, owner, status }) => {
      await world.mustApply('w', config(world.points, '35s'));
      const beganMs = monotonicMs();
      for (const member of world.cluster.members) {
        const before = world.etcdPid(member);
        endProcess(before);
        await until(`etcd runs again on ${member}`, 15_000, () =>
          hasOther(() => world.etcdPid(member), before),
        );
        await world.until(
          'w',
          'all votes',
          20_000,
          ({ quorum }) => quorum.healthy && quorum.spareVotes === 1,
        );
      }
      expect((await world.status('w')).groups['d3']).toMatchObject({
        owner,
        epoch: status.groups['d3']?.epoch,
        phase: 'active',
      });
      expect(world.client.longestGapMs(web, beganMs)).toBeLessThan(1_500);
    },
  );

  story(
    '20: each etcd in turn is frozen for longer than an election, and thawed',
    90_000,
    async ({ world, owner, status }) => {
      await world.mustApply('w', config(world.points, '35s'));
      const beganMs = monotonicMs();
      for (const member of world.cluster.members) {
        const pid = world.etcdPid(member);
        await world.lab.host(member).freezeProcess(pid);
        const other = member === 'w' ? owner : 'w';
        await world.until(
          other,
          `the vote of ${member} is missed`,
          20_000,
          ({ quorum }) => quorum.spareVotes === 0,
        );
        await world.until(other, 'the others have a quorum', 10_000, ({ quorum }) => quorum.healthy);
        await world.lab.host(member).thawProcess(pid);
        await world.until(
          other,
          'all votes',
          20_000,
          ({ quorum }) => quorum.healthy && quorum.spareVotes === 1,
        );
      }
      expect((await world.status('w')).groups['d3']).toMatchObject({
        owner,
        epoch: status.groups['d3']?.epoch,
        phase: 'active',
      });
      expect(world.client.longestGapMs(web, beganMs)).toBeLessThan(1_500);
    },
  );

  story(
    '27: `run` is asked to end: the group goes to the standby without waiting for the outage',
    60_000,
    async ({ world, owner, standby }) => {
      const askedMs = monotonicMs();
      await world.lab.host(owner).killProcess(world.mustPid(owner, 'run'), 'SIGTERM');
      const answer = await world.client.answeredBy(web, standby, outageMs);
      expect(answer.answeredMs - askedMs).toBeLessThan(outageMs);
      await until('run has ended', 15_000, () => world.pidOf(owner, 'run') === undefined);
      expect(world.kernel(owner).holdsNow(virtualAddress)).toBe(false);
    },
  );

  story(
    '27: `run --keep` is restarted, as for an upgrade: the service is not touched',
    90_000,
    async ({ world, owner, standby }) => {
      await world.mustApply('w', config(world.points, '35s'));
      // On the standby, so that it can be started with --keep before it owns anything.
      await world.lab.host(standby).killProcess(world.mustPid(standby, 'run'), 'SIGTERM');
      await until('run has ended', 15_000, () => world.pidOf(standby, 'run') === undefined);
      world.cluster.run(standby, '--keep');
      await world.until(
        owner,
        'all votes',
        30_000,
        ({ quorum, servers }) => quorum.spareVotes === 1 && servers[standby]?.state === 'up',
      );
      expect(await world.operate('w', 'switchover', 'd3', '--to', standby)).toMatchObject({ status: 0 });
      await world.client.answeredBy(web, standby, 5_000);
      const { groups } = await world.status('w');
      const keptMs = monotonicMs();
      await world.lab.host(standby).killProcess(world.mustPid(standby, 'run'), 'SIGTERM');
      await until('run has ended', 15_000, () => world.pidOf(standby, 'run') === undefined);
      expect(world.kernel(standby).holdsNow(virtualAddress)).toBe(true);
      world.cluster.run(standby, '--keep');
      // Longer than F and S at an outage of 35 s.
      await world.client.answeredBy(web, standby, 25_000, keptMs + 17_000);
      expect(world.client.longestGapMs(web, keptMs)).toBeLessThan(1_500);
      expect((await world.status('w')).groups['d3']).toMatchObject({
        owner: standby,
        epoch: groups['d3']?.epoch,
        phase: 'active',
      });
    },
  );

  story(
    '27: all quorum services are killed at once: they are started again, and the owner goes on',
    60_000,
    async ({ world, owner, status }) => {
      await world.mustApply('w', config(world.points, '35s'));
      const beganMs = monotonicMs();
      for (const member of world.cluster.members) endProcess(world.mustPid(member, 'quorum'));
      await world.until('w', 'all votes', 30_000, ({ quorum }) => quorum.healthy && quorum.spareVotes === 1);
      await world.client.answeredBy(web, owner, 5_000);
      expect((await world.status('w')).groups['d3']).toMatchObject({
        owner,
        epoch: status.groups['d3']?.epoch,
        phase: 'active',
      });
      expect(world.client.longestGapMs(web, beganMs)).toBeLessThan(1_500);
    },
  );
});

/** A process is killed while a step of a switchover runs; then the move has ended one way or the other, and somebody serves. */
async function killedAt(
  { world, owner, standby }: Scene,
  point: PointName,
  host: string,
  name: OurProcess,
  victim = host,
): Promise<void> {
  hold(world, point);
  const moving = world.operate('w', 'switchover', 'd3', '--to', standby);
  await reached(world, point, host);
  endProcess(world.mustPid(victim, name));
  letGo(world, point);
  const settled = world.settled();
  await Promise.all([moving, settled]);
  const { groups } = await settled;
  const answering = groups['d3']?.owner ?? 'nobody';
  expect([owner, standby]).toContain(answering);
  await world.client.answeredBy(web, answering, 5_000);
}

function hasOther(look: () => number, before: number): boolean {
  try {
    return look() !== before;
  } catch {
    return false; // not there yet
  }
}
