/** The way to one target: who it has to be, where, how fast and how packed; changed while it is in use. */

import type { MirrorTarget } from '@holdfast/core';
import type { WireCredentials } from '@holdfast/wire/directory';
import { dial } from '../transport/dial.ts';
import type { Dialed } from '../transport/types.ts';
import { LineRate } from './line-rate.ts';

export class Dialing {
  readonly #credentials: WireCredentials;
  readonly #rate: LineRate;
  #target: MirrorTarget;

  constructor(target: MirrorTarget, credentials: WireCredentials) {
    this.#target = target;
    this.#credentials = credentials;
    this.#rate = new LineRate(target.throttle);
  }

  /** The rate holds at once, everything else from the next connection on. */
  change(target: MirrorTarget): void {
    this.#target = target;
    this.#rate.change(target.throttle);
  }

  dial(signal: AbortSignal): Promise<Dialed> {
    const { member, addresses, port, encrypt, compress } = this.#target;
    return dial({
      credentials: this.#credentials,
      member,
      hosts: addresses,
      port,
      encrypt,
      compression: compress,
      throttle: this.#rate.throttle,
      signal,
    });
  }

  close(): void {
    this.#rate.close();
  }
}
