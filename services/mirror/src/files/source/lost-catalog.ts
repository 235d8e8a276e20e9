/**
 * A source whose catalog was lost, and begins a new one. Numbers from one on would mean something else than they mean to its
 * targets, and some of them would be taken for what the targets hold.
 *
 *   L1  it goes on above every number that was ever given: there was never more than one for each millisecond since 1970
 *   L2  nothing below can be told any more, so everything is compared with every target
 */

import type { Catalog } from '../../catalog/types.ts';

/** `nowMs`: wall time. Nothing where the catalog has numbers. */
export function beginAnew(catalog: Catalog, nowMs: number): void {
  if (catalog.lastSequence === 0) catalog.reset(Math.floor(nowMs));
}
