/**
 * What is in a folder, as getdents64(2) lists it: one call for some thousand names, which lie in the buffer with the NUL that
 * the kernel wants when it is asked about them.
 *
 * Source: getdents64(2).
 */
import { checked, libc } from './libc.ts';
import { kindOf, statIn } from './stat.ts';
import type { ChildStat, ListedEntry, Stat } from './types.ts';

const BYTES = 64 * 1024;
const LENGTH_AT = 16;
const TYPE_AT = 18;
const NAME_AT = 19;
const DOT = 0x2e;
const buffer = Buffer.alloc(BYTES);

/** All entries of the open folder but `.` and `..`, in the order of the file system. */
export function listed(folder: number, path: Buffer): ListedEntry[] {
  const entries: ListedEntry[] = [];
  each(folder, path, (start, end, type) => {
    entries.push({ name: Buffer.from(buffer.subarray(start, end)), kind: kindOf(type) });
  });
  return entries;
}

/** Every entry with what it is; one that vanished meanwhile is left out. */
export function listedStats(folder: number, path: Buffer): ChildStat[] {
  const entries: ChildStat[] = [];
  each(folder, path, (start, end) => {
    const stat = statIn(folder, buffer.subarray(start, end + 1), path);
    if (stat !== null) entries.push({ name: Buffer.from(buffer.subarray(start, end)), stat });
  });
  return entries;
}

/**
 * Looks at one entry after another. Its name is in `names` from `start` to `end`, during the call only, which must not call
 * anything of this file. False: no more.
 */
export type Glance = (names: Buffer, start: number, end: number, stat: Stat) => boolean;

/** False when `use` wanted no more. */
export function glanced(folder: number, path: Buffer, use: Glance): boolean {
  let more = true;
  each(folder, path, (start, end) => {
    const stat = more ? statIn(folder, buffer.subarray(start, end + 1), path) : null;
    if (stat !== null) more = use(buffer, start, end, stat);
  });
  return more;
}

function each(folder: number, path: Buffer, use: (start: number, end: number, type: number) => void): void {
  for (;;) {
    const bytes = checked(libc.getdents64(folder, buffer, BYTES), 'getdents64', path);
    if (bytes === 0) return;
    for (let at = 0; at < bytes; at += buffer.readUInt16LE(at + LENGTH_AT)) {
      const start = at + NAME_AT;
      const end = buffer.indexOf(0, start);
      const length = end - start;
      const dots = length <= 2 && buffer[start] === DOT && buffer[end - 1] === DOT;
      if (!dots) use(start, end, buffer[at + TYPE_AT] ?? 0);
    }
  }
}
