/** How much a target lacks that acknowledged a number, and since when. */

import type { SourceGround } from './source-ground.ts';

export function behind(
  { catalog, capture }: Pick<SourceGround, 'catalog' | 'capture'>,
  acked: number,
): { readonly bytes: number; readonly ms: number } {
  const now = performance.now();
  const waiting = capture.waitingSinceMs;
  const waitingMs = waiting === null ? 0 : now - waiting;
  if (catalog.lastSequence <= acked) return { bytes: 0, ms: waitingMs };
  const { bytes } = catalog.countSince(acked);
  const told = capture.times.oldestAbove(acked);
  const ms = told === null ? ageOfOldest(catalog, acked) : now - told;
  return { bytes, ms: Math.max(ms, waitingMs) };
}

/** Of a change that was told in a former life: by the time of the change itself. */
function ageOfOldest(catalog: SourceGround['catalog'], acked: number): number {
  const [oldest] = catalog.changesSince(acked, 1);
  if (oldest?.kind !== 'entry') return 0;
  const { ctimeS, ctimeNs } = oldest.entry;
  return Math.max(0, Date.now() - (ctimeS * 1_000 + ctimeNs / 1e6));
}
