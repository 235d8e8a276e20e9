/** Text of the store as JSON; null where it is none: no row of ours is. */
export function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}
