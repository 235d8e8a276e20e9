/** The entry of a scan's thread: compares folders with the catalog, file by file, without writing. */
import { parentPort, workerData } from 'node:worker_threads';
import { keyOfNameIn, keyOfOne, rangeOfFolder } from './keys.ts';
import { type Place, pathBy } from './place.ts';
import { ReadTables } from './read-tables.ts';
import { rowId, rowIsAsOnDisk } from './row.ts';
import type { FromScanThread, ScanThreadOptions, ToScanThread } from './scan-threads.ts';
import { Tree } from '../os/tree.ts';
import { OsError } from '../os/types.ts';
import { nameBytesMax } from '../transport/limits.ts';

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
  if (path === null) return null;
  const first = folders.length;
  const count = countSame(id, path, folders);
  if (count !== null && tables.entries.getKeysCount(rangeOfFolder(id, null)) === count) return count;
  folders.length = first;
  return null;
}

function countSame(id: number, path: Buffer, folders: number[]): number | null {
  let count = 0;
  try {
    const all = tree.glanceAtChildren(path, (names, start, end, stat) => {
      if (stat.kind === 'socket') return true;
      if (end - start > nameBytesMax) return false;
      const bytes = tables.entries.getBinaryFast(keyOfNameIn(id, names, start, end));
      if (bytes === undefined || !rowIsAsOnDisk(bytes, stat)) return false;
      count += 1;
      if (stat.kind === 'folder') folders.push(rowId(bytes));
      return true;
    });
    return all ? count : null;
  } catch (error) {
    // The thread that asked has to find out why.
    if (error instanceof OsError) return null;
    throw error;
  }
}

function placeOf(id: number): Place | null {
  const bytes = tables.ids.getBinary(keyOfOne(id));
  return bytes === undefined ? null : { parent: bytes.readDoubleBE(0), name: bytes.subarray(8) };
}
