/** The mirrored data of the demo: what status says would be lost, what the servers have, and what a former owner kept aside. */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { LabCluster } from '@holdfast/cli';
import type { Lab } from '@holdfast/lab';
import type { Status } from '../bench/history.ts';
import { monotonicMs } from '../bench/lines.ts';
import { until } from '../bench/until.ts';
import { recordsOf } from './records.ts';

export const mirror = 'd3/data';
const root = '/srv/d3';
/** Where a person puts back what was kept aside, to look at it. */
const restored = '/srv/kept';
const limitMs = 30_000;

/** What status showed: what would be lost if the owner died then. */
export interface ShownLoss {
  /** At most: with the age. */
  readonly ms: number;
  /** As the owner had said `ageMs` before. */
  readonly bytes: number;
  readonly ageMs: number;
  /** CLOCK_MONOTONIC, when status was asked. */
  readonly atMs: number;
}

interface Kept {
  readonly path: string;
  readonly size: number;
  readonly from: string;
  readonly kept: boolean;
}

type Target = Status['groups'][string]['mirrors'][string]['targets'][string];

function targetIn(status: Status, name: string): Target | undefined {
  const [group = '', data = ''] = mirror.split('/');
  return status.groups[group]?.mirrors[data]?.targets[name];
}

/** The copy is complete, takes every change, and is known to be no further behind than a moment. */
export function isReplicating(status: Status, target: string): boolean {
  const copy = targetIn(status, target);
  return copy?.state === 'replicating' && copy.consistent && copy.behindMs !== null && copy.behindMs < 5_000;
}

/** What status shows now, as a person would look before something happens. */
export async function shownLoss(cluster: LabCluster, from: string, group: string): Promise<ShownLoss> {
  return until(
    'status says how much would be lost',
    async () => {
      const atMs = monotonicMs();
      const objectives = (await cluster.status(from))?.groups[group]?.objectives;
      const { lossMs = null, lossBytes = null, lossAgeMs = null } = objectives ?? {};
      if (lossMs === null || lossBytes === null || lossAgeMs === null) return undefined;
      return { ms: lossMs + lossAgeMs, bytes: lossBytes, ageMs: lossAgeMs, atMs };
    },
    { limitMs, everyMs: 50 },
  );
}

/** The kernel tells an ordinary user nothing of changes: the mirror looks at everything, about once a second. */
export function looksByItself(lab: Lab, host: string): boolean {
  const log = join(lab.host(host).dir, 'run', 'mirror.log');
  // A mirror process that has nothing to say makes no log.
  return existsSync(log) && readFileSync(log, 'utf8').includes('changes are found by looking at everything');
}

/** All records in the folder on a host, in order. */
export async function recordsOn(lab: Lab, host: string): Promise<ReturnType<typeof recordsOf>> {
  return recordsOf(await shell(lab, host, `cat ${root}/records-*`));
}

/** The records in what a host kept aside, put back beside the data and read. */
export async function keptRecords(
  { lab, must }: LabCluster,
  from: string,
  host: string,
): Promise<ReturnType<typeof recordsOf>> {
  const listed = JSON.parse(await must(from, 'mirror', 'divergence', mirror, 'list', '-o', 'json')) as Kept[];
  const files = listed.filter((each) => each.kept && each.from === host && /^records-\d+$/.test(each.path));
  await shell(lab, host, `mkdir -p ${restored}`);
  const records: ReturnType<typeof recordsOf> = [];
  for (const { path } of files) {
    await must(from, 'mirror', 'divergence', mirror, 'restore', path, '--to', restored);
    records.push(...recordsOf(await shell(lab, host, `cat ${restored}/${path}`)));
  }
  return records;
}

async function shell(lab: Lab, host: string, script: string): Promise<string> {
  const { status, stdout, stderr } = await lab.host(host).exec(['sh', '-c', script], { timeoutMs: limitMs });
  if (status !== 0) throw new Error(`on ${host}: ${script}: ${stderr}`);
  return stdout;
}
