/** The roles of volumes. Nothing opens one yet, and the configuration refuses them. */

import type { VolumeDataset } from '@holdfast/core';
import type { Sides } from './side.ts';

const says = 'this version of Holdfast opens no volumes';

export function volumeSides(): Sides<VolumeDataset> {
  const closed = { kind: 'failed', says } as const;
  return {
    source: () => Promise.resolve(closed),
    target: () => Promise.resolve(closed),
    kept: () => ({ ...closed, as: 'failed' }),
    release: () => '',
  };
}
