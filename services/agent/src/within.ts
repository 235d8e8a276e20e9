/** A wait that ends. */

/** Null when the time is up first. */
export async function within<T>(promise: Promise<T>, limitMs: number): Promise<T | null> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<null>((resolve) => {
    timer = setTimeout(() => resolve(null), limitMs);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}

/** Whether the promise settled in time. */
export const withinMs = async (promise: Promise<unknown>, limitMs: number): Promise<boolean> =>
  (await within(
    promise.then(() => true),
    limitMs,
  )) ?? false;
