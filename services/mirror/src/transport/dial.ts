/**
 * The source's way to a target: tries its addresses in order, proves itself, and insists on the member that it means.
 *
 * L1. Every attempt has one deadline over all of its stages; whatever the other side does, `dial` answers.
 * L2. A failure of the last address is the answer, unless an earlier one was answered by somebody: that says more.
 */

import { connect as connectPlain, isIP, type Socket } from 'node:net';
import { connect as connectTls, type TLSSocket } from 'node:tls';
import { errorCode, errorText, parseCertificate, type Peer } from '@holdfast/wire/directory';
import {
  challengeKind,
  checkChallenge,
  decodeWelcome,
  encodeProof,
  encodeTicket,
  encryptedProtocol,
  judge,
  newNonce,
  plainProtocol,
  secureContext,
  sessionKey,
  strangerFrameBytesMax,
  type Welcome,
} from './admission.ts';
import { Assembly } from './assembly.ts';
import { frameBytesMax } from './limits.ts';
import { Line } from './line.ts';
import { nextFrame, SocketWire, tune } from './socket-wire.ts';
import type { Dialed, DialFailure, DialOptions } from './types.ts';

const timeoutDefaultMs = 5_000;

type Failed = Extract<Dialed, { kind: 'failed' }>;

const fail = (
  kind: DialFailure['kind'],
  says: string,
  problem?: NonNullable<DialFailure['problem']>,
): Failed => ({
  kind: 'failed',
  failure: { kind, says, ...(problem !== undefined && { problem }) },
});

/** Connects to the first address at which the member answers. */
export async function dial(options: DialOptions): Promise<Dialed> {
  let last: Failed = fail('unreachable', `${options.member} has no address`);
  let answered: Failed | null = null;
  for (const host of options.hosts) {
    const attempt = new Attempt(options, host);
    const dialed = await attempt.run();
    if (dialed.kind === 'connected' || dialed.failure.kind === 'stopped') return dialed;
    last = dialed;
    // L2.
    if (dialed.failure.kind === 'certificate' || dialed.failure.kind === 'not-admitted') answered ??= dialed;
  }
  return answered ?? last;
}

/** What a stage came to: a failure, or its value. */
type Stage<T> = Failed | { readonly kind: 'ready'; readonly value: T };

class Attempt {
  readonly #options: DialOptions;
  readonly #host: string;
  readonly #where: string;
  readonly #timeoutMs: number;
  /** L1. */
  readonly #deadline = new AbortController();

  constructor(options: DialOptions, host: string) {
    this.#options = options;
    this.#host = host;
    this.#where = `${options.member} at ${isIP(host) === 6 ? `[${host}]` : host}:${String(options.port)}`;
    this.#timeoutMs = options.timeoutMs ?? timeoutDefaultMs;
  }

  async run(): Promise<Dialed> {
    const { signal } = this.#options;
    if (signal?.aborted === true) return fail('stopped', 'asked to stop');
    const stop = (): void => {
      this.#deadline.abort();
    };
    const timer = setTimeout(stop, this.#timeoutMs);
    signal?.addEventListener('abort', stop);
    try {
      return await this.#connect();
    } finally {
      clearTimeout(timer);
      signal?.removeEventListener('abort', stop);
    }
  }

  async #connect(): Promise<Dialed> {
    const secure = await this.#shakeHands();
    if (secure.kind === 'failed') return secure;
    const { socket, peer } = secure.value;
    const assembly = new Assembly(strangerFrameBytesMax);
    const welcome = await this.#welcome(socket, assembly);
    if (welcome.kind === 'failed') {
      socket.destroy();
      return welcome;
    }
    if (welcome.value.kind === 'admitted') return this.#line(socket, peer, true, assembly);
    if (welcome.value.kind === 'refused') {
      socket.destroy();
      return fail('not-admitted', `${this.#where} does not admit this member: ${welcome.value.says}`);
    }
    const { ticket } = welcome.value;
    const key = sessionKey(socket, ticket);
    socket.destroy();
    return this.#prove(key, ticket, peer);
  }

  /** The first half of both ways: TLS, and the certificate that has to be there. */
  async #shakeHands(): Promise<Stage<{ socket: TLSSocket; peer: Peer }>> {
    const { credentials, member, encrypt } = this.#options;
    const authority = parseCertificate(credentials.authority);
    if (authority === null) throw new Error('a member directory is checked before it is used');
    const socket = connectTls({
      host: this.#host,
      port: this.#options.port,
      secureContext: secureContext(credentials),
      ALPNProtocols: [encrypt === 'always' ? encryptedProtocol : plainProtocol],
      // Judged below, by member and never by address.
      rejectUnauthorized: false,
      checkServerIdentity: () => undefined,
    });
    const opened = await this.#opened(socket, 'secureConnect');
    if (opened !== null) return opened;
    const judged = judge(socket, authority, credentials.cluster, member);
    if (judged.kind === 'ok') return { kind: 'ready', value: { socket, peer: judged.value } };
    socket.destroy();
    return fail('certificate', `${this.#where}: ${judged.error.says}`, judged.error);
  }

  /** The second half of `encrypt: never`, see admission.ts. */
  async #prove(key: Buffer, ticket: Buffer, peer: Peer): Promise<Dialed> {
    const socket = connectPlain({ host: this.#host, port: this.#options.port });
    const opened = await this.#opened(socket, 'connect');
    if (opened !== null) return opened;
    const assembly = new Assembly(strangerFrameBytesMax);
    const dialerNonce = newNonce();
    socket.write(encodeTicket(ticket, dialerNonce));
    const answer = await nextFrame(socket, assembly, this.#deadline.signal);
    const exchange =
      answer.kind === 'frame' && answer.frame.kind === challengeKind
        ? checkChallenge(answer.frame.payload, key, ticket, dialerNonce)
        : null;
    if (exchange === null) {
      socket.destroy();
      if (answer.kind === 'stopped') return this.#stopped();
      return fail('not-admitted', `${this.#where} does not prove on the plain connection who it is`);
    }
    socket.write(encodeProof(exchange));
    const welcome = await this.#welcome(socket, assembly);
    if (welcome.kind === 'ready' && welcome.value.kind === 'admitted') {
      return this.#line(socket, peer, false, assembly);
    }
    socket.destroy();
    return welcome.kind === 'failed' ? welcome : fail('not-admitted', `${this.#where} does not admit us`);
  }

  async #welcome(socket: Socket, assembly: Assembly): Promise<Stage<Welcome>> {
    const answer = await nextFrame(socket, assembly, this.#deadline.signal);
    switch (answer.kind) {
      case 'frame': {
        const welcome = decodeWelcome(answer.frame.kind, answer.frame.payload);
        if (welcome !== null) return { kind: 'ready', value: welcome };
        return fail('garbage', `${this.#where} does not answer like a mirror process`);
      }
      case 'garbage':
        return fail('garbage', `${this.#where} answers with ${answer.says}`);
      case 'ended':
        return fail('not-admitted', `${this.#where} hung up on us without a word`);
      case 'stopped':
        return this.#stopped();
    }
  }

  #line(socket: Socket, peer: Peer, encrypted: boolean, assembly: Assembly): Dialed {
    tune(socket);
    assembly.limit = frameBytesMax;
    const wire = new SocketWire(socket, encrypted);
    const line = new Line(wire, peer, encrypted, this.#options, assembly);
    wire.attach(line);
    return { kind: 'connected', connection: line };
  }

  /** Null once the event came. */
  #opened(socket: Socket, event: 'connect' | 'secureConnect'): Promise<Failed | null> {
    const { signal } = this.#deadline;
    return new Promise((fulfil) => {
      const settle = (answer: Failed | null): void => {
        signal.removeEventListener('abort', stopped);
        socket.off(event, ready);
        socket.off('close', closed);
        if (answer !== null) socket.destroy();
        fulfil(answer);
      };
      const ready = (): void => {
        settle(null);
      };
      const stopped = (): void => {
        settle(this.#stopped());
      };
      const closed = (): void => {
        settle(fail('garbage', `${this.#where} closed the connection during the handshake`));
      };
      // Stays: an error that comes later is followed by the end, which somebody hears.
      socket.on('error', (error) => {
        settle(this.#system(error));
      });
      socket.once(event, ready);
      socket.once('close', closed);
      if (signal.aborted) stopped();
      else signal.addEventListener('abort', stopped);
    });
  }

  #stopped(): Failed {
    if (this.#options.signal?.aborted === true) return fail('stopped', 'asked to stop');
    return fail('silent', `${this.#where} did not answer within ${String(this.#timeoutMs)} ms`);
  }

  #system(error: unknown): Failed {
    const code = errorCode(error);
    switch (code) {
      case 'ECONNREFUSED':
        return fail('refused', `nobody listens for mirrors: ${this.#where}`);
      case 'EHOSTUNREACH':
      case 'ENETUNREACH':
      case 'EADDRNOTAVAIL':
        return fail('unreachable', `there is no way to ${this.#where} (${code})`);
      case 'ETIMEDOUT':
        return fail('silent', `${this.#where} does not answer`);
      default:
        if (code === 'ECONNRESET' || code.startsWith('ERR_SSL')) {
          return fail('garbage', `${this.#where} breaks off the handshake: ${errorText(error)}`);
        }
        return fail('failed', `can't connect to ${this.#where}: ${errorText(error)}`);
    }
  }
}
