/**
 * Where the system's programs are. Resolved to absolute paths, so that neither we nor the guard depend on a search
 * path when they are run.
 */
import { accessSync, constants, statSync } from 'node:fs';
import { join } from 'node:path';

const ALWAYS = ['/usr/sbin', '/usr/bin', '/sbin', '/bin'];

/** The absolute path of a program, or null when this host has none. */
export function findProgram(name: string, path: string = process.env['PATH'] ?? ''): string | null {
  const folders = [...path.split(':').filter((folder) => folder.startsWith('/')), ...ALWAYS];
  return folders.map((folder) => join(folder, name)).find(isProgram) ?? null;
}

/** Whether the file is there and may be run by us. */
export function isProgram(file: string): boolean {
  try {
    accessSync(file, constants.X_OK);
    return statSync(file).isFile();
  } catch {
    return false; // absent or not ours to run: both mean "no"
  }
}
