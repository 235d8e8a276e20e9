/** How far the connection to a target has come (volume-line.ts), and what that is called. */

import type { MirrorState } from '@holdfast/core';
import type { Resyncing } from './resyncing.ts';

/** The frame that ends a resync, and when it was sent. */
interface Mark {
  readonly number: number;
  readonly atMs: number;
}

export type Phase =
  | { readonly kind: 'apart' }
  | { readonly kind: 'joining' }
  | {
      readonly kind: 'resync';
      readonly resyncing: Resyncing;
      readonly totalBytes: number;
      mark: Mark | null;
    }
  | { readonly kind: 'in-step'; readonly sinceMs: number }
  | { readonly kind: 'waiting' };

/** `first`: it has no complete copy yet. */
export function stateOf(phase: Phase, paused: boolean, first: boolean): MirrorState {
  if (paused) return 'paused';
  switch (phase.kind) {
    case 'apart':
    case 'joining':
      return 'disconnected';
    case 'resync':
      return first ? 'initial-copy' : 'resync';
    case 'in-step':
      return 'replicating';
    case 'waiting':
      return 'waiting';
  }
}
