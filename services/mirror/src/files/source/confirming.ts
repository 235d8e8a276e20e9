/** What readings of a source told of its entries, on its way into the catalog. */

import type { Catalog, Entry } from '../../catalog/types.ts';

export interface Confirmation {
  /** As it was when it was read. */
  readonly entry: Pick<Entry, 'id' | 'sequence' | 'suspect'>;
  readonly digest: Buffer | null;
  readonly readAtMs: number;
  /** Null: the digest tells. */
  readonly changed: boolean | null;
}

/** In one transaction. What changed since it was read is left out. Throws CatalogError. */
export function confirm(catalog: Catalog, confirmed: readonly Confirmation[]): void {
  if (confirmed.length === 0) return;
  catalog.write(() => {
    for (const { entry, digest, readAtMs, changed } of confirmed) {
      if (catalog.byId(entry.id)?.sequence !== entry.sequence) continue;
      if (changed === null) catalog.confirmContents(entry.id, digest, readAtMs);
      else catalog.confirmContents(entry.id, digest, readAtMs, changed);
    }
  });
}

const waitingMax = 2_000;
const waitMsMax = 500;

/**
 * Those that nobody's safety hangs on wait for a transaction that comes anyway, because each waits for the disk: of a file
 * whose digest is lost, the contents count as changed with its next change.
 */
export class Confirmations {
  readonly #catalog: Catalog;
  readonly #wanted: () => void;
  #waiting: Confirmation[] = [];
  #timer: NodeJS.Timeout | null = null;

  /** `wanted`: no transaction came for a while. */
  constructor(catalog: Catalog, wanted: () => void) {
    this.#catalog = catalog;
    this.#wanted = wanted;
  }

  /** After their batch was committed. Throws CatalogError. */
  add(confirmed: readonly Confirmation[]): void {
    for (const one of confirmed) this.#waiting.push(one);
    if (this.#waiting.length > waitingMax) this.write();
    else if (this.#waiting.length > 0) this.#timer ??= setTimeout(this.#wanted, waitMsMax);
  }

  /** Throws CatalogError: then they are lost. */
  write(): void {
    this.close();
    confirm(this.#catalog, this.#waiting.splice(0));
  }

  /**
   * Something was sent of these entries that did not hold still: no digest tells any more what somebody has, also none that
   * still waits. Throws CatalogError.
   */
  forget(ids: readonly number[]): void {
    if (ids.length === 0) return;
    this.#catalog.write(() => {
      this.write();
      for (const id of ids) this.#catalog.forgetContents(id);
    });
  }

  close(): void {
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = null;
  }
}
