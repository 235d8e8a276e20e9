/** When things happened, as the cluster itself tells a user: from its status and its history. */
import type { LabCluster } from '@holdfast/cli';
import { monotonicMs } from './lines.ts';
import { until } from './until.ts';

export type Status = NonNullable<Awaited<ReturnType<LabCluster['status']>>>;

/**
 * When a server was last heard by anybody, CLOCK_MONOTONIC. Every member's answer counts what others report as a little
 * younger than it is, never as older (the transit of the report is not known), so the earliest answer is the nearest.
 */
export async function lastHeardMs(cluster: LabCluster, name: string, by: readonly string[]): Promise<number> {
  const heard = await Promise.all(
    by.map(async (member) => {
      const status = await cluster.status(member);
      const age = status?.servers[name]?.lastHeardMs ?? undefined;
      return status?.time == null || age === undefined
        ? undefined
        : wallToMonotonicMs(Date.parse(status.time)) - age;
    }),
  );
  const known = heard.filter((ms) => ms !== undefined);
  if (known.length === 0) throw new Error(`no member could tell when ${name} was last heard`);
  return Math.min(...known);
}

interface ListedEvent {
  readonly time: string;
  readonly kind: string;
  readonly group: string | null;
  readonly reason: string;
}

/** When the failover after a moment was declared, from the history of the cluster, CLOCK_MONOTONIC. */
export async function declaredMs(
  cluster: LabCluster,
  from: string,
  group: string,
  afterMs: number,
): Promise<number> {
  return until(
    'the failover stands in the history',
    async () => {
      const listed = JSON.parse(await cluster.must(from, 'get', 'events', '-o', 'json')) as ListedEvent[];
      return listed
        .filter((event) => event.kind === 'failover' && event.group === group)
        .map(({ time }) => wallToMonotonicMs(Date.parse(time)))
        .find((atMs) => atMs > afterMs);
    },
    { limitMs: 10_000, everyMs: 200 },
  );
}

/** All hosts of a lab share the wall clock too; both sides count whole milliseconds. */
function wallToMonotonicMs(wallMs: number): number {
  return wallMs - (Date.now() - monotonicMs());
}
