/**
 * What a file system may answer, sorted by what a target does about it.
 *
 *   waiting   the disk is full, read-only or failing: tried again until it works or a deadline is over
 *   refused   the file system has no place for a name, or for what a link says: it is left out
 *   misfit    the tree is not what the catalog says, because somebody changed it: what was found decides
 *   broken    anything else is a fault of ours, and is thrown on
 */

const waiting = new Map([
  ['ENOSPC', 'no space left on device'],
  ['EDQUOT', 'disk quota exceeded'],
  ['EROFS', 'read-only file system'],
  ['EIO', 'input/output error'],
  ['EMFILE', 'too many open files'],
  ['ENFILE', 'too many open files on this host'],
  ['ENOMEM', 'out of memory'],
  ['EBUSY', 'busy: something is mounted or in use there'],
  ['ETXTBSY', 'the program is running'],
  ['EPERM', 'not permitted'],
  ['EACCES', 'permission denied'],
  ['EFBIG', 'file too large for this file system'],
  ['EMLINK', 'too many links to one file'],
  ['EOPNOTSUPP', 'not supported by this file system'],
  ['ENOSYS', 'not supported by this host'],
]);

const misfits = new Set([
  'ENOENT',
  'ENOTDIR',
  'EISDIR',
  'ELOOP',
  'EXDEV',
  'EEXIST',
  'ENOTEMPTY',
  'EINVAL',
  'ENXIO',
]);

const refusals = new Set(['ENAMETOOLONG', 'EILSEQ']);

/** The code of an error of the system, or empty. */
export function codeOf(error: unknown): string {
  if (typeof error === 'object' && error !== null && 'code' in error && typeof error.code === 'string') {
    return error.code;
  }
  return '';
}

/** The reason to wait, for a person; null: waiting does not help. */
export function waitingReason(error: unknown): string | null {
  const reason = waiting.get(codeOf(error));
  if (reason === undefined) return null;
  const says = typeof error === 'object' && error !== null && 'message' in error ? String(error.message) : '';
  return says === '' ? reason : `${reason} (${says})`;
}

export function isMisfit(error: unknown): boolean {
  return misfits.has(codeOf(error));
}

/** EINVAL, which some file systems say as well, may mean other things: room-for-names.ts finds out. */
export function isRefusedName(error: unknown): boolean {
  return refusals.has(codeOf(error));
}
