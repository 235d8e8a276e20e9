/** Turns of the event loop, counted until `stop` is called; they keep no process alive. */
export function turns(): { readonly count: () => number; readonly stop: () => void } {
  let count = 0;
  let next = setImmediate(turn).unref();
  function turn(): void {
    count += 1;
    next = setImmediate(turn).unref();
  }
  return { count: () => count, stop: () => clearImmediate(next) };
}
