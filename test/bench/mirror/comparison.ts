/** Whether two trees are the same: every name, its kind, mode, owner, size, time to the nanosecond, and contents. */
import {
  closeSync,
  lstatSync,
  openSync,
  readdirSync,
  readlinkSync,
  readSync,
  type BigIntStats,
} from 'node:fs';
import { join } from 'node:path';

const partBytes = 4 * 1024 * 1024;
const listedMax = 5;

export interface Comparison {
  readonly entries: number;
  readonly differing: number;
  /** The first of them, for a person. */
  readonly says: string;
}

const parts = [Buffer.allocUnsafe(partBytes), Buffer.allocUnsafe(partBytes)] as const;

export function compareTrees(source: string, target: string): Comparison {
  const found: string[] = [];
  let entries = 0;
  const walk = (path: string): void => {
    entries += 1;
    const why = difference(join(source, path), join(target, path));
    if (why.says !== '') found.push(`${path === '' ? 'the root' : path} ${why.says}`);
    if (!why.folders) return;
    const here = new Set(readdirSync(join(source, path)));
    for (const name of readdirSync(join(target, path)))
      if (!here.has(name) && !name.startsWith('.holdfast-'))
        found.push(`${join(path, name)} is only on the target`);
    for (const name of here) walk(join(path, name));
  };
  walk('');
  return { entries, differing: found.length, says: found.slice(0, listedMax).join('; ') };
}

function difference(source: string, target: string): { readonly says: string; readonly folders: boolean } {
  const one = lstatSync(source, { bigint: true });
  const other = lstatSync(target, { bigint: true, throwIfNoEntry: false });
  if (other === undefined) return { says: 'is missing', folders: false };
  const folders = one.isDirectory() && other.isDirectory();
  if (one.mode !== other.mode) return { says: 'has another kind or mode', folders };
  if (one.uid !== other.uid || one.gid !== other.gid) return { says: 'has another owner', folders };
  if (one.mtimeNs !== other.mtimeNs) return { says: 'has another time', folders };
  if (one.isFile() && one.size !== other.size) return { says: 'has another size', folders };
  if (!sameContents(source, target, one)) return { says: 'has other contents', folders };
  return { says: '', folders };
}

function sameContents(source: string, target: string, stat: BigIntStats): boolean {
  if (stat.isSymbolicLink()) return readlinkSync(source) === readlinkSync(target);
  if (!stat.isFile() || stat.size === 0n) return true;
  const fds = [openSync(source, 'r'), openSync(target, 'r')] as const;
  try {
    for (;;) {
      const read = readSync(fds[0], parts[0]);
      if (readSync(fds[1], parts[1]) !== read) return false;
      if (read === 0) return true;
      if (parts[0].compare(parts[1], 0, read, 0, read) !== 0) return false;
    }
  } finally {
    for (const fd of fds) closeSync(fd);
  }
}
