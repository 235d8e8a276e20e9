/**
 * Which datagrams were seen before. Several paths carry one sender's sequence and reorder it, so that a window of the
 * last 64 numbers is kept per sender (as IPsec does: RFC 4303, 3.4.3).
 *
 * W1. An incarnation below the highest seen is refused. W2. A number is accepted once.
 * W3. Numbers 64 or more below the highest are refused. W4. The number of senders is bounded; a new one is refused then.
 */
export type ReplayVerdict = 'fresh' | 'repeated' | 'too-old' | 'old-incarnation' | 'too-many-senders';

interface Seen {
  incarnation: bigint;
  highest: bigint;
  /** Bit i: the number `highest - i` was seen. */
  window: bigint;
}

const windowSize = 64n;
const windowMask = (1n << windowSize) - 1n;

export class ReplayWindow {
  readonly #senders = new Map<string, Seen>();
  readonly #sendersMax: number;

  constructor(sendersMax = 256) {
    this.#sendersMax = sendersMax;
  }

  /** Only for datagrams whose seal was checked: `fresh` also records the number. */
  admit(sender: string, incarnation: bigint, sequence: bigint): ReplayVerdict {
    const seen = this.#senders.get(sender);
    if (seen === undefined) {
      if (this.#senders.size >= this.#sendersMax) return 'too-many-senders';
      this.#senders.set(sender, { incarnation, highest: sequence, window: 1n });
      return 'fresh';
    }
    if (incarnation < seen.incarnation) return 'old-incarnation';
    if (incarnation > seen.incarnation) {
      Object.assign(seen, { incarnation, highest: sequence, window: 1n });
      return 'fresh';
    }
    return admitNumber(seen, sequence);
  }

  /** A member that left makes room. */
  forget(sender: string): void {
    this.#senders.delete(sender);
  }
}

function admitNumber(seen: Seen, sequence: bigint): ReplayVerdict {
  if (sequence > seen.highest) {
    const shift = sequence - seen.highest;
    seen.window = shift >= windowSize ? 1n : ((seen.window << shift) & windowMask) | 1n;
    seen.highest = sequence;
    return 'fresh';
  }
  const age = seen.highest - sequence;
  if (age >= windowSize) return 'too-old';
  const bit = 1n << age;
  if ((seen.window & bit) !== 0n) return 'repeated';
  seen.window |= bit;
  return 'fresh';
}
