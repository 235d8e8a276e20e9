/** A volume as whoever serves it to clients sees it (nbd/session.ts). */

import type { Segment } from './store/store.ts';

export type VolumeRequest =
  | { readonly kind: 'read'; readonly offset: number; readonly into: Buffer }
  /** The contents stay as they are until it is done, and not longer. `durable`: answered when they would survive a power cut. */
  | { readonly kind: 'write'; readonly offset: number; readonly contents: Buffer; readonly durable: boolean }
  /** `hole`: no room has to be kept for it. */
  | {
      readonly kind: 'zero';
      readonly offset: number;
      readonly length: number;
      readonly hole: boolean;
      readonly durable: boolean;
    }
  /** Everything that was answered before survives a power cut. */
  | { readonly kind: 'flush' };

export interface Volume {
  readonly sizeBytes: number;
  /** Offsets are within the volume. `done` gets a number of nbd/protocol.ts (outcome), at once or later, once. */
  submit(request: VolumeRequest, done: (outcome: number) => void): void;
  /** A number of the protocol where the disk refuses to tell. */
  segments(offset: number, length: number): readonly Segment[] | number;
}
