/**
 * What a connection counts, see Counters.
 */

import type { Counters } from './types.ts';

export type Tally = { -readonly [K in Exclude<keyof Counters, 'queuedBytes'>]: number };

export const newTally = (): Tally => ({
  sentWireBytes: 0,
  receivedWireBytes: 0,
  sentContentBytes: 0,
  receivedContentBytes: 0,
  sentFrames: 0,
  receivedFrames: 0,
  plainFrames: 0,
  compressedFrames: 0,
});
