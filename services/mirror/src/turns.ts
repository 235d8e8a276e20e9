/** Work that is done one after the other. */

export class Turns {
  #last: Promise<void> = Promise.resolve();

  /** After everything that came before, however that ended. */
  next<T>(work: () => Promise<T>): Promise<T> {
    const result = this.#last.then(work);
    this.#last = result.then(
      () => undefined,
      () => undefined,
    );
    return result;
  }

  /** Resolves when all that came until now has ended. */
  idle(): Promise<void> {
    return this.#last;
  }
}
