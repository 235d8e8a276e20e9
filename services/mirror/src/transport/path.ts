/**
 * Which bytes are a path within a mirror: components joined by single slashes, relative to the root, that can't lead
 * out of it. The empty path is the root. Names need not be UTF-8.
 */

import { nameBytesMax, pathBytesMax } from './limits.ts';

const slash = 0x2f;
const dot = 0x2e;

/** A path of a file system that is none within a mirror. The folder that it is in is not looked at. */
export function isTooLong(path: Uint8Array): boolean {
  return path.length > pathBytesMax || path.length - path.lastIndexOf(slash) - 1 > nameBytesMax;
}

/** Why these bytes are no path, or null when they are. */
export function pathProblem(path: Uint8Array): string | null {
  const end = path.length;
  if (end === 0) return null;
  if (end > pathBytesMax) return `a path of ${String(end)} bytes`;
  let from = 0;
  for (let at = 0; at <= end; at += 1) {
    const byte = at === end ? slash : path[at];
    if (byte === 0) return 'a path with a NUL';
    if (byte !== slash) continue;
    const length = at - from;
    if (length === 0) return 'a path with an empty component';
    if (length > nameBytesMax) return `a name of ${String(length)} bytes`;
    if (path[from] === dot && (length === 1 || (length === 2 && path[from + 1] === dot))) {
      return 'a path with a component . or ..';
    }
    from = at + 1;
  }
  return null;
}
