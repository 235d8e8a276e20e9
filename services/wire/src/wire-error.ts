/**
 * Why a call failed: the same value on both ends of the wire (rpc-status.ts carries it across).
 * `unreachable`, `deadline` and `internal` are "no answer": what was asked may have been done. All others are answers.
 */
import type { CertificateProblemKind } from './certificate.ts';
import { failed, type Failed, type Outcome } from './outcome.ts';

export type WireError =
  /** Nobody there, or it can't do it now: ask another member. */
  | { readonly kind: 'unreachable'; readonly message: string }
  | { readonly kind: 'deadline'; readonly message: string }
  /** The caller stopped waiting. */
  | { readonly kind: 'cancelled'; readonly message: string }
  /** The caller's role may not do this. */
  | { readonly kind: 'refused'; readonly message: string }
  /** The input is wrong. */
  | { readonly kind: 'invalid'; readonly message: string }
  /** A safety rule says no (exit status 4 of the command line). */
  | { readonly kind: 'unsafe'; readonly message: string }
  | { readonly kind: 'not-found'; readonly message: string }
  | { readonly kind: 'certificate'; readonly problem: CertificateProblemKind; readonly message: string }
  | { readonly kind: 'internal'; readonly message: string };

export type WireErrorKind = WireError['kind'];

export type Answer<T> = Outcome<T, WireError>;

/** A failed answer of every kind but `certificate`. */
export function failure(kind: Exclude<WireErrorKind, 'certificate'>, message: string): Failed<WireError> {
  return failed({ kind, message });
}

/** For code that is too deep to return a failure; handlers turn it into the answer. */
export class WireFailure extends Error {
  override readonly name = 'WireFailure';
  readonly error: WireError;

  constructor(error: WireError) {
    super(error.message);
    this.error = error;
  }
}

/** True when the other end decided; false when nobody knows whether it was done. */
export function isDefinite(answer: Answer<unknown>): boolean {
  if (answer.kind === 'ok') return true;
  switch (answer.error.kind) {
    case 'unreachable':
    case 'deadline':
    case 'cancelled':
    case 'internal':
    case 'certificate':
      return false;
    case 'refused':
    case 'invalid':
    case 'unsafe':
    case 'not-found':
      return true;
  }
}
