/**
 * Several members that can answer the same question; the nearest first.
 *
 * P1. One call in flight at first. The next member is asked when the one before gave no definite answer (isDefinite)
 *     or has been silent for `hedgeMs`. The first definite answer wins and the other calls are cancelled.
 * P2. Everything happens within the one deadline. P3. So a request may be carried out more than once: only send what
 *     can be (reads, and compare-and-swap whose caller recognises its own value).
 * P4. The member that answered last is asked first; after `nearestAgainMs` the nearest gets another chance.
 */
import {
  RpcClient,
  type CallOptions,
  type StreamMethod,
  type StreamOptions,
  type Trust,
  type UnaryMethod,
} from './rpc-client.ts';
import { nothing } from './rpc-stream.ts';
import { failure, isDefinite, type Answer } from './wire-error.ts';

export interface PoolMember {
  readonly id: string;
  readonly addresses: readonly string[];
  readonly port: number;
  /** It is on this host. */
  readonly here?: boolean;
}

export interface PoolCallOptions extends CallOptions {
  readonly deadlineMs: number;
  /** How long to wait for one member before the next is asked as well. */
  readonly hedgeMs: number;
}

/** A member and the connection to it, which is made when it is first asked: most pools ask one member. */
class Entry {
  readonly member: PoolMember;
  readonly #trust: Trust;
  #client: RpcClient | null = null;
  #closed = false;

  constructor(trust: Trust, member: PoolMember) {
    this.#trust = trust;
    this.member = member;
  }

  get client(): RpcClient {
    if (this.#client !== null) return this.#client;
    const { addresses, port, id, here = false } = this.member;
    const client = new RpcClient({ trust: this.#trust, addresses, port, member: id, here });
    // Whoever still asks hears it from the connection.
    if (this.#closed) client.close();
    this.#client = client;
    return client;
  }

  close(): void {
    this.#closed = true;
    this.#client?.close();
  }
}

const nearestAgainMs = 10_000;

export class RpcPool {
  readonly #trust: Trust;
  #entries: readonly Entry[] = [];
  #preferred: { readonly id: string; readonly sinceMs: number } | null = null;

  constructor(trust: Trust, members: readonly PoolMember[]) {
    this.#trust = trust;
    this.update(members);
  }

  /** The members in order, nearest first. Connections to unchanged members are kept. */
  update(members: readonly PoolMember[]): void {
    const before = this.#entries;
    this.#entries = members.map(
      (member) => before.find((entry) => sameMember(entry.member, member)) ?? new Entry(this.#trust, member),
    );
    for (const entry of before) if (!this.#entries.includes(entry)) entry.close();
  }

  get members(): readonly PoolMember[] {
    return this.#entries.map((entry) => entry.member);
  }

  /** The connection to one of them alone. It is the pool's to close. */
  client(id: string): RpcClient | null {
    return this.#entries.find((entry) => entry.member.id === id)?.client ?? null;
  }

  /** Who answered last, if it was not the nearest. */
  get preferred(): string | null {
    return this.#preferred?.id ?? null;
  }

  call<Request, Reply>(
    method: UnaryMethod<Request, Reply>,
    request: Request,
    options: PoolCallOptions,
  ): Promise<Answer<Reply>> {
    const entries = this.#order();
    if (entries.length === 0) return Promise.resolve(failure('unreachable', 'no member to ask is known'));
    const endMs = performance.now() + options.deadlineMs;
    return race(
      entries,
      options,
      (entry, signal) => {
        // P2: to make it takes a moment, too.
        const { client } = entry;
        const leftMs = Math.max(1, endMs - performance.now());
        return client.call(method, request, leftMs, { signal });
      },
      (entry) => {
        this.#answered(entry);
      },
    );
  }

  /** A stream from the member that answered last. When it breaks, the next `stream` begins with another member. */
  stream<Request, Reply>(
    method: StreamMethod<Request, Reply>,
    request: Request,
    options: StreamOptions = {},
  ): AsyncIterableIterator<Answer<Reply>, undefined> {
    const entry = this.#order()[0];
    if (entry === undefined) return nothing('no member to ask is known');
    const inner = entry.client.stream<Request, Reply>(method, request, options);
    const watched: AsyncIterableIterator<Answer<Reply>, undefined> = {
      [Symbol.asyncIterator]: () => watched,
      next: async () => {
        const item = await inner.next();
        if (item.done !== true && item.value.kind === 'error' && !isDefinite(item.value)) this.#broke(entry);
        return item;
      },
      return: async () => (await inner.return?.()) ?? { done: true, value: undefined },
    };
    return watched;
  }

  close(): void {
    for (const entry of this.#entries) entry.close();
    this.#entries = [];
  }

  /** P4. */
  #order(): readonly Entry[] {
    const preferred = this.#preferred;
    if (preferred === null || performance.now() - preferred.sinceMs > nearestAgainMs) return this.#entries;
    const first = this.#entries.filter((entry) => entry.member.id === preferred.id);
    return [...first, ...this.#entries.filter((entry) => entry.member.id !== preferred.id)];
  }

  #answered(entry: Entry): void {
    const { id } = entry.member;
    if (this.#entries[0]?.member.id === id) this.#preferred = null;
    else if (this.#preferred?.id !== id || performance.now() - this.#preferred.sinceMs > nearestAgainMs) {
      this.#preferred = { id, sinceMs: performance.now() };
    }
  }

  #broke(entry: Entry): void {
    const at = this.#entries.indexOf(entry);
    const next = this.#entries[(at + 1) % Math.max(1, this.#entries.length)];
    if (next !== undefined) this.#preferred = { id: next.member.id, sinceMs: performance.now() };
  }
}

function sameMember(one: PoolMember, other: PoolMember): boolean {
  return one.id === other.id && one.port === other.port && one.addresses.join() === other.addresses.join();
}

/** P1. Resolves when the last of the calls failed, or the first definite answer came. */
function race<Reply>(
  entries: readonly Entry[],
  options: PoolCallOptions,
  ask: (entry: Entry, signal: AbortSignal) => Promise<Answer<Reply>>,
  won: (entry: Entry) => void,
): Promise<Answer<Reply>> {
  return new Promise((fulfil) => {
    const stop = new AbortController();
    const says: string[] = [];
    const cancel = (): void => {
      settle(failure('cancelled', 'the call was cancelled'));
    };
    let asked = 0;
    let pending = 0;
    let settled = false;
    let hedge: NodeJS.Timeout | undefined;
    const settle = (answer: Answer<Reply>): void => {
      if (settled) return;
      settled = true;
      clearTimeout(hedge);
      options.signal?.removeEventListener('abort', cancel);
      stop.abort();
      fulfil(answer);
    };
    const askNext = (): void => {
      clearTimeout(hedge);
      const entry = entries[asked];
      if (entry === undefined || settled) return;
      asked += 1;
      pending += 1;
      if (asked < entries.length) hedge = setTimeout(askNext, options.hedgeMs);
      void ask(entry, stop.signal).then((answer) => {
        heard(entry, answer);
      });
    };
    const heard = (entry: Entry, answer: Answer<Reply>): void => {
      pending -= 1;
      if (settled) return;
      if (isDefinite(answer)) {
        won(entry);
        settle(answer);
        return;
      }
      if (answer.kind === 'error') says.push(answer.error.message);
      if (asked < entries.length) askNext();
      else if (pending === 0) settle(entries.length === 1 ? answer : combined(answer, says));
    };
    options.signal?.addEventListener('abort', cancel, { once: true });
    if (options.signal?.aborted === true) cancel();
    askNext();
  });
}

/** The last failure's kind, with what every member said. */
function combined<Reply>(last: Answer<Reply>, says: readonly string[]): Answer<Reply> {
  if (last.kind === 'ok') return last;
  return { kind: 'error', error: { ...last.error, message: says.join('; ') } };
}
