/** What a thrown value says. Node's own errors may come from another realm, where `instanceof Error` is false. */
import { isNativeError } from 'node:util/types';

export function messageOf(error: unknown): string {
  return isNativeError(error) ? error.message : String(error);
}

/** The system's code, such as ENOENT (errno(3)); empty when there is none. */
export function codeOf(error: unknown): string {
  return isNativeError(error) && 'code' in error ? String(error.code) : '';
}
