/** When things happened, as the cluster itself tells a user: from its status and its history. */
import type { LabCluster } from '@holdfast/cli';
import { monotonicMs } from './lines.ts';
import { until } from './until.ts';

export type Status = NonNullable<Awaited<ReturnType<LabCluster['status']>>>;

interface ListedEvent {
  readonly time: string;
  readonly kind: string;
  readonly group: string | null;
  readonly inputs: {
    readonly servers?: readonly { readonly server: string; readonly heardMsAgo: number }[];
  } | null;
}

/** A failover as the cluster's history tells it. */
export interface Declaration {
  /** CLOCK_MONOTONIC. */
  readonly atMs: number;
  /** How long nobody had heard the server then: what the decision was made from. */
  readonly silenceMs: number;
}

/** The failover of a silent server after a moment. */
export async function declaration(
  cluster: LabCluster,
  from: string,
  { group, server, afterMs }: { readonly group: string; readonly server: string; readonly afterMs: number },
): Promise<Declaration> {
  return until(
    'the failover stands in the history',
    async () => {
      const listed = JSON.parse(await cluster.must(from, 'get', 'events', '-o', 'json')) as ListedEvent[];
      return listed
        .filter((event) => event.kind === 'failover' && event.group === group)
        .map(({ time, inputs }) => ({
          atMs: wallToMonotonicMs(Date.parse(time)),
          silenceMs: inputs?.servers?.find((each) => each.server === server)?.heardMsAgo ?? Number.NaN,
        }))
        .find(({ atMs }) => atMs > afterMs);
    },
    { limitMs: 10_000, everyMs: 200 },
  );
}

/** When an event of a group happened after a moment; both CLOCK_MONOTONIC. */
export function eventAfter(
  cluster: LabCluster,
  from: string,
  wanted: { readonly group: string; readonly kind: string; readonly afterMs: number },
): Promise<number> {
  return until(
    `${wanted.kind} stands in the history`,
    async () => {
      const listed = JSON.parse(await cluster.must(from, 'get', 'events', '-o', 'json')) as ListedEvent[];
      return listed
        .filter(({ kind, group }) => kind === wanted.kind && group === wanted.group)
        .map(({ time }) => wallToMonotonicMs(Date.parse(time)))
        .find((atMs) => atMs > wanted.afterMs);
    },
    { limitMs: 10_000, everyMs: 200 },
  );
}

/** All hosts of a lab share the wall clock too; both sides count whole milliseconds. */
function wallToMonotonicMs(wallMs: number): number {
  return wallMs - (Date.now() - monotonicMs());
}
