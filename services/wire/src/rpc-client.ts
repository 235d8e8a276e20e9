/**
 * One connection to one member, by all its addresses in order.
 *
 * R1. A call never rejects and never outlives its deadline, which runs on the monotonic clock.
 * R2. A call that failed is not sent again here: the caller knows whether it may be done twice.
 * R3. A connection attempt that hangs (the host is off, so that TCP retries ever more slowly) is thrown away and begun
 *     anew, so that a member that returns is found again within seconds.
 */
import { Client, connectivityState, type MethodDefinition, type ServiceError } from '@grpc/grpc-js';
import type { Peer } from './certificate.ts';
import { errorText, ok } from './outcome.ts';
import { PeerCredentials, type Trust } from './rpc-credentials.ts';
import { keepaliveHereMs, keepaliveMs, messageBytesMax, unusedMs } from './rpc-limits.ts';
import { addressTarget } from './rpc-resolver.ts';
import { fromStatus } from './rpc-status.ts';
import { receive } from './rpc-stream.ts';
import { failed } from './outcome.ts';
import { failure, type Answer, type WireError } from './wire-error.ts';

export type { AuthorityPin, Trust } from './rpc-credentials.ts';

export interface ConnectOptions {
  readonly trust: Trust;
  /** Literal addresses (or `localhost`), tried in this order. */
  readonly addresses: readonly string[];
  readonly port: number;
  /** The member that has to answer; without it, any member of the cluster will do. */
  readonly member?: string;
  /** It is a process of this host. */
  readonly here?: boolean;
}

export type Method<Request, Reply> = Pick<
  MethodDefinition<Request, Reply>,
  'path' | 'requestSerialize' | 'responseDeserialize'
>;
export type UnaryMethod<Request, Reply> = Method<Request, Reply> & { readonly responseStream: false };
export type StreamMethod<Request, Reply> = Method<Request, Reply> & { readonly responseStream: true };

export interface CallOptions {
  /** Stops waiting; the other end is told. */
  readonly signal?: AbortSignal;
}

export interface StreamOptions extends CallOptions {
  /** How long until the other end has to have taken the call. Default 5000. */
  readonly openMs?: number;
}

/** Timers of Node end here; a control call that may take days is a mistake. */
const deadlineMsMax = 24 * 60 * 60 * 1000;
const stuckMs = 2000;
const openMsDefault = 5000;
const clientOptions = {
  'grpc.keepalive_timeout_ms': keepaliveMs,
  'grpc.keepalive_permit_without_calls': 1,
  'grpc.client_idle_timeout_ms': unusedMs,
  'grpc.initial_reconnect_backoff_ms': 100,
  'grpc.max_reconnect_backoff_ms': 500,
  'grpc.use_local_subchannel_pool': 1,
  'grpc.max_receive_message_length': messageBytesMax,
  'grpc.max_send_message_length': messageBytesMax,
  // R2; and neither a proxy nor a name server of the host's environment may come between members.
  'grpc.enable_retries': 0,
  'grpc.enable_http_proxy': 0,
  'grpc.service_config_disable_resolution': 1,
  'grpc.enable_channelz': 0,
};

export class RpcClient {
  readonly #options: ConnectOptions;
  readonly #credentials: PeerCredentials;
  readonly #name: string;
  #client: Client;
  /** When the channel was made, or last seen connected. Monotonic. */
  #aliveMs = performance.now();
  #closed = false;

  constructor(options: ConnectOptions) {
    this.#options = options;
    this.#credentials = new PeerCredentials(options.trust, options.member);
    const where = options.addresses.map((address) => `${address} port ${options.port}`).join(', ');
    this.#name = options.member === undefined ? where : `${options.member} (${where})`;
    this.#client = this.#open();
  }

  /** Who answered last; null before the first good handshake. */
  get peer(): Peer | null {
    return this.#credentials.peer;
  }

  /** PEM of the authority that vouched for the peer; with a pin, the one that has the pinned fingerprint. */
  get authority(): string | null {
    return this.#credentials.authority;
  }

  get connected(): boolean {
    return !this.#closed && this.#client.getChannel().getConnectivityState(false) === connectivityState.READY;
  }

  /** R1. `deadlineMs`: from now, in milliseconds, above 0 and at most a day. */
  call<Request, Reply>(
    method: UnaryMethod<Request, Reply>,
    request: Request,
    deadlineMs: number,
    options: CallOptions = {},
  ): Promise<Answer<Reply>> {
    const { signal } = options;
    if (!(deadlineMs > 0 && deadlineMs <= deadlineMsMax)) throw new Error(`no deadline: ${deadlineMs} ms`);
    if (this.#closed) return Promise.resolve(failure('cancelled', 'the connection was closed'));
    if (signal?.aborted === true) return Promise.resolve(failure('cancelled', 'the call was cancelled'));
    this.#watch();
    return new Promise((fulfil) => {
      const settle = (answer: Answer<Reply>): void => {
        clearTimeout(late);
        signal?.removeEventListener('abort', stop);
        this.#watch();
        fulfil(answer);
      };
      const late = setTimeout(() => {
        settle(failure('deadline', `no answer from ${this.#name} within ${Math.round(deadlineMs)} ms`));
        call?.cancel();
      }, deadlineMs);
      const stop = (): void => {
        settle(failure('cancelled', 'the call was cancelled'));
        call?.cancel();
      };
      signal?.addEventListener('abort', stop, { once: true });
      const call = this.#send(method, request, deadlineMs, settle);
    });
  }

  #send<Request, Reply>(
    method: UnaryMethod<Request, Reply>,
    request: Request,
    deadlineMs: number,
    settle: (answer: Answer<Reply>) => void,
  ): { cancel(): void } | null {
    try {
      return this.#client.makeUnaryRequest(
        method.path,
        method.requestSerialize,
        method.responseDeserialize,
        request,
        // The other end drops the call a little later than we do; our own timer is the one that counts (R1).
        { deadline: Date.now() + deadlineMs + 100 },
        (error, reply) => {
          if (error !== null) settle(failed(this.#explain(error)));
          else if (reply === undefined) settle(failure('internal', `${this.#name} answered nothing`));
          else settle(ok(reply));
        },
      );
    } catch (error) {
      settle(failure('invalid', `the request can't be written: ${errorText(error)}`));
      return null;
    }
  }

  /**
   * A stream of answers: values, then, unless the other end finished it, one error. Leaving the loop cancels the call.
   * Never throws; a peer that freezes is noticed by keepalive after 4 s.
   */
  stream<Request, Reply>(
    method: StreamMethod<Request, Reply>,
    request: Request,
    options: StreamOptions = {},
  ): AsyncIterableIterator<Answer<Reply>, undefined> {
    if (!this.#closed) this.#watch();
    return receive<Reply>({
      open: () => {
        if (this.#closed) throw new Error('the connection was closed');
        return this.#client.makeServerStreamRequest(
          method.path,
          method.requestSerialize,
          method.responseDeserialize,
          request,
        );
      },
      explain: (error) => {
        this.#watch();
        return this.#explain(error);
      },
      name: this.#name,
      openMs: options.openMs ?? openMsDefault,
      ...(options.signal !== undefined && { signal: options.signal }),
    });
  }

  close(): void {
    this.#closed = true;
    this.#client.close();
  }

  #open(): Client {
    const { addresses, port, here } = this.#options;
    return new Client(addressTarget(addresses, port), this.#credentials, {
      ...clientOptions,
      'grpc.keepalive_time_ms': here === true ? keepaliveHereMs : keepaliveMs,
    });
  }

  /** R3. */
  #watch(): void {
    if (this.#closed) return;
    const state = this.#client.getChannel().getConnectivityState(false);
    const nowMs = performance.now();
    if (state === connectivityState.READY || state === connectivityState.IDLE) {
      this.#aliveMs = nowMs;
    } else if (nowMs - this.#aliveMs > stuckMs) {
      const stuck = this.#client;
      this.#client = this.#open();
      this.#aliveMs = nowMs;
      stuck.close();
    }
  }

  #explain(error: ServiceError): WireError {
    const explained = fromStatus(error, this.#name);
    const { problem } = this.#credentials;
    // An old verdict does not explain a later silence.
    if (explained.kind !== 'unreachable' || problem === null || !explained.message.includes(problem.says)) {
      return explained;
    }
    return { kind: 'certificate', problem: problem.kind, message: `${this.#name}: ${problem.says}` };
  }
}

/** Connects at the first call; making a client touches nothing. */
export function connectRpc(options: ConnectOptions): RpcClient {
  return new RpcClient(options);
}
