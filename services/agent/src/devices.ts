/**
 * The interface that an address belongs on: the configured one, or the one that already has an address of that network.
 * A `replace` group takes a server's only address of a network away, and then nothing tells any more where it was; so
 * what was found is remembered, on disk too.
 */

import * as z from 'zod';
import { DurableRecord, readRecord, statePath } from './durable-record.ts';
import type { Addresses } from './platform/platform.ts';

const schema = z.record(z.string(), z.string());

export class Devices {
  readonly #addresses: Addresses;
  readonly #file: DurableRecord;
  readonly #found: Map<string, string>;

  constructor(addresses: Addresses, directory: string, found: ReadonlyMap<string, string>) {
    this.#addresses = addresses;
    this.#file = new DurableRecord(statePath(directory, 'devices'));
    this.#found = new Map(found);
  }

  /** Null when nobody knows. */
  async of(address: string, configured: string | null): Promise<string | null> {
    if (configured !== null) return configured;
    const now = await this.#addresses.interfaceFor(address);
    if (now === null) return this.#found.get(address) ?? null;
    if (this.#found.get(address) !== now) {
      this.#found.set(address, now);
      // Only for a later life of this agent: nothing waits for it.
      void this.#file.set(Object.fromEntries(this.#found));
    }
    return now;
  }

  close(): Promise<void> {
    return this.#file.close();
  }
}

export async function openDevices(addresses: Addresses, directory: string): Promise<Devices> {
  const read = await readRecord(statePath(directory, 'devices'), schema);
  return new Devices(addresses, directory, new Map(Object.entries(read.kind === 'ok' ? read.value : {})));
}
