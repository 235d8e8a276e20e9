/**
 * A gRPC stream as async iteration. Written by hand: `for await` over a grpc-js stream throws on errors, and an async
 * generator can't be stopped while it waits for the next value.
 *
 * M1. `next` never rejects: an error is the last item. M2. `return` (leaving the loop) cancels the call at once.
 * M3. At most `bufferMax` values wait here; then the call is paused and the sender feels it.
 */
import type { ClientReadableStream, ServiceError } from '@grpc/grpc-js';
import { errorText, failed, ok } from './outcome.ts';
import { failure, type Answer, type WireError } from './wire-error.ts';

export interface Reception<Reply> {
  readonly open: () => ClientReadableStream<Reply>;
  readonly explain: (error: ServiceError) => WireError;
  readonly name: string;
  readonly openMs: number;
  readonly signal?: AbortSignal;
}

type Item<Reply> = IteratorResult<Answer<Reply>, undefined>;

const bufferMax = 64;
const end = { done: true, value: undefined } as const;

class Receiver<Reply> implements AsyncIterableIterator<Answer<Reply>, undefined> {
  readonly #reception: Reception<Reply>;
  readonly #buffer: Answer<Reply>[] = [];
  #waiting: ((item: Item<Reply>) => void)[] = [];
  #call: ClientReadableStream<Reply> | null = null;
  #finished = false;
  #unhook: () => void = () => undefined;

  constructor(reception: Reception<Reply>) {
    this.#reception = reception;
    this.#start();
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  next(): Promise<Item<Reply>> {
    const buffered = this.#buffer.shift();
    if (buffered !== undefined) {
      if (this.#buffer.length < bufferMax / 2) this.#call?.resume();
      return Promise.resolve({ done: false, value: buffered });
    }
    if (this.#finished) return Promise.resolve(end);
    return new Promise((fulfil) => {
      this.#waiting.push(fulfil);
    });
  }

  /** M2. */
  return(): Promise<Item<Reply>> {
    this.#buffer.length = 0;
    this.#finish(null);
    return Promise.resolve(end);
  }

  #start(): void {
    const { open, openMs, name, signal, explain } = this.#reception;
    if (signal?.aborted === true) {
      this.#finish({ kind: 'cancelled', message: 'the call was cancelled' });
      return;
    }
    let call: ClientReadableStream<Reply>;
    try {
      call = open();
    } catch (error) {
      this.#finish({ kind: 'invalid', message: `the request can't be sent: ${errorText(error)}` });
      return;
    }
    this.#call = call;
    const late = setTimeout(() => {
      this.#finish({ kind: 'deadline', message: `no answer from ${name} within ${openMs} ms` });
    }, openMs);
    const stop = (): void => {
      this.#finish({ kind: 'cancelled', message: 'the call was cancelled' });
    };
    signal?.addEventListener('abort', stop, { once: true });
    this.#unhook = (): void => {
      clearTimeout(late);
      signal?.removeEventListener('abort', stop);
    };
    // The status may come before the last values were read, or after.
    let ended = false;
    let outcome: { readonly error: WireError | null } | null = null;
    const over = (found: { readonly error: WireError | null }): void => {
      outcome ??= found;
      if (ended) this.#finish(outcome.error);
    };
    call.once('metadata', () => {
      clearTimeout(late);
    });
    call.on('data', (value: Reply) => {
      clearTimeout(late);
      this.#deliver(ok(value));
    });
    // Stays for good: grpc-js reports our own cancel as an error too.
    call.on('error', (error: ServiceError) => {
      over({ error: explain(error) });
    });
    call.once('status', () => {
      over({ error: null });
    });
    call.once('end', () => {
      ended = true;
      if (outcome !== null) this.#finish(outcome.error);
    });
  }

  #deliver(answer: Answer<Reply>): void {
    if (this.#finished) return;
    const waiting = this.#waiting.shift();
    if (waiting !== undefined) {
      waiting({ done: false, value: answer });
      return;
    }
    this.#buffer.push(answer);
    if (this.#buffer.length >= bufferMax) this.#call?.pause();
  }

  #finish(error: WireError | null): void {
    if (this.#finished) return;
    if (error !== null) this.#deliver(failed(error));
    this.#finished = true;
    this.#unhook();
    for (const waiting of this.#waiting) waiting(end);
    this.#waiting = [];
    this.#call?.cancel();
    this.#call?.resume();
  }
}

export function receive<Reply>(reception: Reception<Reply>): AsyncIterableIterator<Answer<Reply>, undefined> {
  return new Receiver(reception);
}

/** A stream that is over before it began. */
export function nothing<Reply>(message: string): AsyncIterableIterator<Answer<Reply>, undefined> {
  const items: Answer<Reply>[] = [failure('unreachable', message)];
  const iterator = {
    [Symbol.asyncIterator]: () => iterator,
    next: (): Promise<Item<Reply>> => {
      const value = items.shift();
      return Promise.resolve(value === undefined ? end : { done: false, value });
    },
  };
  return iterator;
}
