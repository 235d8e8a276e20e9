/** What a target says of itself to a source that it takes. */

import type { Epoch } from '@holdfast/core';
import { protocolVersion, type Hello } from '../../transport/types.ts';
import type { Ground } from './applying.ts';
import { isOurs } from './own-root.ts';
import type { Standing } from './records.ts';
import type { TargetOptions } from './types.ts';

export interface Told {
  readonly standing: Standing;
  /** Of this copy's sum (Records, checksum). */
  readonly checksum: string;
  /** The highest that was seen. */
  readonly epoch: Epoch;
  readonly ground: Pick<Ground, 'tree' | 'staging'>;
}

/** Throws what the disk says. */
export function helloOf(
  { name, cluster, self, selection }: TargetOptions,
  { standing, checksum, epoch, ground }: Told,
): Hello {
  const { position, history, consistent } = standing;
  const { tree, staging } = ground;
  return {
    kind: 'hello',
    protocol: protocolVersion,
    cluster,
    member: self,
    mirror: name,
    role: 'target',
    epoch,
    position: position === null ? null : { ...position, checksum },
    history,
    selection: Buffer.from(selection.digest),
    consistent,
    parts: staging.parts,
    foreign: position === null && tree.readFolder(Buffer.alloc(0)).some((entry) => !isOurs(entry.name)),
    compareRanges: 0,
  };
}
