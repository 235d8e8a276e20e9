/**
 * The lifeline: file descriptor 3 of `agent`, `mirror` and `quorum`, a duplex stream to the `holdfast run` that started them.
 * HOLDFAST_LIFELINE=3 in their environment says that it is there; without it they run by hand, with no parent to watch.
 *
 * Child to parent, one JSON object per line:
 *   {"type":"ready"}                 it does its work
 *   {"type":"fatal","says":"..."}    it can't, and a restart can't help; it then exits, with status 2 when the
 *                                    configuration or the installation is wrong. Counts only before its first ready
 *
 * Parent to child: on Windows, where there are no signals, {"type":"release"} and {"type":"keep"}. Elsewhere signals:
 *   agent    SIGTERM  release: give up every group in order, disarm the guard, exit 0
 *            SIGHUP   keep: exit 0 at once and touch nothing; the guard stays armed, the next agent re-attaches
 *   mirror   SIGTERM  close every role in order, with a clean mark on disk, exit 0
 *   quorum   SIGTERM  stop, and its etcd with it, exit 0
 *   guard    has no lifeline: it outlives everything. SIGTERM ends it only while nothing is armed
 *
 * End of the stream: `run` has died. The agent takes it as keep, the others as SIGTERM, so that nothing is left in the
 * way of the next `run`.
 */

export const lifelineFd = 3;
export const lifelineEnv = 'HOLDFAST_LIFELINE';

export type StopMode = 'release' | 'keep';

export type ChildMessage =
  | { readonly kind: 'ready' }
  | { readonly kind: 'fatal'; readonly says: string }
  | { readonly kind: 'unknown' };

const saysMax = 4_096;

export function parseChildMessage(line: string): ChildMessage {
  let value: unknown;
  try {
    value = JSON.parse(line);
  } catch {
    return { kind: 'unknown' };
  }
  if (typeof value !== 'object' || value === null || !('type' in value)) return { kind: 'unknown' };
  if (value.type === 'ready') return { kind: 'ready' };
  if (value.type === 'fatal' && 'says' in value && typeof value.says === 'string') {
    return { kind: 'fatal', says: value.says.slice(0, saysMax) };
  }
  return { kind: 'unknown' };
}
