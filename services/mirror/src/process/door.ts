/** The port for sources of other members, before it is open and after: who wants to be reached waits for it here. */

import type { Acceptor, Listener } from '../transport/types.ts';

export class Door {
  #listener: Listener | null = null;
  readonly #acceptors = new Map<string, Acceptor>();
  readonly #registered = new Map<string, () => void>();

  /** The port is open: everybody who waits can be reached. */
  opened(listener: Listener): void {
    this.#listener = listener;
    for (const mirror of this.#acceptors.keys()) this.#enter(mirror);
  }

  /** Until the answer is called. One acceptor for each mirror. */
  register(mirror: string, acceptor: Acceptor): () => void {
    if (this.#acceptors.has(mirror)) throw new Error(`${mirror} has a role here already`);
    this.#acceptors.set(mirror, acceptor);
    this.#enter(mirror);
    return () => {
      this.#acceptors.delete(mirror);
      this.#registered.get(mirror)?.();
      this.#registered.delete(mirror);
    };
  }

  #enter(mirror: string): void {
    const acceptor = this.#acceptors.get(mirror);
    if (this.#listener === null || acceptor === undefined) return;
    this.#registered.set(mirror, this.#listener.register(mirror, acceptor));
  }
}
