import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createFeed } from '../src/feed/feed.ts';
import type { Feed, FeedStart, LostFeed } from '../src/feed/types.ts';

/** A root with a feed on it, and what the feed told. */
export interface Watched {
  readonly dir: string;
  readonly feed: Feed;
  readonly started: FeedStart;
  /** Paths as latin1 text, with whether everything beneath them may differ. */
  readonly told: Map<string, boolean>;
  readonly lost: LostFeed[];
  readonly at: (text: string) => string;
  /** Everything from before is told, or the test fails. */
  settled(): Promise<void>;
  close(): Promise<void>;
}

export async function watched(
  prepare: (root: string) => void = () => undefined,
  excluded: readonly string[] = [],
  make: typeof createFeed = (options) => createFeed({ ...options, where: 'here' }),
): Promise<Watched> {
  const dir = mkdtempSync(join(tmpdir(), 'holdfast-feed-'));
  const root = join(dir, 'root');
  mkdirSync(root);
  prepare(root);
  const told = new Map<string, boolean>();
  const lost: LostFeed[] = [];
  const feed = make({
    root,
    markers: join(dir, 'markers'),
    excluded: excluded.map((text) => Buffer.from(text)),
    listener: {
      changed(paths) {
        for (const { path, whole } of paths) {
          const text = path.toString('latin1');
          told.set(text, whole || (told.get(text) ?? false));
        }
      },
      lost(what) {
        lost.push(what);
      },
    },
  });
  const started = await feed.start();
  return {
    dir,
    feed,
    started,
    told,
    lost,
    at: (text) => join(root, text),
    async settled() {
      if (!(await feed.barrier())) throw new Error(`no barrier: ${JSON.stringify([started, lost])}`);
    },
    async close() {
      await feed.close();
      rmSync(dir, { recursive: true, force: true });
    },
  };
}
