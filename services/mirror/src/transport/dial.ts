/**
 * The source's way to a target: tries its addresses in order, proves itself, and insists on the member that it means.
 *
 * L1. Every attempt has one deadline over all of its stages; whatever the other side does, `dial` answers.
 * L2. A failure of the last address is the answer, unless an earlier one was answered by somebody: that says more.
 */

import { connect as connectPlain, isIP, type Socket } from 'node:net';
import { errorCode, errorText, parseCertificate, type Peer } from '@holdfast/wire/directory';
import {
  challengeKind,
  checkChallenge,
  decodeWelcome,
  encodeProof,
  encodeTicket,
  judge,
  newNonce,
  sessionKey,
  strangerFrameBytesMax,
  type Welcome,
} from './admission.ts';
import { Assembly } from './assembly.ts';
import { frameBytesMax } from './limits.ts';
import { Line } from './line.ts';
import { encryptedProtocol, plainProtocol } from './protocols.ts';
import { SecureContext } from './secure-context.ts';
import { SecureSession } from './secure-session.ts';
import { SecureWire } from './secure-wire.ts';
import { nextFrame, SocketWire, tune, type Awaited } from './socket-wire.ts';
import type { Dialed, DialFailure, DialOptions } from './types.ts';
import type { AttachableWire } from './wire.ts';

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
    const socket = connectPlain({ host: this.#host, port: this.#options.port });
    const opened = await this.#opened(socket);
    if (opened !== null) return opened;
    const secure = await this.#shakeHands(socket);
    if (secure.kind === 'failed') {
      socket.destroy();
      return secure;
    }
    const { wire, peer } = secure.value;
    const assembly = new Assembly(strangerFrameBytesMax);
    const welcome = this.#welcome(await wire.nextFrame(assembly, this.#deadline.signal));
    if (welcome.kind === 'failed') {
      socket.destroy();
      return welcome;
    }
    const said = welcome.value;
    switch (said.kind) {
      case 'admitted':
        return this.#line(socket, wire, peer, true, assembly);
      case 'ticket': {
        const key = sessionKey(wire.session, said.ticket);
        socket.destroy();
        return this.#prove(key, said.ticket, peer);
      }
      case 'refused':
        socket.destroy();
        return fail('not-admitted', `${this.#where} does not admit this member: ${said.says}`);
    }
  }

  /** The first half of both ways: TLS, and the certificate that has to be there. */
  async #shakeHands(socket: Socket): Promise<Stage<{ wire: SecureWire; peer: Peer }>> {
    const { credentials, member, encrypt } = this.#options;
    const authority = parseCertificate(credentials.authority);
    if (authority === null) throw new Error('a member directory is checked before it is used');
    const context = SecureContext.dialing(credentials);
    const protocol = encrypt === 'always' ? encryptedProtocol : plainProtocol;
    const wire = new SecureWire(socket, SecureSession.connecting(context, protocol));
    context.free();
    const says = await this.#shaken(wire);
    if (says !== null) return says;
    const judged = judge(wire.session.certificate(), authority, credentials.cluster, member);
    if (judged.kind === 'ok') return { kind: 'ready', value: { wire, peer: judged.value } };
    return fail('certificate', `${this.#where}: ${judged.error.says}`, judged.error);
  }

  /** The second half of `encrypt: never`, see admission.ts. */
  async #prove(key: Buffer, ticket: Buffer, peer: Peer): Promise<Dialed> {
    const socket = connectPlain({ host: this.#host, port: this.#options.port });
    const opened = await this.#opened(socket);
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
    const welcome = this.#welcome(await nextFrame(socket, assembly, this.#deadline.signal));
    if (welcome.kind === 'ready' && welcome.value.kind === 'admitted') {
      return this.#line(socket, new SocketWire(socket), peer, false, assembly);
    }
    socket.destroy();
    return welcome.kind === 'failed' ? welcome : fail('not-admitted', `${this.#where} does not admit us`);
  }

  #welcome(answer: Awaited): Stage<Welcome> {
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

  #line(socket: Socket, wire: AttachableWire, peer: Peer, encrypted: boolean, assembly: Assembly): Dialed {
    tune(socket);
    assembly.limit = frameBytesMax;
    const line = new Line(wire, peer, encrypted, this.#options, assembly);
    wire.attach(line);
    return { kind: 'connected', connection: line };
  }

  /** Null once the socket is connected. */
  #opened(socket: Socket): Promise<Failed | null> {
    const { signal } = this.#deadline;
    return new Promise((fulfil) => {
      const settle = (answer: Failed | null): void => {
        signal.removeEventListener('abort', stopped);
        socket.off('connect', ready);
        if (answer === null) socket.pause();
        else socket.destroy();
        fulfil(answer);
      };
      const ready = (): void => settle(null);
      const stopped = (): void => settle(this.#stopped());
      // Stays: an error that comes later is followed by the end, which somebody hears.
      socket.on('error', (error) => settle(this.#system(error)));
      socket.once('connect', ready);
      if (signal.aborted) stopped();
      else signal.addEventListener('abort', stopped);
    });
  }

  /** Null once both sides have proved what they can. */
  #shaken(wire: SecureWire): Promise<Failed | null> {
    const { signal } = this.#deadline;
    return new Promise((fulfil) => {
      const settle = (answer: Failed | null): void => {
        signal.removeEventListener('abort', stopped);
        if (answer === null) wire.pause();
        fulfil(answer);
      };
      const stopped = (): void => settle(this.#stopped());
      signal.addEventListener('abort', stopped);
      wire.shakeHands(
        () => settle(null),
        ({ kind, says }) =>
          settle(
            fail(
              'garbage',
              kind === 'finished'
                ? `${this.#where} closed the connection during the handshake`
                : `${this.#where} breaks off the handshake: ${says}`,
            ),
          ),
      );
      if (signal.aborted) stopped();
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
        return fail('failed', `can't connect to ${this.#where}: ${errorText(error)}`);
    }
  }
}
