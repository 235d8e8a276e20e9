/** The frame of the stories of one file: one world for all of them, at rest before each, audited after each. */
import { afterAll, beforeAll, expect, it } from '@jest/globals';
import { actedTwice, answersInTurn, mergedJournals, sharedAddresses, withoutReason } from './audit.ts';
import { monotonicMs } from './until.ts';
import { openWorld, openWorldMs, plain, type Status, type World, type WorldOptions } from './world.ts';

export interface Scene {
  readonly world: World;
  /** At rest, just before the story. */
  readonly status: Status;
  /** The first group's owner, and a server that could take over from it. */
  readonly owner: string;
  readonly standby: string;
  /** When the story began: CLOCK_MONOTONIC, and the wall clock. */
  readonly beganMs: number;
  readonly beganWallMs: number;
}

export type Story = (what: string, limitMs: number, act: (scene: Scene) => Promise<void>) => void;

const settleMs = 90_000;

/** Call it inside of describe. `limitMs` of a story is for what happens in it, without coming to rest and the audit. */
export function stories(options: WorldOptions): Story {
  let world: World | undefined;
  let failed = false;
  beforeAll(async () => {
    world = await openWorld(options);
  }, openWorldMs);
  afterAll(async () => {
    if (failed && world !== undefined)
      process.stderr.write(`what the hosts wrote down is kept in ${world.keepEvidence()}\n`);
    await world?.close();
  }, 30_000);
  return (what, limitMs, act) => {
    it(
      what,
      async () => {
        if (world === undefined) throw new Error('the lab did not come up');
        try {
          const scene = await begin(world);
          await within(limitMs, act(scene));
          await audit(scene);
        } catch (error) {
          failed = true;
          process.stderr.write(`${what}: what was commanded:\n${world.ended.join('')}\n`);
          throw error;
        }
      },
      limitMs + settleMs,
    );
  };
}

async function begin(world: World): Promise<Scene> {
  const status = await world.reset();
  const group = Object.values(status.groups)[0];
  const owner = group?.owner ?? 'nobody';
  const standby = group?.servers.find((name) => name !== owner) ?? 'nobody';
  world.client.begin();
  return { world, status, owner, standby, beganMs: monotonicMs(), beganWallMs: Date.now() };
}

async function within(limitMs: number, act: Promise<void>): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(() => reject(new Error(`the story did not end within ${limitMs} ms`)), limitMs);
  });
  try {
    await Promise.race([act, late]);
  } finally {
    clearTimeout(timer);
  }
}

/** I1, I2, I10. */
async function audit({ world, beganMs }: Scene): Promise<void> {
  const [asked = 'a'] = world.cluster.members.filter((name) => world.lab.host(name).isOn());
  const addresses = Object.values((await world.reset()).groups).flatMap(({ identity }) =>
    identity.addresses.map(plain),
  );
  const kernels = [...world.kernels.values()];
  const servers = world.cluster.servers.map((name) => world.lab.host(name));
  const entries = mergedJournals(servers, 'agent');
  expect({
    shared: sharedAddresses(kernels, [...addresses], beganMs, entries),
    inTurn: answersInTurn(world.client.answers()),
    actedTwice: actedTwice(entries),
    withoutReason: withoutReason(await world.events(asked)),
  }).toEqual({ shared: [], inTurn: [], actedTwice: [], withoutReason: [] });
}
