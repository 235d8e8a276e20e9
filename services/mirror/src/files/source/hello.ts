/** What a source of files says first on a connection. */

import type { History } from '@holdfast/core';
import { protocolVersion, type Hello } from '../../transport/types.ts';
import type { SourceOptions } from './types.ts';

export interface SourceStanding {
  readonly sequence: number;
  readonly checksum: string;
  readonly history: History;
}

export function helloOf(options: SourceOptions, { sequence, checksum, history }: SourceStanding): Hello {
  const { epoch } = options;
  return {
    kind: 'hello',
    protocol: protocolVersion,
    cluster: options.cluster,
    member: options.self,
    mirror: options.name,
    role: 'source',
    epoch,
    position: { epoch, sequence, checksum },
    history,
    selection: Buffer.from(options.selection.digest),
    consistent: true,
    parts: [],
    foreign: false,
    compareRanges: 0,
  };
}
