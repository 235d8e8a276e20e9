/** Copies without a failover: to several targets, in the clear, throttled by the week, and on from the mirror of a group. */
import { describe, expect } from '@jest/globals';
import { clusterYaml, group, outageMs, virtualAddress, web } from './config.ts';
import { alike, inStep, mirrorLines, root, sh, stepMs } from './mirrored.ts';
import { stories } from './story.ts';
import { until } from './until.ts';
import type { Status, World } from './world.ts';

const media = { one: '/srv/media', other: '/srv/media-copy' };
const offsite = { one: root, other: '/srv/offsite' };
const MB = 1_000_000;
/** A million bytes a second, more or less. */
const slow = '8Mbit';

function config(throttle = ''): string {
  const terms = `encrypt: never${throttle === '' ? '' : `, throttle: ${throttle}`}`;
  return `${clusterYaml(group({ more: mirrorLines }))}mirrors:
  media: { from: { server: a, files: { root: ${media.one} } }, to: [b, c], root: ${media.other}, ${terms} }
  offsite: { from: { group: d3, mirror: data }, to: [c], root: ${offsite.other} }
`;
}

type Copy = Status['mirrors'][string]['targets'][string];

const copyOf = (status: Status, mirror: string, target: string): Copy | undefined =>
  status.mirrors[mirror]?.targets[target];

const isInStep = (copy: Copy | undefined): boolean =>
  copy?.state === 'replicating' && copy.consistent && copy.behindBytes === 0;

const copied = (world: World, mirror: string, target: string, limitMs = stepMs): Promise<Status> =>
  world.until('c', `${mirror} in step at ${target}`, limitMs, (status) =>
    isInStep(copyOf(status, mirror, target)),
  );

/** Something is missing, and goes out at about the throttle, once the buffers on the way are full. */
const goesSlowly = (world: World, target: string): Promise<Status> =>
  world.until('c', `media goes out to ${target} at the throttle`, stepMs, (status) => {
    const { behindBytes = 0, rateBytesPerSecond: rate = 0 } = copyOf(status, 'media', target) ?? {};
    return (behindBytes ?? 0) > 0 && rate > 0.4 * MB && rate < 2 * MB;
  });

describe('copies without a failover', () => {
  const story = stories({
    hosts: ['a', 'b', 'c', 'client'],
    config: () => config(),
    targets: [web, `udp:${virtualAddress}`],
  });

  story(
    'go to several targets, and each can be paused by itself, over a restart',
    120_000,
    async ({ world }) => {
      await sh(
        world,
        'a',
        `mkdir -p ${media.one}/deep && cd ${media.one} && echo one >deep/one && ln -s one deep/link`,
      );
      for (const target of ['b', 'c']) {
        await copied(world, 'media', target, 60_000);
        await alike(world, 'a', target, stepMs, media);
      }
      await world.cluster.must('c', 'mirror', 'pause', 'media', '--target', 'c', '--reason', 'line at work');
      await world.until('c', 'it is paused', stepMs, (s) => copyOf(s, 'media', 'c')?.state === 'paused');
      await sh(world, 'a', `echo two >${media.one}/two`);
      await alike(world, 'a', 'b', stepMs, media);
      const before = world.mustPid('a', 'mirror');
      await world.lab.host('a').killProcess(before);
      await until('another one runs', stepMs, () => (world.pidOf('a', 'mirror') ?? before) !== before);
      await copied(world, 'media', 'b');
      const still = await world.until('c', 'it is still paused', stepMs, (status) => {
        const copy = copyOf(status, 'media', 'c');
        return copy?.state === 'paused' && (copy.behindBytes ?? 0) > 0;
      });
      expect(copyOf(still, 'media', 'c')?.says).toBe('line at work');
      await expect(sh(world, 'c', `cat ${media.other}/two`)).rejects.toThrow();
      // One is paused, and yet the other is compared.
      const verify = () => world.cluster.holdfast('c', 'mirror', 'verify', 'media');
      let verified = await verify();
      // The process that was just started may not be a source yet, and says so.
      await until(
        'it answers',
        stepMs,
        async () => verified.stdout !== '' || (verified = await verify()).stdout !== '',
        () => verified.stderr,
      );
      expect(verified).toMatchObject({ status: 1, stderr: '' });
      expect(verified.stdout).toMatch(/b: equal[^]*c: not compared: it is paused: line at work/);
      await world.cluster.must('c', 'mirror', 'resume', 'media', '--target', 'c');
      await alike(world, 'a', 'c', stepMs, media);
      await world.cluster.must('c', 'mirror', 'resync', 'media', '--target', 'c');
      expect((await world.cluster.holdfast('c', 'mirror', 'verify', 'media')).status).toBe(0);
    },
  );

  story('keep to a throttle that is changed while they run, and by the week', 120_000, async ({ world }) => {
    await sh(world, 'a', `mkdir -p ${media.one}`);
    await world.mustApply('c', config(slow));
    for (const target of ['b', 'c']) await copied(world, 'media', target, 60_000);
    await sh(world, 'a', `head -c ${String(30 * MB)} /dev/urandom >${media.one}/large`);
    await goesSlowly(world, 'b');
    // Another day than today, wherever today is: what holds otherwise holds now.
    const day = ['Sun', 'Mon', 'Tue', 'Wed', 'Thu', 'Fri', 'Sat'][(new Date().getDay() + 3) % 7] ?? '';
    await world.mustApply('c', config(`{ default: 800Mbit, '${day} 00:00-24:00': ${slow} }`));
    const fastMs = performance.now();
    for (const target of ['b', 'c']) await copied(world, 'media', target);
    // At the former rate it would have taken half a minute.
    expect(performance.now() - fastMs).toBeLessThan(15_000);
    await alike(world, 'a', 'b', stepMs, media);
    await world.mustApply('c', config(`{ default: 800Mbit, 'Mon-Sun 00:00-24:00': ${slow} }`));
    await sh(world, 'a', `head -c ${String(30 * MB)} /dev/urandom >${media.one}/more`);
    await goesSlowly(world, 'c');
  });

  story(
    'go on from the mirror of a group, whoever owns it, and stay paused over a takeover',
    150_000,
    async (scene) => {
      const { world, owner, standby } = scene;
      await sh(world, owner, `mkdir -p ${root} && echo 'of the first owner' >${root}/first`);
      await inStep(world, standby, 60_000, 'c');
      await copied(world, 'offsite', 'c', 60_000);
      await alike(world, owner, 'c', stepMs, offsite);
      await world.cluster.must('c', 'mirror', 'pause', 'offsite', '--reason', 'for the night');
      await world.until('c', 'it is paused', stepMs, (s) => copyOf(s, 'offsite', 'c')?.state === 'paused');
      await world.lab.host(owner).powerOff();
      await world.active('d3', standby, outageMs + 10_000, 'c');
      await sh(world, standby, `echo 'of the next owner' >${root}/next`);
      const paused = await world.until('c', 'it is paused at the next owner', stepMs, (status) => {
        const copy = copyOf(status, 'offsite', 'c');
        return copy?.state === 'paused' && status.mirrors['offsite']?.source === standby;
      });
      expect(copyOf(paused, 'offsite', 'c')?.says).toBe('for the night');
      await expect(sh(world, 'c', `cat ${offsite.other}/next`)).rejects.toThrow();
      await world.cluster.must('c', 'mirror', 'resume', 'offsite');
      await alike(world, standby, 'c', stepMs, offsite);
      await world.boot(owner);
      await inStep(world, owner, 60_000, 'c');
      // A copy that follows is no way to take a group over.
      expect((await world.status('c')).groups['d3']).toMatchObject({ owner: standby });
    },
  );
});
