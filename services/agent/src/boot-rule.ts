/**
 * The boot rule: before anything else, every address that a former life may have left here goes, and so do its names.
 * `stripped` is said only when all of them are gone; what resists is tried again.
 */

import { setTimeout as pause } from 'node:timers/promises';
import type { AgentAction } from '@holdfast/core';
import { groupConfig, type Host } from './host.ts';
import type { ServiceAddresses } from './service-addresses.ts';
import type { ServiceNames } from './service-names.ts';

type Strip = Extract<AgentAction, { kind: 'strip' }>;

const againMs = 1_000;

export class BootRule {
  readonly #host: Host;
  readonly #addresses: ServiceAddresses;
  readonly #names: ServiceNames;
  readonly #stop = new AbortController();

  constructor(host: Host, addresses: ServiceAddresses, names: ServiceNames) {
    this.#host = host;
    this.#addresses = addresses;
    this.#names = names;
  }

  async strip(action: Strip): Promise<void> {
    const { signal } = this.#stop;
    // Afterwards nothing may be left that shows where they belong.
    await this.#addresses.learnDevices(action.addresses);
    for (let told = ''; !signal.aborted;) {
      const left = await this.#stripOnce(action);
      if (left === null) {
        this.#host.journal.write('stripped', { addresses: action.addresses });
        this.#host.dispatch({ kind: 'stripped' });
        return;
      }
      if (left !== told)
        this.#host.note(null, 'strip-failed', `${left}; nothing is taken over before it is gone`);
      told = left;
      // Interrupted by `close`.
      await pause(againMs, undefined, { signal }).catch(() => undefined);
    }
  }

  close(): void {
    this.#stop.abort();
  }

  /** What is left, in words; null when nothing is. */
  async #stripOnce({ addresses, groups }: Strip): Promise<string | null> {
    const dropped = await Promise.all(
      addresses.map(async (address) => {
        if (!(await this.#host.platform.addresses.has(address))) return null;
        const ended = await this.#addresses.drop('', [address]);
        return ended.kind === 'failed' ? ended.says : null;
      }),
    );
    for (const group of groups) {
      const config = groupConfig(this.#host.state(), group);
      const named = config === null ? null : await this.#names.giveUp(config);
      // A name without its address leads nobody anywhere: it is said, and does not hold us up.
      if (named?.kind === 'failed') this.#host.log.warn('strip', named.says);
    }
    const left = dropped.filter((says) => says !== null);
    return left.length === 0 ? null : left.join('; ');
  }
}
