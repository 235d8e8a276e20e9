/**
 * The order in which changes of one address were asked for, where several programs carry them out. A later change makes an
 * earlier one pointless: it is not tried again. Two drops do not disturb each other.
 */
export interface Turn {
  /** Whether a later change of the same address has come. */
  isOver(): boolean;
  /** Notes work that does not keep the order by itself. */
  during<T>(work: Promise<T>): Promise<T>;
  /** Waits for such work of earlier turns; says whether there was any. */
  outlived(): Promise<boolean>;
}

export interface Turns {
  take(address: string, change: 'set' | 'drop'): Turn;
}

interface Noted {
  readonly serial: number;
  readonly work: Promise<unknown>;
}

export function createTurns(): Turns {
  let serial = 0;
  // By address; a host has few, so they are never forgotten.
  const last = { set: new Map<string, number>(), drop: new Map<string, number>() };
  const noted = new Map<string, Set<Noted>>();
  return {
    take: (address, change) => {
      serial += 1;
      const mine = serial;
      last[change].set(address, mine);
      const laterSet = (): boolean => (last.set.get(address) ?? 0) > mine;
      const laterDrop = (): boolean => (last.drop.get(address) ?? 0) > mine;
      return {
        isOver: () => laterSet() || (change === 'set' && laterDrop()),
        during: async (work) => {
          const note = { serial: mine, work };
          const all = noted.get(address) ?? new Set<Noted>();
          noted.set(address, all.add(note));
          try {
            return await work;
          } finally {
            all.delete(note);
          }
        },
        outlived: async () => {
          const earlier = [...(noted.get(address) ?? [])].filter((note) => note.serial < mine);
          await Promise.all(earlier.map((note) => note.work));
          return earlier.length > 0;
        },
      };
    },
  };
}
