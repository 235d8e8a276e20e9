/** What the disk of an exported volume last refused to a client. A service that is told of errors is better off elsewhere. */

/** So long after the last time it is a trouble still. */
const lastsMs = 60_000;

export class ExportTrouble {
  readonly #nowMs: () => number;
  #says = '';
  #atMs = -Infinity;

  constructor(nowMs: () => number = () => performance.now()) {
    this.#nowMs = nowMs;
  }

  note(says: string): void {
    this.#says = says;
    this.#atMs = this.#nowMs();
  }

  /** Empty: there is none. */
  get says(): string {
    return this.#nowMs() - this.#atMs < lastsMs ? this.#says : '';
  }
}
