/**
 * Expected failures as values: what this package returns instead of throwing.
 * A function that can fail returns `Outcome<Value, Failure>`; a broken invariant still throws.
 */
export interface Ok<T> {
  readonly kind: 'ok';
  readonly value: T;
}

export interface Failed<E> {
  readonly kind: 'error';
  readonly error: E;
}

export type Outcome<T, E> = Ok<T> | Failed<E>;

export const ok = <T>(value: T): Ok<T> => ({ kind: 'ok', value });

export const failed = <E>(error: E): Failed<E> => ({ kind: 'error', error });

/** The system's short name of a failure, such as ENOENT; the empty string when there is none. */
export function errorCode(error: unknown): string {
  if (typeof error !== 'object' || error === null) return '';
  const code: unknown = Reflect.get(error, 'code');
  return typeof code === 'string' ? code : '';
}

/** One line for a person, whatever was thrown. */
export function errorText(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
