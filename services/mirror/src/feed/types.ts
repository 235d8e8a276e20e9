/**
 * A change feed: tells which paths of a root may have changed, so that a source need not walk the tree for every file.
 * It is a hint. The periodic scan stays the truth, because no feed of the kernel reports stores through mmap.
 *
 * F1. A path that changed after start() resolved is named by `changed`, or `lost` is called: nothing is missed silently, but
 *     for F4.
 * F2. A path is named after it changed: what is read of it on `changed` is at least as new as the change.
 * F3. After `lost` the feed goes on, unless it says that it ended: the caller scans everything once.
 * F4. Not told are: stores through mmap before the mapping is gone, changes that other hosts make to a network file system,
 *     what a kernel's own NFS server writes to files that it knows by handle only, and file systems that are mounted beneath
 *     the root later.
 * F5. A file with several names is told by the one that was used; that the number of its names changed is not told of the
 *     others. Of a folder that is gone, or moved away, its entries are not told.
 */

export interface FeedListener {
  /**
   * These entries may differ, in no order. A path may be gone by now, may come more than once, and may be one that its folder
   * had a moment ago.
   */
  changed(paths: readonly ChangedPath[]): void;
  /** Changes were lost: a scan is needed. One sentence. */
  lost(lost: LostFeed): void;
}

export interface ChangedPath {
  /** Relative to the root, the root itself is empty. */
  readonly path: Buffer;
  /**
   * A folder that was moved here, or beneath which a change has a path of more than 4,000 bytes: everything beneath has to be looked at, because changes within it may have been told by
   * its former path, and of what came from outside the root nothing was told. Of folders that are made here each entry
   * is told.
   */
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
  /** Where events are read: in a thread of their own (default), or in the caller's, which must not be busy for long. */
  readonly where?: 'worker' | 'here';
}
