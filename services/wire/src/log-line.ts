/** One value as one line of JSON. Epochs are bigint and failures are Error: neither has a JSON form of its own. */
export function jsonLine(value: unknown): string {
  return JSON.stringify(value, (_key, inner: unknown) => {
    if (typeof inner === 'bigint') return inner.toString();
    if (inner instanceof Error) return inner.message;
    return inner;
  });
}
