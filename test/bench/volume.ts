/** The figures of the volume mirror, each beside nbdkit with a plain file in the same run. nbdkit copies to nobody. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Figure } from './figure.ts';
import { figureOf } from './mirror/blank.ts';
import { syncDisks, targetName, withGround, type Ground } from './mirror/ground.ts';
import { wireBytes, wireSince } from './mirror/wire.ts';
import type { VolumePart, VolumePlan } from './plan.ts';
import { tellError, type Say } from './series.ts';
import { fill, fio, flushed, random, sequential, single, type Job, type Measured } from './volume/fio.ts';
import { volumeLag } from './volume/lag.ts';
import { volumeMemory } from './volume/memory.ts';
import { volumeRestart } from './volume/restart.ts';
import { volumeTakeover } from './volume/takeover.ts';
import { stageNbdkit, stageVolume, type VolumeStage, type VolumeTerms } from './volume/stage.ts';

/** At most. */
const fillSeconds = 120;
/** Over which it is looked what goes over the wire when nothing is replicated. */
const restMs = 5_000;

interface Against {
  readonly id: VolumePart;
  readonly job: Job;
  readonly terms: Omit<VolumeTerms, 'sizeMebibytes'>;
  readonly how: string;
  readonly alone?: boolean;
  /** Ours by theirs. */
  readonly ratio: (ours: Measured, theirs: Measured) => number;
  readonly tells: (measured: Measured) => string;
  readonly least?: number;
  readonly most?: number;
}

const rate = (ours: Measured, theirs: Measured): number => ours.perSecond / theirs.perSecond;
const megabytes = ({ bytesPerSecond }: Measured): string => `${(bytesPerSecond / 1e6).toFixed(0)} MB/s`;
const writes = ({ perSecond }: Measured): string => `${perSecond.toFixed(0)} a second`;
const latency = ({ medianUs }: Measured): string => `${medianUs.toFixed(0)} µs`;

const figures: readonly Against[] = [
  {
    ...{ id: 'write', job: sequential, terms: {}, how: 'async, replicated over TLS' },
    ...{ ratio: rate, tells: megabytes, least: 0.4 },
  },
  {
    ...{
      id: 'plain',
      job: sequential,
      terms: { encrypt: 'never' },
      how: 'async, replicated, encrypt: never',
    },
    ...{ ratio: rate, tells: megabytes, least: 0.6 },
  },
  {
    ...{ id: 'alone', job: sequential, terms: {}, how: 'the target paused', alone: true },
    ...{ ratio: rate, tells: megabytes, least: 0.8 },
  },
  {
    ...{ id: 'random', job: random, terms: {}, how: 'async, replicated over TLS' },
    ...{ ratio: rate, tells: writes, least: 0.7 },
  },
  {
    ...{ id: 'latency', job: single, terms: {}, how: 'async, replicated over TLS; median latency' },
    ...{ ratio: (ours, theirs) => ours.medianUs / theirs.medianUs, tells: latency, most: 1.5 },
  },
  {
    ...{ id: 'sync', job: flushed, terms: { mode: 'sync' }, how: 'sync, replicated over TLS' },
    ...{ ratio: rate, tells: writes, least: 0.5 },
  },
];

export async function volumeFigures(plan: VolumePlan, say: Say): Promise<readonly Figure[]> {
  const found: Figure[] = [];
  try {
    await withGround(say, 0, async (ground) => {
      for (const against of figures)
        if (plan.parts.includes(against.id)) found.push(await compare(ground, against, plan, say));
      if (plan.parts.includes('resync')) found.push(await resync(ground, plan, say));
      if (plan.parts.includes('lag')) found.push(await volumeLag(ground, plan, say));
      if (plan.parts.includes('restart')) found.push(await volumeRestart(ground, plan, say));
      if (plan.parts.includes('memory')) found.push(await volumeMemory(ground, plan, say));
    });
    if (plan.parts.includes('takeover')) found.push(await volumeTakeover(plan, say));
  } catch (error) {
    say(`the benchmark ended early: ${tellError(error)}`);
  }
  return found;
}

async function compare(ground: Ground, against: Against, plan: VolumePlan, say: Say): Promise<Figure> {
  const { id, job, how, least, most } = against;
  say(`${job.name}, ${how}:`);
  const stage = await stageVolume(ground, { ...against.terms, sizeMebibytes: plan.mebibytes });
  const nbdkit = await stageNbdkit(ground, stage.sizeBytes);
  const ratios: number[] = [];
  const notes: string[] = [];
  try {
    for (const { uri } of [nbdkit, stage]) await fio(uri, fill, stage.sizeBytes, fillSeconds);
    await stage.inStep();
    if (against.alone === true) await stage.pause();
    for (let run = 0; run < plan.runs; run += 1) {
      syncDisks();
      const theirs = await fio(nbdkit.uri, job, stage.sizeBytes, plan.seconds);
      syncDisks();
      const ours = await fio(stage.uri, job, stage.sizeBytes, plan.seconds);
      ratios.push(against.ratio(ours, theirs));
      const behind = against.alone === true ? '' : `; ${await caughtUp(stage)}`;
      notes.push(`${against.tells(ours)}, nbdkit ${against.tells(theirs)}${behind}`);
      say(`  ${notes.at(-1) ?? ''}`);
    }
  } finally {
    nbdkit.stop();
  }
  return figureOf({
    id,
    name: `${job.name}: ${how}`,
    mustReach: least === undefined ? `at most ${most} of nbdkit's` : `at least ${least} of nbdkit's`,
    unit: 'times',
    goal: least === undefined ? { medianMax: most ?? 0 } : { medianMin: least },
    values: ratios,
    notes,
  });
}

/** In words. Looked at by commands: it is not finer than half a second. */
async function caughtUp(stage: VolumeStage): Promise<string> {
  const beganMs = performance.now();
  await stage.inStep();
  return `in step ${((performance.now() - beganMs) / 1_000).toFixed(1)} s after the last answer`;
}

/** 1 % of the blocks of a full volume change while the target is away. */
async function resync(ground: Ground, plan: VolumePlan, say: Say): Promise<Figure> {
  say('resync after a break:');
  const stage = await stageVolume(ground, { sizeMebibytes: plan.mebibytes });
  await fio(stage.uri, fill, stage.sizeBytes, fillSeconds);
  await stage.inStep();
  const ratios: number[] = [];
  const notes: string[] = [];
  for (let run = 0; run < plan.runs; run += 1) {
    await stage.pause();
    const bytes = await scatter(stage);
    const pid = ground.pid(targetName, 'mirror');
    const idle = wireBytes(pid);
    await sleep(restMs);
    const restBytesPerMs = wireSince(pid, idle) / restMs;
    const before = wireBytes(pid);
    const beganMs = performance.now();
    await stage.resume();
    await stage.inStep();
    const tookMs = performance.now() - beganMs;
    const wire = wireSince(pid, before) - restBytesPerMs * tookMs;
    ratios.push((wire - hashBytes(stage.sizeBytes, bytes)) / bytes);
    const mib = (count: number): string => (count / 1_048_576).toFixed(1);
    notes.push(
      `${mib(wire)} MiB on the wire for ${mib(bytes)} that differ, in ${(tookMs / 1_000).toFixed(1)} s`,
    );
    say(`  ${notes.at(-1) ?? ''}`);
  }
  return figureOf({
    id: 'resync',
    name: `resync, 1 % of the 4 KiB blocks of ${plan.mebibytes} MiB changed: wire by differing bytes, less hashes`,
    mustReach: 'at most 1.1',
    unit: 'times',
    goal: { medianMax: 1.1 },
    values: ratios,
    notes: [...notes, 'less what goes over the wire at rest in as long a time'],
  });
}

/** 16 bytes for each block of the chunks of 64 KiB in which so many bytes were written to, in blocks anywhere. */
function hashBytes(sizeBytes: number, writtenBytes: number): number {
  const chunks = sizeBytes / 65_536;
  return chunks * (1 - (1 - 1 / chunks) ** (writtenBytes / 4_096)) * 16 * 16;
}

async function scatter(stage: VolumeStage): Promise<number> {
  const bytes = Math.floor(stage.sizeBytes / 100 / 4_096) * 4_096;
  const args = ['--rw=randwrite', '--bs=4k', '--iodepth=32', `--io_size=${bytes}`, '--norandommap=0'];
  await fio(stage.uri, { name: 'scatter', args: [...args, '--time_based=0'] }, stage.sizeBytes, 60);
  return bytes;
}
