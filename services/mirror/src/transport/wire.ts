/** What carries the bytes of a line, in order: a socket, with TLS or without; in tests memory. */
import type { Reads } from './direct-reads.ts';
import type { Ended } from './types.ts';

/** What a line needs of it. */
export interface Wire {
  /** Sends the pieces in order; `taken` is called when the system has them. */
  write(pieces: readonly Uint8Array[], taken: () => void): void;
  /** After what was written: no more comes from here. */
  end(): void;
  destroy(): void;
  pause(): void;
  resume(): void;
  /** What `bytes` in one write, or as read, come to on the line. */
  wireBytes(bytes: number): number;
}

/** Who gets what a wire brings. */
export interface WireEnd extends Reads {
  /** The wire is over. */
  lost(ended: Ended): void;
}

export interface AttachableWire extends Wire {
  /** From now on this is who gets it. */
  attach(end: WireEnd): void;
}
