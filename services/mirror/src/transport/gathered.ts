/** What is to be written to a socket, in order. */

export interface Waiting {
  readonly bytes: Uint8Array;
  /** Called when the system has it, and all before it. */
  taken: (() => void) | null;
}

/** Below it a copy is cheaper than a call of the system, or a TLS record of its own. */
const aloneBytesMin = 65_536;

/** Small pieces together, large ones as they lie. Empty when there are no pieces; then nobody calls `taken`. */
export function gathered(pieces: readonly Uint8Array[], taken: () => void): Waiting[] {
  const all: Waiting[] = [];
  let small: Uint8Array[] = [];
  const gather = (): void => {
    if (small.length > 0) all.push({ bytes: Buffer.concat(small), taken: null });
    small = [];
  };
  for (const piece of pieces) {
    if (piece.length < aloneBytesMin) small.push(piece);
    else {
      gather();
      all.push({ bytes: piece, taken: null });
    }
  }
  gather();
  const last = all.at(-1);
  if (last !== undefined) last.taken = taken;
  return all;
}
