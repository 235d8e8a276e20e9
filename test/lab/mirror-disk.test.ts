/** The disk of the data is full, at the owner and at the copy: fault 24 with data. */
import { describe, expect } from '@jest/globals';
import { clusterYaml, group, web } from './config.ts';
import { copyIn, sh, stepMs } from './mirrored.ts';
import { stories, type Scene } from './story.ts';
import { until } from './until.ts';
import type { Status, World } from './world.ts';

/** A file system of its own on each server: what fills it is not in the mirror. */
const disk = '/srv/small';
const root = `${disk}/d3`;
const lines = `    mirrors:
      data: { files: { root: ${root} }, scanEvery: 10s }
`;

const fill = (world: World, host: string): Promise<string> =>
  sh(world, host, `head -c 1G /dev/zero >${disk}/filler 2>/dev/null || true`);

const empty = (world: World, host: string): Promise<string> => sh(world, host, `rm -f ${disk}/filler`);

const inStep = (world: World, target: string, limitMs = stepMs): Promise<Status> =>
  world.until('w', `${target} in step`, limitMs, (status) => {
    const copy = copyIn(status, target);
    return copy?.state === 'replicating' && copy.consistent && copy.behindBytes === 0 && copy.behindMs === 0;
  });

async function onSmallDisks({ world, owner, standby }: Scene): Promise<void> {
  for (const host of [owner, standby])
    await sh(
      world,
      host,
      `mkdir -p ${disk}; mountpoint -q ${disk} || mount -t tmpfs -o size=24M,mode=755 small ${disk}`,
    );
  await sh(world, owner, `mkdir -p ${root}`);
  await inStep(world, standby, 60_000);
}

describe('a group whose data has a small disk', () => {
  const story = stories({ config: () => clusterYaml(group({ more: lines })), targets: [web] });

  story('24: the disk of a copy is full: the mirror waits, and the service stays', 90_000, async (scene) => {
    const { world, owner, standby } = scene;
    await onSmallDisks(scene);
    await fill(world, standby);
    await sh(world, owner, `head -c 4000000 /dev/urandom >${root}/large`);
    const status = await world.until('w', 'the copy waits', stepMs, (now) => {
      return copyIn(now, standby)?.state === 'waiting';
    });
    expect(copyIn(status, standby)?.says).toMatch(/full|space/);
    expect(status.groups['d3']).toMatchObject({ phase: 'active', owner });
    await empty(world, standby);
    await inStep(world, standby, 40_000);
    expect(await sh(world, standby, `sha256sum <${root}/large`)).toBe(
      await sh(world, owner, `sha256sum <${root}/large`),
    );
    expect((await world.status('w')).groups['d3']?.owner).toBe(owner);
  });

  story(
    '24: the disk of the data is full: the service moves as planned, and loses nothing',
    120_000,
    async (scene) => {
      const { world, owner, standby } = scene;
      await onSmallDisks(scene);
      await sh(world, owner, `echo kept >${root}/orders`);
      await inStep(world, standby);
      await fill(world, owner);
      await until('the standby serves', 40_000, async () => {
        const { phase, owner: now, operation } = (await world.status('w')).groups['d3'] ?? {};
        return now === standby && phase === 'active' && operation === null;
      });
      const moved = (await world.events('w')).filter(({ time }) => Date.parse(time) >= scene.beganWallMs);
      expect(moved.map(({ kind }) => kind)).toContain('switchover-done');
      expect(moved.map(({ kind }) => kind)).not.toContain('failover-done');
      expect(await sh(world, standby, `cat ${root}/orders`)).toBe('kept\n');
      await empty(world, owner);
      await sh(world, standby, `echo newer >${root}/orders`);
      await inStep(world, owner, 40_000);
      expect(await sh(world, owner, `cat ${root}/orders`)).toBe('newer\n');
    },
  );
});
