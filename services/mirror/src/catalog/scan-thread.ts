/** The entry of a scan's thread: compares folders with the catalog, file by file, without writing. */
import { parentPort, workerData } from 'node:worker_threads';
import { pathBy } from './entry-table.ts';
import { keyOfOne, keyOfPlace, rangeOfFolder } from './keys.ts';
import { rowId, rowIsAsOnDisk } from './row.ts';
import type { FromScanThread, ScanThreadOptions, ToScanThread } from './scan-threads.ts';
import { ReadTables } from './tables.ts';
import { Tree } from '../os/tree.ts';
import { type ChildStat, OsError } from '../os/types.ts';

const port = parentPort;
if (port === null) throw new Error('this file is the entry of a thread');
const { dir, root } = workerData as ScanThreadOptions;
const tables = new ReadTables(dir);
const tree = Tree.open(Buffer.from(root, 'latin1'));

port.on('message', (message: ToScanThread) => {
  if (message !== null) {
    port.postMessage(lookedThrough(message));
    return;
  }
  tree.close();
  port.close();
});

function lookedThrough(ids: Float64Array): FromScanThread {
  tables.renew();
  let entries = 0;
  const folders: number[] = [];
  const different: number[] = [];
  for (const id of ids) {
    const inner = same(id, folders);
    if (inner === null) different.push(id);
    else entries += inner;
  }
  return { entries, folders: Float64Array.from(folders), different: Float64Array.from(different) };
}

/** How many entries it holds; null: it is not what the catalog says. Folders in it are added to `folders`. */
function same(id: number, folders: number[]): number | null {
  const path = pathBy(id, placeOf);
  const children = path === null ? null : listed(path);
  if (children === null) return null;
  const first = folders.length;
  let count = 0;
  for (const { name, stat } of children) {
    if (stat.kind === 'socket') continue;
    count += 1;
    const bytes = tables.entries.getBinaryFast(keyOfPlace(id, name));
    if (bytes === undefined || !rowIsAsOnDisk(bytes, stat)) {
      folders.length = first;
      return null;
    }
    if (stat.kind === 'folder') folders.push(rowId(bytes));
  }
  if (tables.entries.getKeysCount(rangeOfFolder(id, null)) === count) return count;
  folders.length = first;
  return null;
}

function placeOf(id: number): { parent: number; name: Buffer } | null {
  const bytes = tables.ids.getBinary(keyOfOne(id));
  return bytes === undefined ? null : { parent: bytes.readDoubleBE(0), name: bytes.subarray(8) };
}

/** Null: the thread that asked has to find out why. */
function listed(path: Buffer): ChildStat[] | null {
  try {
    return tree.statChildren(path);
  } catch (error) {
    if (error instanceof OsError) return null;
    throw error;
  }
}
