/**
 * Looks through a folder with everything in it, or through the whole tree, and tells what could not be looked at.
 *
 * Y1. Threads look only where everything was looked at before with the same selection (seen-selection.ts).
 */

import { scan, type Scanned } from '../../catalog/scan.ts';
import type { Catalog } from '../../catalog/types.ts';
import type { Tree } from '../../os/tree.ts';
import { nameBytesMax, pathBytesMax } from '../../transport/limits.ts';
import type { MountPoints } from './mount-points.ts';
import { cantRead, isTrouble } from './refusal.ts';
import { isSeenWith, noteSeenWith } from './seen-selection.ts';
import type { SourceSelection } from './types.ts';

/** Of a path that is told. */
const shownMax = 300;

export interface SurveyOptions {
  readonly tree: Tree;
  readonly catalog: Catalog;
  readonly selection: SourceSelection;
  readonly mounts: MountPoints;
  readonly says: (sentence: string) => void;
}

/** some: all but what could not be looked at. none: it broke off. */
export type Seen = 'all' | 'some' | 'none';

export interface Surveyed {
  readonly seen: Seen;
  /** What could not be looked at, and why; empty: nothing. */
  readonly trouble: string;
}

export class Survey {
  readonly #options: SurveyOptions;
  /** What was told last of entries that are left out. */
  #told = '';

  constructor(options: SurveyOptions) {
    this.#options = options;
  }

  /** The root is empty. Throws CatalogError. */
  async of(from: Buffer, signal: AbortSignal): Promise<Surveyed> {
    const { tree, catalog, selection, mounts } = this.#options;
    const isWhole = from.length === 0;
    try {
      if (isWhole) await mounts.review();
      const isNew = !isSeenWith(catalog, selection);
      const { complete, unreadable, tooLong } = await scan({
        tree,
        catalog,
        from,
        includes: (path, kind) => selection.includes(path, kind),
        doubts: mounts,
        signal,
        ...(isNew ? { threads: 0 } : {}), // Y1
      });
      // What was mounted meanwhile was seen with the rest.
      if (isWhole && complete) await mounts.review();
      if (isWhole) this.#tell(tooLong);
      const [first] = unreadable;
      const trouble = first === undefined ? '' : cantRead(first.path, first.why);
      if (!complete) return { seen: 'none', trouble };
      if (first !== undefined) return { seen: 'some', trouble };
      if (isWhole) noteSeenWith(catalog, selection);
      return { seen: 'all', trouble };
    } catch (error) {
      if (!isTrouble(error)) throw error;
      return { seen: 'none', trouble: cantRead(from, String(error)) };
    }
  }

  #tell({ count, first }: Scanned['tooLong']): void {
    const says = first === null ? '' : tooLongSays(count, first);
    if (says !== '' && says !== this.#told) this.#options.says(says);
    this.#told = says;
  }
}

function tooLongSays(count: number, first: Buffer): string {
  const what = count === 1 ? 'one entry is' : `${String(count)} entries are`;
  const shown = JSON.stringify(first.toString().slice(0, shownMax));
  const limits = `a name has more than ${String(nameBytesMax)} bytes or a path more than ${pathBytesMax.toLocaleString('en')}`;
  return `${what} not mirrored, because ${limits}: such as ${shown}`;
}
