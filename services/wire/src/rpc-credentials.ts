/**
 * The client's end of a TLS connection: our own secure connector for grpc-js, so that certificate.ts judges the server
 * as it judges clients, by member name and never by address.
 *
 * T1. A connection is used only after the server's certificate was judged. T2. A handshake has a deadline: a frozen peer
 * still accepts TCP. T3. The last verdict is kept, so that a failed call can say which certificate problem it was.
 * T4. OpenSSL reads keys and certificates once for all who share a Trust: it takes milliseconds. T5. Only servers and
 * witnesses listen: an operator or viewer that answers is on somebody's way, whatever it is named.
 */
import { CallCredentials, ChannelCredentials, type experimental } from '@grpc/grpc-js';
import { timingSafeEqual, X509Certificate } from 'node:crypto';
import type { Socket } from 'node:net';
import { connect, createSecureContext, type SecureContext, type TLSSocket } from 'node:tls';
import {
  fingerprint,
  parseCertificate,
  verifyCertificate,
  type Certificate,
  type CertificateProblem,
  type Peer,
  type WireCredentials,
} from './certificate.ts';
import { isHost } from './names.ts';
import { failed, ok, type Outcome } from './outcome.ts';

/** What a join token proves the cluster by. */
export interface AuthorityPin {
  readonly cluster: string;
  /** SHA-256 of the authority's certificate. */
  readonly authority: Buffer;
}

export type Trust =
  | { readonly kind: 'member'; readonly credentials: WireCredentials }
  | { readonly kind: 'pin'; readonly pin: AuthorityPin };

const handshakeMs = 3000;
const chainLengthMax = 4;

interface Judgement {
  readonly certificate: Certificate;
  readonly authority: X509Certificate;
}

/** What is known about the server at the other end. */
export class PeerCredentials extends ChannelCredentials {
  /** T3: set by a refused handshake, cleared by a good one. */
  problem: CertificateProblem | null = null;
  /** Who answered in the last good handshake. */
  peer: Peer | null = null;
  /** The authority behind it, PEM. */
  authority: string | null = null;
  readonly #trust: Trust;
  readonly #expected: string | undefined;
  readonly #context: SecureContext;

  constructor(trust: Trust, expected?: string) {
    super();
    this.#trust = trust;
    this.#expected = expected;
    this.#context = contextOf(trust);
  }

  override _isSecure(): boolean {
    return true;
  }

  override _equals(other: ChannelCredentials): boolean {
    return this === other;
  }

  override _createSecureConnector(): experimental.SecureConnector {
    const shakingHands = new Set<Socket>();
    return {
      connect: (socket) => this.#connect(socket, shakingHands),
      waitForReady: () => Promise.resolve(),
      getCallCredentials: () => CallCredentials.createEmpty(),
      destroy: () => {
        for (const socket of shakingHands) socket.destroy();
      },
    };
  }

  #connect(socket: Socket, shakingHands: Set<Socket>): Promise<experimental.SecureConnectResult> {
    return new Promise((fulfil, reject) => {
      const tls = connect({
        socket,
        secureContext: this.#context,
        ALPNProtocols: ['h2'],
        // T1: judged below, by name. OpenSSL would want a host name and its own list of authorities.
        rejectUnauthorized: false,
        checkServerIdentity: () => undefined,
      });
      shakingHands.add(tls);
      const settle = (): void => {
        clearTimeout(late);
        shakingHands.delete(tls);
        tls.off('close', closed);
      };
      const refuse = (error: Error): void => {
        settle();
        tls.destroy();
        reject(error);
      };
      const closed = (): void => {
        refuse(new Error('it closed the connection during the handshake'));
      };
      const late = setTimeout(() => {
        refuse(new Error('it accepts connections and does not answer (frozen?)'));
      }, handshakeMs);
      // Stays: a connection that is lost later is reported by its session, and must not end the process here.
      tls.on('error', refuse);
      tls.once('close', closed);
      tls.once('secureConnect', () => {
        const refusal = this.#refusal(tls);
        if (refusal !== null) {
          refuse(new Error(refusal));
          return;
        }
        settle();
        fulfil({ socket: tls, secure: true });
      });
    });
  }

  /** T1, T3: remembers who is there, or says why it is refused. */
  #refusal(tls: TLSSocket): string | null {
    const judged = this.#judge(tls);
    if (judged.kind === 'error') {
      this.problem = judged.error;
      return judged.error.says;
    }
    this.problem = null;
    this.peer = judged.value.certificate.peer;
    this.authority = judged.value.authority.toString();
    return null;
  }

  #judge(tls: TLSSocket): Outcome<Judgement, CertificateProblem> {
    const leaf = tls.getPeerX509Certificate();
    if (leaf === undefined) return failed({ kind: 'missing', says: 'the server has no certificate' });
    const trusted = this.#authority(leaf);
    if (trusted.kind === 'error') return trusted;
    const { cluster } = this.#trust.kind === 'member' ? this.#trust.credentials : this.#trust.pin;
    const judged = verifyCertificate(leaf, trusted.value, cluster, Date.now(), this.#expected);
    if (judged.kind === 'error') return judged;
    const { id, role } = judged.value.peer;
    if (isHost(role)) return ok({ certificate: judged.value, authority: trusted.value });
    // T5
    const says = `expected a server or witness there, and the ${role} ${id} answered`;
    return failed({ kind: 'wrong-member', says });
  }

  #authority(leaf: X509Certificate): Outcome<X509Certificate, CertificateProblem> {
    if (this.#trust.kind === 'pin') return pinned(leaf, this.#trust.pin);
    const parsed = parseCertificate(this.#trust.credentials.authority);
    if (parsed === null) throw new Error('a member directory is checked before it is used');
    return ok(parsed);
  }
}

/** T4. */
const contexts = new WeakMap<Trust, SecureContext>();

function contextOf(trust: Trust): SecureContext {
  const made = contexts.get(trust);
  if (made !== undefined) return made;
  const context = createSecureContext({
    minVersion: 'TLSv1.3',
    ...(trust.kind === 'member' && {
      ca: trust.credentials.authority,
      cert: trust.credentials.certificate,
      key: trust.credentials.key,
    }),
  });
  contexts.set(trust, context);
  return context;
}

/** The authority in the chain that the server sent, if it is the one with the pinned fingerprint. */
function pinned(leaf: X509Certificate, pin: AuthorityPin): Outcome<X509Certificate, CertificateProblem> {
  let at: X509Certificate | undefined = leaf;
  for (let depth = 0; at !== undefined && depth < chainLengthMax; depth += 1) {
    if (at.ca && timingSafeEqual(fingerprint(at), pin.authority)) return ok(at);
    at = at.issuerCertificate;
  }
  const says = `the server is not of the cluster ${pin.cluster} that the token is for; check --seed and the token`;
  return failed({ kind: 'wrong-authority', says });
}
