/** The LMDB environment of a catalog, as it is opened by whoever writes it (tables.ts) and by those that read beside (read-tables.ts). */
import { type Database, type RootDatabase, open } from 'lmdb';

export type Table = Database<Buffer, Buffer>;

const binary = { encoding: 'binary', keyEncoding: 'binary' } as const;

/** Makes the folder when missing. */
export function openEnvironment(dir: string): RootDatabase<Buffer, Buffer> {
  return open<Buffer, Buffer>({ path: dir, maxDbs: 16, noMemInit: true, noSubdir: false, ...binary });
}

export function openTable(root: RootDatabase<Buffer, Buffer>, name: string): Table {
  return root.openDB<Buffer, Buffer>({ name, ...binary });
}
