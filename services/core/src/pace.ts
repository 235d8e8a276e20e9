/** One pace of heartbeats for the whole cluster: every member keeps to it, and counts the silence of others by it. */

import type { ClusterConfig } from './config/types.ts';
import { slowestPace } from './time.ts';

/** Heartbeats run at the pace of the most demanding group of the cluster, the same everywhere. */
export function heartbeatMsOf(config: ClusterConfig | null): number {
  if (config === null) return slowestPace.heartbeatMs;
  const known = beats.get(config);
  if (known !== undefined) return known;
  const ms = Math.min(
    slowestPace.heartbeatMs,
    ...[...config.groups.values()].map((g) => g.rules.heartbeatMs),
  );
  beats.set(config, ms);
  return ms;
}

/** Asked for at every heartbeat that is heard. */
const beats = new WeakMap<ClusterConfig, number>();
