/**
 * Whether a copy's record of its files is the one that its source has: two sums over all entries (catalog/checksum.ts), the
 * source's told with each batch. Pure.
 *
 * Invariants:
 * S1  Compared is at one position only: after a consistent batch was recorded as a whole, and before every hello.
 * S2  What this copy left out, because its file system has no place for it, is in the source's sum alone. So the two may be
 *     `apart`, by the same number from batch to batch; only a batch that concerns what is left out may change that.
 * S3  By how much they are apart is taken as it is found with the first batch that makes the copy consistent, after
 *     everything was copied or compared, and with the first one of another epoch: a source that was a copy before may lack
 *     what it left out then. From there on every batch has to keep it.
 * S4  Sums that differ lead to a comparison of everything, but to one in a day: should they never agree, for a reason that
 *     nobody thought of, the copy would never be complete again.
 */

import { unknownChecksum } from '@holdfast/core';
import { nameOf, type Redo } from './redo.ts';

/** S4. */
const againMs = 86_400_000;
const modulus = 2n ** 64n;

export const differsSays =
  'its record of the files is not the one that the source has: everything is compared';
export const differsAgainSays =
  'its record of the files is not the one that the source has, once more since everything was compared: verify it';

export type Agreement =
  /** `apart`: what has to be noted for it; null: nothing new. */
  | { readonly kind: 'agrees'; readonly apart: bigint | null }
  /** Everything has to be compared. */
  | { readonly kind: 'differs' }
  /** S4. */
  | { readonly kind: 'differs-again'; readonly apart: bigint };

export interface Sums {
  /** As it was told for the position of this copy. */
  readonly source: string;
  readonly own: string;
  /** S2; null: not known yet (S3). */
  readonly apart: bigint | null;
  /** The last batch concerns what is left out here. */
  readonly leavesOut: () => boolean;
  /** Wall time in milliseconds: when sums that differed led to a comparison last; 0: never. */
  readonly comparedMs: number;
  readonly nowMs: number;
}

export function agreementOf(sums: Sums): Agreement {
  const { source, own, comparedMs, nowMs } = sums;
  if (source === unknownChecksum) return { kind: 'agrees', apart: null };
  const apart = (valueOf(source) - valueOf(own) + modulus) % modulus;
  if (apart === sums.apart) return { kind: 'agrees', apart: null };
  if (sums.apart === null || sums.leavesOut()) return { kind: 'agrees', apart };
  const isRecent = nowMs >= comparedMs && nowMs - comparedMs < againMs;
  return isRecent ? { kind: 'differs-again', apart } : { kind: 'differs' };
}

/** S2. `isLeftOut`: there is no place for it here, and it is not known. */
export function concernsLeftOut(
  operations: readonly Redo[],
  { isApart, isLeftOut }: { readonly isApart: boolean; readonly isLeftOut: (path: Buffer) => boolean },
): boolean {
  // What was left out may have been in a folder that went.
  if (isApart && operations.some(({ kind }) => kind === 'remove')) return true;
  return operations.some(
    (operation) =>
      isLeftOut(nameOf(operation)) || (operation.kind === 'hard-link' && isLeftOut(operation.to)),
  );
}

/** What a copy tells of itself: the source's sum, as far as it is right. */
export function toldSum(own: string, apart: bigint): string {
  return ((valueOf(own) + apart) % modulus).toString(16).padStart(16, '0');
}

const valueOf = (checksum: string): bigint => BigInt(`0x${checksum}`);
