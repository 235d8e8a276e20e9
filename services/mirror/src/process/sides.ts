/** The roles of each kind of mirror, by its dataset. */

import type { FilesDataset, MirrorOrder, VolumeDataset } from '@holdfast/core';
import type { Sides } from './side.ts';

export interface SidesByKind {
  readonly files: Sides<FilesDataset>;
  readonly volume: Sides<VolumeDataset>;
}

export function sidesByKind(kinds: SidesByKind): Sides {
  const of = ({ dataset }: MirrorOrder): Sides => kinds[dataset.kind];
  return {
    source: (order, role, grantUntil) => of(order).source(order, role, grantUntil),
    target: (order, role) => of(order).target(order, role),
    kept: (order, run, ports) => of(order).kept(order, run, ports),
    confirm: async (order) => {
      const confirmed = of(order).confirm?.(order);
      return confirmed ?? { kind: 'failed', as: 'failed', says: `${order.mirror} does not work here now` };
    },
    release: (order) => of(order).release(order),
    forget: (order) => of(order).forget(order),
  };
}
