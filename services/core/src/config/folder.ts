/**
 * Folders that may be mirrored. A mirror replaces what is in its folder on the targets, so the system itself is refused,
 * and so is one root inside another.
 */

import { limits } from './limits.ts';
import type { Parsed } from './quantity.ts';
import { invalid, ok, quote } from './quantity.ts';
import { parseFilePath } from './text.ts';

/** Nothing below these is data. */
const systemTrees = ['/proc', '/sys', '/dev', '/run', '/boot', '/usr', '/bin', '/sbin', '/lib', '/lib64'];
/** Each holds the system, and data may lie below. */
const systemFolders = ['/', '/etc', '/var', '/var/lib', '/root'];
/** Memory that is used like a disk; and what administrators add by hand. */
const exceptions = ['/dev/shm', '/usr/local', '/run/user'];
const stateFolder = '/var/lib/holdfast';

/** An absolute, normalised folder that is not part of the system. */
export function parseRoot(raw: unknown): Parsed<string> {
  return parseData(raw, 'a folder');
}

/** A path to data; `what` it is, for advice. */
export function parseData(raw: unknown, what: string): Parsed<string> {
  const path = parseFilePath(raw);
  if (path.kind === 'invalid') return path;
  const wanted = normalised(path.value);
  if (path.value !== wanted) {
    return invalid(`${quote(raw)} is not a normalised path; write ${wanted}`);
  }
  if (isSystem(wanted)) {
    return invalid(
      `${quote(raw)} is part of the system, which is never mirrored; write ${what} of data, such as /srv/d3`,
    );
  }
  if (isInside(wanted, stateFolder)) {
    return invalid(`${quote(raw)} is the state of Holdfast, which is never mirrored; write ${what} of data`);
  }
  return ok(wanted);
}

export function normalised(path: string): string {
  const parts: string[] = [];
  for (const part of path.split('/')) {
    if (part === '' || part === '.') continue;
    if (part === '..') parts.pop();
    else parts.push(part);
  }
  return `/${parts.join('/')}`;
}

function isSystem(path: string): boolean {
  if (systemFolders.includes(path)) return true;
  if (exceptions.some((e) => path !== e && isInside(path, e))) return false;
  return systemTrees.some((tree) => isInside(path, tree));
}

/** Whether a path is a folder or lies in it. */
export function isInside(path: string, folder: string): boolean {
  return path === folder || path.startsWith(folder === '/' ? '/' : `${folder}/`);
}

/** A glob relative to the root; both `database/**` and `**` are. */
export function parseGlob(raw: unknown): Parsed<string> {
  if (typeof raw !== 'string' || raw === '') {
    return invalid(`${quote(raw)} is not a pattern; write one such as "database/**"`);
  }
  if (raw.length > limits.pathLength) return invalid('is too long for a pattern');
  if (raw.startsWith('/'))
    return invalid(`${quote(raw)} begins with /; write it relative to the root, such as "database/**"`);
  if (raw.includes('\0') || raw.split('/').some((part) => part === '..' || part === '.' || part === '')) {
    return invalid(`${quote(raw)} has an empty part, . or ..; write a pattern such as "database/**"`);
  }
  return ok(raw);
}
