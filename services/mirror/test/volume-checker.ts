/**
 * What a volume may hold, told from what was written to it: every write has a number, and each of its sectors carries that
 * number, so that a survivor's contents tell up to where it came.
 */

const sectorBytes = 512;

export interface Written {
  readonly number: number;
  readonly offset: number;
  readonly length: number;
}

export class Checker {
  readonly #sectors: number;
  #writes: Written[] = [];
  /** What was written in lives that lost some of it, newest first: a copy that was behind may stand at a moment of one. */
  #former: Written[][] = [];
  #next = 1;

  constructor(volumeBytes: number) {
    this.#sectors = volumeBytes / sectorBytes;
  }

  /** The next write, of whole sectors. Zero contents: number 0 cannot be told from what never was. */
  write(offset: number, length: number): Buffer {
    const number = this.#next;
    this.#next += 1;
    this.#writes.push({ number, offset, length });
    const contents = Buffer.alloc(length);
    for (let at = 0; at < length; at += sectorBytes) {
      for (let i = 0; i < sectorBytes; i += 4) contents.writeUInt32BE(number, at + i);
    }
    return contents;
  }

  /** The number that the next write gets. */
  get next(): number {
    return this.#next;
  }

  get last(): number {
    return this.#writes.at(-1)?.number ?? 0;
  }

  /**
   * Null: it is what the first k writes made, for a k of at least `atLeast`; from here on the contents are these. Otherwise
   * what is wrong. `behind`: it may stand at a moment of a former life, too. `killed`: of the write after that any part may be
   * there, since SIGKILL ends a write(2) between two pages.
   */
  prefix(
    volume: Buffer,
    atLeast: number,
    { behind = false, killed = false }: { readonly behind?: boolean; readonly killed?: boolean } = {},
  ): string | null {
    const found = this.#numbers(volume);
    if (typeof found === 'string') return found;
    for (const writes of behind ? [this.#writes, ...this.#former] : [this.#writes]) {
      const k = this.#fit(writes, found, atLeast, killed);
      if (k === null) continue;
      const begun = sectorsOf(found).filter(({ number }) => number > k);
      this.#goOn([...writes.filter(({ number }) => number <= k), ...begun]);
      return null;
    }
    return this.#says(found, atLeast);
  }

  #fit(writes: readonly Written[], found: Uint32Array, atLeast: number, killed: boolean): number | null {
    const expected = new Uint32Array(this.#sectors);
    let wrong = found.reduce((sum, number) => sum + (number === 0 ? 0 : 1), 0);
    const fits: number[] = [];
    const look = (number: number): void => {
      if (wrong === 0 && number >= atLeast) fits.push(number);
    };
    look(0);
    let before = 0;
    for (const [i, { number, offset, length }] of writes.entries()) {
      const from = offset / sectorBytes;
      const begun = found.subarray(from, from + length / sectorBytes).filter((one) => one === number).length;
      if (killed && wrong === begun && before >= atLeast) fits.push(before);
      before = number;
      for (let sector = offset / sectorBytes; sector < (offset + length) / sectorBytes; sector += 1) {
        const was = expected[sector] === found[sector];
        expected[sector] = number;
        const is = number === found[sector];
        wrong += (was ? 1 : 0) - (is ? 1 : 0);
      }
      if (writes[i + 1]?.number !== number) look(number);
    }
    return fits.at(-1) ?? null;
  }

  #goOn(writes: Written[]): void {
    this.#former.unshift(this.#writes);
    this.#writes = writes;
  }

  /**
   * Null: what was flushed is there, and of what came later any part may be, as on a disk that lost its cache. What is there
   * is what counts from now on.
   */
  flushed(volume: Buffer, flushedNumber: number, behind = false): string | null {
    const found = this.#numbers(volume);
    if (typeof found === 'string') return found;
    const says: string[] = [];
    for (const writes of behind ? [this.#writes, ...this.#former] : [this.#writes]) {
      const wrong = this.#lost(writes, found, flushedNumber);
      if (wrong === null) {
        this.#goOn(sectorsOf(found));
        return null;
      }
      says.push(wrong);
    }
    return says[0] ?? '';
  }

  #lost(writes: readonly Written[], found: Uint32Array, flushedNumber: number): string | null {
    const allowed = Array.from({ length: this.#sectors }, () => new Set([0]));
    for (const { number, offset, length } of writes)
      for (let sector = offset / sectorBytes; sector < (offset + length) / sectorBytes; sector += 1) {
        if (number <= flushedNumber) allowed[sector]?.clear();
        allowed[sector]?.add(number);
      }
    const bad = found.findIndex((number, sector) => allowed[sector]?.has(number) !== true);
    if (bad === -1) return null;
    return `sector ${bad} is of write ${found[bad]}, not of ${[...(allowed[bad] ?? [])].join(' or ')}`;
  }

  #numbers(volume: Buffer): Uint32Array | string {
    const found = new Uint32Array(this.#sectors);
    for (let sector = 0; sector < this.#sectors; sector += 1) {
      const at = sector * sectorBytes;
      const number = volume.readUInt32BE(at);
      for (let i = 4; i < sectorBytes; i += 4)
        if (volume.readUInt32BE(at + i) !== number) return `sector ${sector} is torn`;
      found[sector] = number;
    }
    return found;
  }

  #says(found: Uint32Array, atLeast: number): string {
    const most = found.reduce((max, number) => Math.max(max, number), 0);
    const expected = new Uint32Array(this.#sectors);
    const k = Math.max(most, atLeast);
    for (const { number, offset, length } of this.#writes)
      if (number <= k) expected.fill(number, offset / sectorBytes, (offset + length) / sectorBytes);
    const bad = found.findIndex((number, sector) => expected[sector] !== number);
    const missing = new Set([...expected].filter((number, sector) => found[sector] !== number));
    return (
      `sector ${bad} is of write ${found[bad]}, not of ${expected[bad]}; at least ${atLeast} have to be there, the last is ` +
      `${most}; not there as a whole: ${[...missing].join(', ')}`
    );
  }
}

/** Sector by sector, in the order of their numbers. */
function sectorsOf(found: Uint32Array): Written[] {
  return [...found]
    .map((number, sector) => ({ number, offset: sector * sectorBytes, length: sectorBytes }))
    .filter(({ number }) => number !== 0)
    .sort((a, b) => a.number - b.number);
}
