/**
 * PostgreSQL on ext4 on a mirrored volume, on disks that lose what was not flushed: the power of the owner is cut again and
 * again, and the other server goes on. HOLDFAST_POWER_CUTS=n: so many instead of a few.
 */
import { afterAll, describe, expect } from '@jest/globals';
import { clusterYaml, group, outageMs, virtualAddress } from './config.ts';
import { Clients, databaseResources, expectSound } from './database.ts';
import type { Fates } from './host-disk.ts';
import { Loops } from './loops.ts';
import { stories } from './story.ts';
import { until } from './until.ts';
import { imageDigest, inStep, volumeLines } from './volumes.ts';

const cuts = Number(process.env['HOLDFAST_POWER_CUTS'] ?? 2);
const cutMsMax = 120_000;
const stepMs = 60_000;
const startMs = 60_000;
/** Room for what a resync overwrites, too. */
const diskMiB = 640;
const databaseMiB = 192;

describe('a database on a volume', () => {
  const story = stories({
    config: (points) =>
      clusterYaml(
        group({
          more: volumeLines(', mode: sync, targetLoss: 1s, attach: nbdfuse', databaseMiB),
          resources: databaseResources(points),
        }),
      ),
    targets: [`udp:${virtualAddress}`],
    diskMiB,
  });

  const loops = new Loops();
  // After the lab is gone.
  afterAll(() => loops.detach());

  story(`loses nothing that was committed in ${cuts} power cuts`, cuts * cutMsMax, async (scene) => {
    const { world } = scene;
    let { owner, standby } = scene;
    const clients = new Clients();
    const fates: Fates[] = [];
    for (let cut = 1; cut <= cuts; cut += 1) {
      await inStep(world, standby, stepMs);
      clients.begin(world, owner);
      await clients.commit(60, startMs);
      // What the target has and did not flush goes as well: every second time both lose their power, one after the other.
      if (cut % 2 === 0) {
        fates.push(await world.cutPower(standby));
        await clients.commit(30, startMs);
        await world.boot(standby);
        await inStep(world, standby, stepMs);
        await clients.commit(30, startMs);
      }
      loops.note(world.lab, world.cluster.servers);
      fates.push(await world.cutPower(owner));
      if (cuts > 2)
        process.stderr.write(`cut ${cut}: ${clients.count} committed, ${JSON.stringify(fates)}\n`);
      await loops.detach();
      await world.active('d3', standby, outageMs + startMs);
      await expectSound(world, standby, clients.committed);
      await world.boot(owner);
      [owner, standby] = [standby, owner];
    }
    // Otherwise this would be a test of processes that are killed.
    expect(fates.reduce((sum, { lost, torn, late }) => sum + lost + torn + late, 0)).toBeGreaterThan(0);
    await inStep(world, standby, stepMs);
    await until('the copy is the same', stepMs, async () => {
      const [one, other] = await Promise.all([imageDigest(world, 'a'), imageDigest(world, 'b')]);
      return one === other;
    });
  });
});
