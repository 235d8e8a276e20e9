/**
 * A change feed: tells which paths of a root may have changed, so that a source need not walk the tree for every file.
 * It is a hint. The periodic scan stays the truth, because no feed of the kernel reports stores through mmap.
 *
 * F1. A path that changed after start() resolved is named by `changed`, or `lost` is called: nothing is missed silently.
 * F2. A path is named after it changed, so what is read of it on `changed` is at least as new as the change.
 * F3. After `lost` the feed goes on where it can (see LostFeed.ended): the caller scans everything once.
 */

export interface FeedListener {
  /**
   * These entries, or folders whose list changed, may differ. Relative to the root, the root itself is empty. A path may be
   * gone by now, and may come more than once. A folder that appeared (made, or moved in) comes with `whole`.
   */
  changed(paths: readonly ChangedPath[]): void;
  /** Changes were lost: a scan is needed. One sentence. */
  lost(lost: LostFeed): void;
}

export interface ChangedPath {
  readonly path: Buffer;
  /** Everything beneath it may differ too: a folder that appeared here, by mkdir or by a move. */
  readonly whole: boolean;
}

export interface LostFeed {
  readonly says: string;
  /** True: nothing comes any more, the feed has to be made anew. False: it overflowed and goes on. */
  readonly ended: boolean;
}

export type FeedStart =
  | { readonly kind: 'watching' }
  /** Not permitted or not there on this host: scan on a short period instead. */
  | { readonly kind: 'none'; readonly says: string };

export interface Feed {
  /** Resolves when every later change is noticed. */
  start(): Promise<FeedStart>;
  /**
   * Resolves with true when everything that happened in the root before this call was told to the listener; false when that
   * can't be known (not started, ended, lost, or no answer within 5 s).
   */
  barrier(): Promise<boolean>;
  close(): Promise<void>;
}

export interface FeedOptions {
  /** The folder that is mirrored, absolute. */
  readonly root: string;
  /**
   * A folder outside the mirrored files and on the same file system, where the feed makes and removes a marker for barrier():
   * absolute, may be inside the root when it is excluded. Made when missing.
   */
  readonly markers: string;
  /** Folders of which nothing is told, relative to the root (a staging folder). Globs are the source's business. */
  readonly excluded: readonly Buffer[];
  readonly listener: FeedListener;
}
