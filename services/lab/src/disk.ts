// The disk of a host, as far as the hosts do not share the machine's: folders that each host has for itself, under the
// names that people keep data in. They live in the lab's directory and survive power cuts, with all that was written:
// the machine below keeps running, so a power cut of the lab never drops what was not synced to disk yet.
//
// Invariants
// D1: a folder is a host's own only where nothing that the lab runs lives beneath that name; no lab is made beneath one.
import { mkdirSync, statSync } from 'node:fs';
import { join, sep } from 'node:path';
import { isErrno } from './command.ts';

/** Folders that are private where the machine has them. */
const names = ['/srv', '/data', '/mnt'] as const;

/** Where a host's own folder `name` (such as /srv) really is. */
const placeOf = (dir: string, host: string, name: string): string => join(dir, 'hosts', host, 'disk', name);

/** The folder that each host has for itself and that hides `path`; undefined when there is none. */
export const hiding = (path: string): string | undefined => names.find((name) => isWithin(path, name));

/** D1. */
function privateNames(): readonly string[] {
  const needed = [process.execPath, import.meta.dirname];
  return names.filter((name) => isFolder(name) && !needed.some((path) => isWithin(path, name)));
}

const isWithin = (path: string, folder: string): boolean => path === folder || path.startsWith(folder + sep);

/** Makes the folders of a host; idempotent. Each as what is to be mounted, and over what. */
export function ownFolders(
  dir: string,
  host: string,
): readonly { readonly from: string; readonly over: string }[] {
  return privateNames().map((over) => {
    const from = placeOf(dir, host, over);
    mkdirSync(from, { recursive: true, mode: 0o755 });
    return { from, over };
  });
}

function isFolder(path: string): boolean {
  try {
    return statSync(path).isDirectory();
  } catch (error) {
    if (isErrno(error, 'ENOENT')) return false;
    throw error;
  }
}
