/** What is mounted, from /proc/self/mountinfo (proc_pid_mountinfo(5)). */

import { existsSync, readFileSync, realpathSync, statSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';

export interface Mount {
  readonly at: string;
  /** `major:minor` of the device. */
  readonly device: string;
  readonly type: string;
  readonly source: string;
  /** Of the file system as a whole: rw, or ro. */
  readonly isReadOnly: boolean;
}

/** Of this process. */
export const mountTable = '/proc/self/mountinfo';

/** All that is mounted at a folder, the topmost last. `table`: where the kernel tells of mounts, by paths without links. */
export function mountsAt(folder: string, table = mountTable): readonly Mount[] {
  const there = mountsNamed(folder, table);
  return there.length > 0 ? there : mountsNamed(withoutLinks(folder), table);
}

/** The same of a path without links. Nothing is asked of the folder itself, which may hang. */
export function mountsNamed(path: string, table = mountTable): readonly Mount[] {
  return parseMounts(readFileSync(table, 'utf8')).filter((m) => m.at === path);
}

/** What can't be looked at, since it is not there or its device is gone, counts as no link. */
function withoutLinks(path: string): string {
  try {
    return realpathSync(path);
  } catch {
    return path === '/' ? path : join(withoutLinks(dirname(path)), basename(path));
  }
}

/** The topmost mount at a folder; null when nothing is mounted there. */
export function mountAt(folder: string, table = mountTable): Mount | null {
  return mountsAt(folder, table).at(-1) ?? null;
}

/** By its number, or by its name: a device that is gone has no number, and a file system of several devices has one of its own. */
export function isOn({ device, source }: Mount, path: string): boolean {
  if (source === path) return true;
  return existsSync(path) && device === deviceNumber(path);
}

export function parseMounts(text: string): readonly Mount[] {
  return text.split('\n').flatMap((line) => {
    const [own = '', shared = ''] = line.split(' - ');
    const [, , device, , at] = own.split(' ');
    const [type, source, options] = shared.split(' ');
    if (device === undefined || at === undefined || type === undefined || source === undefined) return [];
    const isReadOnly = options?.split(',').includes('ro') === true;
    return [{ at: plain(at), device, type, source: plain(source), isReadOnly }];
  });
}

/** Space, tab, newline and backslash are written in octal. */
function plain(text: string): string {
  return text.replace(/\\([0-7]{3})/g, (_, digits: string) => String.fromCharCode(parseInt(digits, 8)));
}

/** `major:minor` of a block device. */
export function deviceNumber(path: string): string {
  const { rdev } = statSync(path);
  // makedev(3) of glibc: 12 bits of the minor number are split around 12 of the major one.
  const major = (rdev >>> 8) & 0xfff;
  const minor = (rdev & 0xff) | ((rdev >>> 12) & 0xfff00);
  return `${String(major)}:${String(minor)}`;
}
