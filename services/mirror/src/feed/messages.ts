/** What the thread of a feed and its owner say to each other. Both are of one process and one version. */
import type { Batch } from './pump.ts';
import type { ReaderOptions } from './reader.ts';

export type ToThread =
  | { readonly kind: 'taken' }
  /** Pump.ask(). */
  | { readonly kind: 'ask'; readonly number: number }
  | { readonly kind: 'close' };

export type FromThread =
  | { readonly kind: 'watching' }
  /** Watching is not permitted or not there. */
  | { readonly kind: 'refused'; readonly says: string }
  | { readonly kind: 'batch'; readonly batch: Batch };

/** As structured cloning takes it: paths as latin1 text. */
export interface ThreadOptions extends Omit<ReaderOptions, 'excluded'> {
  readonly excluded: readonly string[];
}
