/**
 * What the database of a catalog may answer, cast into words that the rest knows: LMDB tells numbers, of the system or its own.
 *
 *   T1  what the system refused has the system's code: it may pass, and nothing of the transaction happened
 *   T2  a damaged catalog, and a database that gave up, fail with EIO until the catalog is opened anew
 */

import { statfsSync } from 'node:fs';
import { constants } from 'node:os';
import { getSystemErrorMap } from 'node:util';

const { errno } = constants;
/** MDB_PAGE_NOTFOUND, MDB_CORRUPTED, MDB_VERSION_MISMATCH, MDB_INVALID. */
const damages = new Set([-30797, -30796, -30794, -30793]);
/** MDB_PANIC: a write of the database's own record failed before. */
const panic = -30795;

export class CatalogError extends Error {
  /** ENOSPC, EIO and the like. */
  readonly code: string;
  /** T2. */
  readonly lasts: boolean;

  constructor(code: string, says: string, lasts: boolean, cause: unknown) {
    super(says, { cause });
    this.name = 'CatalogError';
    this.code = code;
    this.lasts = lasts;
  }
}

/** `error` itself when it is none of the database. `dir`: of the catalog. */
export function catalogError(dir: string, error: unknown): unknown {
  if (typeof error !== 'object' || error === null || !('code' in error)) return error;
  const { code } = error;
  if (typeof code !== 'number') return error;
  const why = 'message' in error ? String(error.message) : String(code);
  if (damages.has(code)) return damaged(dir, why, error);
  if (code === panic)
    return new CatalogError('EIO', `the catalog ${dir} has to be opened anew: ${why}`, true, error);
  const [name, meaning] =
    getSystemErrorMap().get(-(code === errno.EIO && isFull(dir) ? errno.ENOSPC : code)) ?? [];
  if (name === undefined || meaning === undefined) return error;
  return new CatalogError(name, `the catalog ${dir} can't be written: ${meaning}`, false, error);
}

/** LMDB calls a write that was cut short by a full disk an input/output error. */
function isFull(dir: string): boolean {
  try {
    return statfsSync(dir).bavail === 0;
  } catch {
    return false;
  }
}

/** T2. */
export function damaged(dir: string, why: string, cause: unknown = null): CatalogError {
  const says = `the catalog is damaged (${dir}: ${why}): see "A damaged catalog" in docs/operations.md`;
  return new CatalogError('EIO', says, true, cause);
}
