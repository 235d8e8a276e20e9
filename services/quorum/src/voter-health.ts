/**
 * Which voters' etcd answers and knows a leader, asked when somebody wants to know, and not more often than every 2 s.
 *
 * Over connections that stay for a while: a handshake takes longer than all else that a command waits for. A voter is
 * asked where it answered last; where that takes long, at its other addresses, too.
 */

import { setTimeout as pause } from 'node:timers/promises';
import { bootMs, type KnownMember } from '@holdfast/wire/directory';
import type { EtcdTls } from './etcd/endpoints.ts';
import { createEtcdMembers, type EtcdMembers, type StatusAnswer } from './etcd/members.ts';

/** What a voter's store said a moment ago. */
export interface VoterStore {
  /** It answers, and knows a leader. */
  readonly isWell: boolean;
  /** What its database takes; null: it did not answer. */
  readonly dbBytes: number | null;
  readonly alarms: readonly string[];
}

/** Of all voters; asked by the shell. */
export type StoreHealth = ReadonlyMap<string, VoterStore>;

const freshMsDefault = 2_000;
const callMs = 300;
const patienceMs = 100;

export class VoterHealth {
  readonly #self: string;
  readonly #freshMs: number;
  #last: { readonly at: number; readonly rows: StoreHealth } = { at: -Infinity, rows: new Map() };
  /** By place. */
  readonly #asked = new Map<string, EtcdMembers>();
  /** Where each voter answered last. */
  readonly #answered = new Map<string, string>();

  constructor(self: string, freshMs = freshMsDefault) {
    this.#self = self;
    this.#freshMs = freshMs;
  }

  async ask(known: readonly KnownMember[], tls: EtcdTls | null): Promise<StoreHealth> {
    if (bootMs() - this.#last.at < this.#freshMs) return this.#last.rows;
    const voters = known.filter((m) => m.voter);
    this.#forget(new Set(voters.flatMap((m) => this.#placesOf(m))));
    const rows = await Promise.all(
      voters.map(async (m): Promise<[string, VoterStore]> => [m.id, await this.#ask(m, tls)]),
    );
    this.#last = { at: bootMs(), rows: new Map(rows) };
    return this.#last.rows;
  }

  close(): void {
    this.#forget(new Set());
  }

  async #ask(voter: KnownMember, tls: EtcdTls | null): Promise<VoterStore> {
    const last = this.#answered.get(voter.id);
    const places = this.#placesOf(voter).sort((a, b) => Number(b === last) - Number(a === last));
    const ask = async (place: string): Promise<StatusAnswer> => {
      const answer = await this.#at(place, tls).status(callMs);
      if (answer.kind === 'ok') this.#answered.set(voter.id, place);
      return answer;
    };
    const asked = places.slice(0, 1).map(ask);
    const soon = await Promise.race([...asked, pause(patienceMs, null, { ref: false })]);
    if (soon?.kind !== 'ok') asked.push(...places.slice(1).map(ask));
    const answers = await Promise.all(asked);
    const said = answers.flatMap((a) => (a.kind === 'ok' ? [a.status] : []));
    return {
      isWell: said.some(({ leader }) => leader !== null),
      dbBytes: said[0]?.dbBytes ?? null,
      alarms: said[0]?.alarms ?? [],
    };
  }

  #placesOf({ id, addresses, ports }: KnownMember): string[] {
    const all = id === this.#self ? ['127.0.0.1'] : addresses;
    return all.map((a) => `${bracketed(a)}:${ports.etcdClient}`);
  }

  #at(place: string, tls: EtcdTls | null): EtcdMembers {
    const known = this.#asked.get(place);
    if (known !== undefined) return known;
    const members = createEtcdMembers({ endpoints: [place], tls, localFirst: false });
    this.#asked.set(place, members);
    return members;
  }

  #forget(kept: ReadonlySet<string>): void {
    for (const [place, members] of this.#asked) {
      if (kept.has(place)) continue;
      members.close();
      this.#asked.delete(place);
    }
  }
}

export function bracketed(address: string): string {
  return address.includes(':') ? `[${address}]` : address;
}
