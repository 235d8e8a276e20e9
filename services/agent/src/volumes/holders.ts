/** Who holds a mounted file system, as fuser(1) finds out: by working folder, root, open files and mapped files. */

import { readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { join } from 'node:path';

export interface Holder {
  readonly pid: number;
  readonly name: string;
  /** One of the paths that it holds. */
  readonly path: string;
}

const holdersMax = 200;

export function holdersOf(folder: string): readonly Holder[] {
  const found: Holder[] = [];
  for (const entry of readdirSync('/proc')) {
    if (!/^\d+$/.test(entry) || found.length >= holdersMax) continue;
    const pid = Number(entry);
    if (pid === process.pid) continue;
    const path = heldBy(join('/proc', entry)).find(
      (held) => held === folder || held.startsWith(`${folder}/`),
    );
    if (path !== undefined) found.push({ pid, name: nameOf(entry), path });
  }
  return found;
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
