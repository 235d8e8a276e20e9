/**
 * Who holds a mounted file system, as fuser(1) finds out: by working folder, root, open files and mapped files. Nothing is
 * asked of the files themselves: a stat(2) of one whose device hangs would hang, too.
 *
 *   H1  a path of /proc is one of its process's own tree: in another mount namespace the file system may be elsewhere, and
 *       something else where it is here
 */

import { readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { join } from 'node:path';
import { parseMounts } from './mounts.ts';

export interface Holder {
  readonly pid: number;
  readonly name: string;
  /** One of the paths that it holds. */
  readonly path: string;
}

const holdersMax = 200;

/** `device`: `major:minor` of the file system that is mounted at the folder. */
export function holdersOf(folder: string, device: string): readonly Holder[] {
  const found: Holder[] = [];
  const ours = treeOf('/proc/self');
  const places = new Map([[ours, [folder]]]);
  for (const entry of readdirSync('/proc')) {
    if (!/^\d+$/.test(entry) || found.length >= holdersMax) continue;
    const pid = Number(entry);
    if (pid === process.pid) continue;
    const proc = join('/proc', entry);
    const tree = treeOf(proc) ?? ours;
    const there = places.get(tree) ?? mountedAt(proc, device);
    places.set(tree, there);
    const path = heldIn(proc, there);
    if (path !== undefined) found.push({ pid, name: nameOf(entry), path });
  }
  return found;
}

function heldIn(proc: string, folders: readonly string[]): string | undefined {
  if (folders.length === 0) return undefined;
  const isIn = (held: string) => folders.some((f) => held === f || held.startsWith(`${f}/`));
  return heldBy(proc).find(isIn);
}

/** H1: the mount namespace; null for one that ended, or may not be looked at. */
const treeOf = (proc: string): string | null => quiet(() => readlinkSync(join(proc, 'ns', 'mnt')), null);

/** H1. */
function mountedAt(proc: string, device: string): string[] {
  const table = quiet(() => readFileSync(join(proc, 'mountinfo'), 'utf8'), '');
  return parseMounts(table).flatMap((m) => (m.device === device ? [m.at] : []));
}

/** In words, at most three by name. */
export function holdersText(holders: readonly Holder[]): string {
  const named = holders.slice(0, 3).map(({ pid, name, path }) => `${name} (process ${String(pid)}, ${path})`);
  const more = holders.length - named.length;
  return `${named.join(', ')}${more > 0 ? ` and ${String(more)} more` : ''}`;
}

function heldBy(proc: string): readonly string[] {
  const links = [join(proc, 'cwd'), join(proc, 'root'), join(proc, 'exe'), ...openFiles(proc)];
  return [...links.flatMap(target), ...mappedFiles(proc)];
}

/** A process that ended meanwhile, and a kernel thread, hold nothing. */
function quiet<T>(read: () => T, otherwise: T): T {
  try {
    return read();
  } catch {
    return otherwise;
  }
}

const openFiles = (proc: string): readonly string[] =>
  quiet(() => readdirSync(join(proc, 'fd')).map((fd) => join(proc, 'fd', fd)), []);

const target = (link: string): readonly string[] => quiet(() => [readlinkSync(link)], []);

const mappedFiles = (proc: string): readonly string[] =>
  quiet(() => readFileSync(join(proc, 'maps'), 'utf8'), '')
    .split('\n')
    .flatMap((line) => /\s(\/.*)$/.exec(line)?.[1] ?? []);

const nameOf = (pid: string): string =>
  quiet(() => readFileSync(join('/proc', pid, 'comm'), 'utf8').trim(), 'a process');
