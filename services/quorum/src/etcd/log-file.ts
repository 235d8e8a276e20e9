/**
 * The log of a process that writes to it by itself and may outlive us: bounded from outside, read from its end.
 * The file is open for appending in the process, so that it can be emptied under it.
 */

import { closeSync, copyFileSync, fstatSync, openSync, readSync, statSync, truncateSync } from 'node:fs';
import { errorText, isMissing } from './failure.ts';

/** Moves the log aside to `FILE.1` and empties it when it has grown past the limit. Says what went wrong, or null. */
export function boundLog(file: string, bytesMax: number): string | null {
  try {
    if (statSync(file).size <= bytesMax) return null;
    copyFileSync(file, `${file}.1`);
    truncateSync(file);
    return null;
  } catch (error) {
    return isMissing(error) ? null : `the log ${file} can't be bounded: ${errorText(error)}`;
  }
}

/** Length of the log now; a reader that starts there sees only what comes later. */
export function logEnd(file: string): number {
  try {
    return statSync(file).size;
  } catch (error) {
    if (isMissing(error)) return 0;
    throw error;
  }
}

/** At most the last `bytesMax` bytes that were written after `from`, as lines. */
export function logTail(file: string, from: number, bytesMax = 65_536): string[] {
  let fd: number;
  try {
    fd = openSync(file, 'r');
  } catch (error) {
    if (isMissing(error)) return [];
    throw error;
  }
  try {
    const size = fstatSync(fd).size;
    // Emptied since: everything in it is new.
    const start = Math.max(from > size ? 0 : from, size - bytesMax);
    const buffer = Buffer.alloc(size - start);
    const length = readSync(fd, buffer, 0, buffer.length, start);
    return buffer
      .toString('utf8', 0, length)
      .split('\n')
      .filter((line) => line !== '');
  } finally {
    closeSync(fd);
  }
}
