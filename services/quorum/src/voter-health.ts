/** Which voters' etcd answers and knows a leader, asked when somebody wants to know, and not more often than every 2 s. */

import { bootMs, type KnownMember } from '@holdfast/wire/directory';
import type { EtcdTls } from './etcd/endpoints.ts';
import { statusOf } from './etcd/members.ts';
import type { StoreHealth } from './status.ts';

const freshMs = 2_000;
const callMs = 300;

export class VoterHealth {
  readonly #self: string;
  #last: { readonly at: number; readonly rows: StoreHealth } = { at: -Infinity, rows: new Map() };

  constructor(self: string) {
    this.#self = self;
  }

  async ask(known: readonly KnownMember[], tls: EtcdTls | null): Promise<StoreHealth> {
    if (bootMs() - this.#last.at < freshMs) return this.#last.rows;
    const rows = await Promise.all(
      known
        .filter((m) => m.voter)
        .map(async (m): Promise<[string, boolean]> => {
          const addresses = m.id === this.#self ? ['127.0.0.1'] : m.addresses;
          const answers = await Promise.all(
            addresses.map((a) => statusOf(`${bracketed(a)}:${m.ports.etcdClient}`, tls, callMs)),
          );
          return [m.id, answers.some((a) => a.kind === 'ok' && a.status.leader !== null)];
        }),
    );
    this.#last = { at: bootMs(), rows: new Map(rows) };
    return this.#last.rows;
  }
}

export function bracketed(address: string): string {
  return address.includes(':') ? `[${address}]` : address;
}
