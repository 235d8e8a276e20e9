/** For reading beside the thread that writes: a scan's workers. Loads little, because each of them starts with it. */
import type { RootDatabase } from 'lmdb';
import { type Table, openEnvironment, openTable } from './environment.ts';

export class ReadTables {
  readonly entries: Table;
  readonly ids: Table;
  readonly #root: RootDatabase<Buffer, Buffer>;

  constructor(dir: string) {
    this.#root = openEnvironment(dir);
    this.entries = openTable(this.#root, 'entries');
    this.ids = openTable(this.#root, 'ids');
  }

  /** What is read from now on is at least as new as this call. */
  renew(): void {
    this.#root.resetReadTxn();
  }
}
