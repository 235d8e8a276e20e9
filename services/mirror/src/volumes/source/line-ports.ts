/** What a target's line (volume-line.ts) is given by its source. */

import type { VolumeGround } from '../ground.ts';
import type { Store } from '../store/store.ts';
import type { Greeting } from './greeting.ts';

export interface LinePorts {
  readonly ground: VolumeGround;
  readonly store: Store;
  readonly greeting: (target: string) => Greeting;
  /** Of the last write. */
  readonly sequence: () => number;
  /** Before it forwards: what comes from now on has contents. */
  readonly wantContents: () => void;
  /** Everything that is in the store now is forwarded, or dirty. */
  readonly catchUp: () => void;
  /** The same, and nothing is written meanwhile. */
  readonly still: <T>(work: () => T) => T;
  /** Somebody waits for the targets with every write. */
  readonly urgent: () => boolean;
  /** After so long without an answer a target is lost for whoever waits. Infinity: nobody does. */
  readonly lossMs: () => number;
  /** Something arrived, or nothing more will: whoever waits looks again. */
  readonly progressed: () => void;
  readonly says: (sentence: string) => void;
}
