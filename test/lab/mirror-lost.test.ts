/** A takeover that would lose data, and one that a person forces all the same: faults 25 and 26 with data. */
import { describe, expect } from '@jest/globals';
import { clusterYaml, group, outageMs, web } from './config.ts';
import { copyIn, diverged, inStep, mirrorLines, mirrorsOf, ready, root, sh, stepMs } from './mirrored.ts';
import { stories, type Scene } from './story.ts';

const takeoverMs = 5_000;
const lateRoot = '/srv/late';
const lateMirror = 'd3/late';

/** A second folder whose first copy takes minutes. */
const lateLines = `${mirrorLines}      late:
        files: { root: ${lateRoot} }
        throttle: 200Kbit
        compress: never
`;

describe('a copy that lacks something', () => {
  const story = stories({ config: () => clusterYaml(group({ more: mirrorLines })), targets: [web] });

  story(
    '25: both servers lose their power, and only the standby returns: what is lost is said before it is forced',
    150_000,
    async (scene) => {
      const { world, owner, standby } = scene;
      await ready(scene);
      await sh(world, owner, `echo common >${root}/orders`);
      await inStep(world, standby, stepMs);
      await world.lab.partition(owner, standby);
      await sh(world, owner, `echo newer >${root}/orders && echo alone >${root}/extra && sync -f ${root}`);
      await world.until('w', 'the copy is behind', stepMs, (status) => {
        const copy = copyIn(status, standby);
        return copy?.state === 'disconnected' && (copy.behindBytes ?? 1) > 0;
      });
      await Promise.all([world.lab.host(owner).powerOff(), world.lab.host(standby).powerOff()]);
      await world.lab.heal();
      await world.boot(standby);
      await world.until(standby, 'it waits for the last owner', 40_000, ({ quorum, groups }) => {
        // A leader of before both lost their power is none: it answers nothing.
        const led = quorum.leader !== null && quorum.leader !== owner;
        const d3 = groups['d3'];
        return led && quorum.healthy && d3?.owner !== standby && (d3?.reason ?? '').includes(owner);
      });
      await forcedOnly(scene);
      expect(await sh(world, standby, `cat ${root}/orders`)).toBe('common\n');
      await world.boot(owner);
      await inStep(world, owner, 60_000, standby);
      const kept = await diverged(world, standby);
      expect(kept.map(({ path, from }) => `${from}:${path}`).sort()).toEqual(
        expect.arrayContaining([`${owner}:extra`, `${owner}:orders`]),
      );
    },
  );

  story(
    '26: the owner dies while the first copy is under way: nobody takes over, unless a person forces it',
    150_000,
    async (scene) => {
      const { world, owner, standby } = scene;
      await ready(scene);
      await sh(
        world,
        owner,
        `mkdir -p ${lateRoot} && for i in $(seq 8); do head -c 500000 /dev/urandom >${lateRoot}/$i; done && sync -f ${lateRoot}`,
      );
      await world.mustApply('w', clusterYaml(group({ more: lateLines })));
      await world.until('w', 'the first copy is under way', stepMs, (status) => {
        const copy = mirrorsOf(status)['late']?.targets[standby];
        return copy?.state === 'initial-copy' && copy.doneBytes > 0;
      });
      await world.lab.host(owner).powerOff();
      const blocked = await world.until(
        'w',
        'it says why nobody takes over',
        outageMs + takeoverMs,
        (status) => {
          return /copy/.test(status.groups['d3']?.reason ?? '') && status.groups['d3']?.phase === 'blocked';
        },
      );
      expect(blocked.groups['d3']?.reason).toMatch(/not complete/);
      await forcedOnly(scene);
      await world.boot(owner);
      await world.until('w', 'the former owner is a copy of what was taken over', 90_000, (status) => {
        const copy = mirrorsOf(status)['late']?.targets[owner];
        return copy?.state === 'replicating' && copy.consistent;
      });
      // Whatever had not arrived was never overwritten: it was put aside first.
      const kept = await diverged(world, 'w', lateMirror);
      expect(kept.length).toBeGreaterThan(0);
      expect(kept.every(({ from, kept: there }) => from === owner && there)).toBe(true);
      await world.cluster.must('w', 'mirror', 'divergence', lateMirror, 'discard', '--all');
    },
  );
});

/** Refused as it is; forced, it is done, and the history says what that may cost. */
async function forcedOnly({ world, standby, beganWallMs }: Scene): Promise<void> {
  const refused = await world.operate(standby, 'failover', 'd3', '--to', standby);
  expect(refused.status).toBe(4);
  const forced = await world.operate(standby, 'failover', 'd3', '--to', standby, '--force');
  expect(forced).toMatchObject({ status: 0, ended: { outcome: 'done' } });
  await world.client.answeredBy(web, standby, 5_000);
  const { reason } = await world.event(standby, 5_000, beganWallMs, (event) =>
    event.reason.includes('forced'),
  );
  expect(reason).toMatch(/loss|lost|not complete/);
}
