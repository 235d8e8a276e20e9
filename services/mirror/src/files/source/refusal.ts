/** What a disk refuses of one path: it holds up nothing else, and is told in words. */

import { CatalogError } from '../../catalog/trouble.ts';

export function cantRead(path: Buffer, why: string): string {
  return `${JSON.stringify(path.toString())} can't be read: ${why}`;
}

/** What a disk may answer to one path, and not to the next one. */
export function isTrouble(error: unknown): boolean {
  if (error instanceof CatalogError) return false;
  return typeof error === 'object' && error !== null && 'code' in error && typeof error.code === 'string';
}
