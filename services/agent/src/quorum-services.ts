/**
 * The quorum services as this agent asks them, nearest first: the one on this host when it votes, then the other
 * voters. Renewals are hedged; the watch has a connection of its own, to one service at a time, so that it is known
 * whose news we live by, and a silent one can be left for the next.
 */

import type { AgentState, MemberId } from '@holdfast/core';
import { agents } from '@holdfast/proto';
import type { WireCredentials } from '@holdfast/wire/directory';
import { RpcPool, type Answer, type PoolMember } from '@holdfast/wire/rpc';
import { isIPv4 } from 'node:net';
import type { AddressBook } from './address-book.ts';

const { renew, watch, report } = agents.AgentsService;
const watchOpenMs = 3_000;

export class QuorumServices {
  readonly #self: MemberId;
  readonly #book: AddressBook;
  readonly #asked: RpcPool;
  readonly #watched: RpcPool;
  #members: readonly PoolMember[] = [];
  /** How many watches were left: the next begins that much further down the list. */
  #turns = 0;

  constructor(self: MemberId, credentials: WireCredentials, book: AddressBook) {
    const trust = { kind: 'member', credentials } as const;
    this.#self = self;
    this.#book = book;
    this.#asked = new RpcPool(trust, []);
    this.#watched = new RpcPool(trust, []);
  }

  /** To be called when members or their addresses may have changed. Connections to unchanged members stay. */
  locate(state: Pick<AgentState, 'vantage'>): void {
    const members = this.#order(state);
    if (JSON.stringify(members) === JSON.stringify(this.#members)) return;
    this.#members = members;
    this.#asked.update(members);
    this.#watched.update(this.#toWatch());
  }

  /** Hedged: the next service is asked as well after a quarter of the time. */
  renew(request: agents.RenewRequest, deadlineMs: number): Promise<Answer<agents.RenewReply>> {
    return this.#asked.call(renew, request, { deadlineMs, hedgeMs: Math.max(20, deadlineMs / 4) });
  }

  report(request: agents.ReportRequest, deadlineMs: number): Promise<Answer<agents.ReportReply>> {
    return this.#asked.call(report, request, { deadlineMs, hedgeMs: deadlineMs / 2 });
  }

  watch(signal: AbortSignal): AsyncIterableIterator<Answer<agents.WatchReply>, undefined> {
    return this.#watched.stream(watch, { member: this.#self }, { signal, openMs: watchOpenMs });
  }

  /** The service that was watched broke or fell silent: the next watch is with another. */
  turn(): void {
    this.#turns += 1;
    this.#watched.update(this.#toWatch());
  }

  /** The next watch is with the nearest service again. */
  home(): void {
    this.#turns = 0;
    this.#watched.update(this.#toWatch());
  }

  /** Whose service is watched, or would be next; null while none is known. */
  get watched(): MemberId | null {
    return this.#toWatch()[0]?.id ?? null;
  }

  get isHome(): boolean {
    return this.watched === (this.#members[0]?.id ?? null);
  }

  close(): void {
    this.#asked.close();
    this.#watched.close();
  }

  /** None or one. */
  #toWatch(): readonly PoolMember[] {
    return this.#members.slice(this.#turns % Math.max(1, this.#members.length)).slice(0, 1);
  }

  #order(state: Pick<AgentState, 'vantage'>): readonly PoolMember[] {
    const voters = this.#book.known.filter((m) => m.voter);
    const own = voters.filter((m) => m.id === this.#self);
    const others = voters.filter((m) => m.id !== this.#self);
    return [
      ...own.map(({ id, addresses, ports }) => ({
        id,
        addresses: nearby(addresses),
        port: ports.grpc,
        here: true,
      })),
      ...others
        .map(({ id, ports }) => ({
          id,
          addresses: this.#book.addressesOf(id, state.vantage),
          port: ports.grpc,
        }))
        .filter((m) => m.addresses.length > 0),
    ];
  }
}

/** The own service by the loopback first: it is there whatever became of our addresses. */
function nearby(addresses: readonly string[]): readonly string[] {
  const loopback = addresses.some((a) => a.startsWith('127.') || a === '::1');
  if (loopback) return addresses;
  return [addresses.every((a) => !isIPv4(a)) ? '::1' : '127.0.0.1', ...addresses];
}
