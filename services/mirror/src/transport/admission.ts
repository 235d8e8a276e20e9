/**
 * How a connection begins, before its first frame of the contract.
 *
 *   encrypted   dialer and listener shake hands (TLS 1.3, both certificates); the listener judges and says `welcome`,
 *               so that a dialer that is not admitted hears why. The dialer asks for this by the protocol name.
 *   plain       the same with another protocol name, and `welcome` carries a ticket; both derive a key from the TLS
 *               session (RFC 5705) and close it. On a new connection to the same port the dialer shows the ticket, and
 *               both prove the key by an HMAC over both nonces. The listener says `welcome` there, too.
 *
 * G1. A plain connection proves who is there, and that at its beginning only: who can change packets on the line can
 *     change contents. That is what `encrypt: never` is bought with, for lines that are protected otherwise.
 * G2. A ticket is good once, for 10 seconds, and only so many are out.
 * G3. Frames of this stage are small, and what a stranger sends is bounded by time and size.
 */

import { createHmac, randomBytes, timingSafeEqual, type X509Certificate } from 'node:crypto';
import {
  failed,
  ok,
  verifyCertificate,
  withArticle,
  type CertificateProblem,
  type Outcome,
  type Peer,
} from '@holdfast/wire/directory';
import { headerBytes } from './frame.ts';
import type { SecureSession } from './secure-session.ts';

/** G3. */
export const strangerFrameBytesMax = 1_024;

const welcomeKind = 20;
export const ticketKind = 21;
export const challengeKind = 22;
export const proofKind = 23;

const ticketBytes = 16;
const nonceBytes = 32;
const macBytes = 32;
const sessionKeyBytes = 32;
const keyLabel = 'EXPORTER-holdfast-mirror-plain';
const saysBytesMax = 500;

/** The first byte of every TLS connection (handshake record); a frame of ours begins with the 0 of its length. */
export const tlsFirstByte = 0x16;

/** Whose certificate it is. Only servers have mirrors: operators and witnesses have certificates, too. */
export function judge(
  leaf: X509Certificate | null,
  authority: X509Certificate,
  cluster: string,
  expected?: string,
): Outcome<Peer, CertificateProblem> {
  if (leaf === null) return failed({ kind: 'missing', says: 'the other side shows no certificate' });
  const judged = verifyCertificate(leaf, authority, cluster, Date.now(), expected);
  if (judged.kind === 'error') return judged;
  const { peer } = judged.value;
  if (peer.role === 'server') return ok(peer);
  return failed({
    kind: 'wrong-member',
    says: `${peer.id} is ${withArticle(peer.role)}, and mirrors are between servers`,
  });
}

function small(kind: number, ...parts: readonly Uint8Array[]): Buffer {
  const payload = Buffer.concat(parts);
  const header = Buffer.alloc(headerBytes);
  header.writeUInt32BE(payload.length + 1, 0);
  header[headerBytes - 1] = kind;
  return Buffer.concat([header, payload]);
}

export type Welcome =
  | { readonly kind: 'admitted' }
  | { readonly kind: 'ticket'; readonly ticket: Buffer }
  | { readonly kind: 'refused'; readonly says: string };

export function encodeWelcome(welcome: Welcome): Buffer {
  switch (welcome.kind) {
    case 'admitted':
      return small(welcomeKind, Buffer.of(0));
    case 'ticket':
      return small(welcomeKind, Buffer.of(1), welcome.ticket);
    case 'refused':
      return small(welcomeKind, Buffer.of(2), Buffer.from(welcome.says).subarray(0, saysBytesMax));
  }
}

/** Null: it is none. */
export function decodeWelcome(kind: number, payload: Buffer): Welcome | null {
  if (kind !== welcomeKind) return null;
  const rest = payload.subarray(1);
  switch (payload.length === 0 ? -1 : payload.readUInt8(0)) {
    case 0:
      return rest.length === 0 ? { kind: 'admitted' } : null;
    case 1:
      return rest.length === ticketBytes ? { kind: 'ticket', ticket: Buffer.from(rest) } : null;
    case 2:
      return { kind: 'refused', says: rest.toString('utf8', 0, saysBytesMax) };
    default:
      return null;
  }
}

export const newTicket = (): Buffer => randomBytes(ticketBytes);
export const newNonce = (): Buffer => randomBytes(nonceBytes);

/** The same at both ends of the TLS connection, and nowhere else. */
export const sessionKey = (session: SecureSession, ticket: Buffer): Buffer =>
  session.exportKey(sessionKeyBytes, keyLabel, ticket);

/** What both sides of a plain connection know once the nonces were exchanged. */
interface Exchange {
  readonly key: Buffer;
  readonly ticket: Buffer;
  readonly dialerNonce: Buffer;
  readonly listenerNonce: Buffer;
}

const mac = (side: 'dialer' | 'listener', of: Exchange): Buffer =>
  createHmac('sha256', of.key)
    .update(side)
    .update(of.ticket)
    .update(of.dialerNonce)
    .update(of.listenerNonce)
    .digest();

export const encodeTicket = (ticket: Buffer, dialerNonce: Buffer): Buffer =>
  small(ticketKind, ticket, dialerNonce);

export function decodeTicket(payload: Buffer): { ticket: Buffer; dialerNonce: Buffer } | null {
  if (payload.length !== ticketBytes + nonceBytes) return null;
  return {
    ticket: Buffer.from(payload.subarray(0, ticketBytes)),
    dialerNonce: Buffer.from(payload.subarray(ticketBytes)),
  };
}

export const encodeChallenge = (of: Exchange): Buffer =>
  small(challengeKind, of.listenerNonce, mac('listener', of));

/** The exchange, when the listener proved the key; else null. */
export function checkChallenge(
  payload: Buffer,
  key: Buffer,
  ticket: Buffer,
  dialerNonce: Buffer,
): Exchange | null {
  if (payload.length !== nonceBytes + macBytes) return null;
  const listenerNonce = Buffer.from(payload.subarray(0, nonceBytes));
  const exchange = { key, ticket, dialerNonce, listenerNonce };
  return timingSafeEqual(payload.subarray(nonceBytes), mac('listener', exchange)) ? exchange : null;
}

export const encodeProof = (of: Exchange): Buffer => small(proofKind, mac('dialer', of));

export const checkProof = (payload: Buffer, of: Exchange): boolean =>
  payload.length === macBytes && timingSafeEqual(payload, mac('dialer', of));

interface Issued {
  readonly key: Buffer;
  readonly peer: Peer;
  readonly untilMs: number;
}

const ticketsMax = 256;
const ticketMs = 10_000;

/** G2. */
export class Tickets {
  readonly #issued = new Map<string, Issued>();

  issue(ticket: Buffer, key: Buffer, peer: Peer, nowMs: number): void {
    for (const [name, { untilMs }] of this.#issued) if (untilMs <= nowMs) this.#issued.delete(name);
    const oldest = this.#issued.keys().next();
    if (this.#issued.size >= ticketsMax && oldest.done !== true) this.#issued.delete(oldest.value);
    this.#issued.set(ticket.toString('hex'), { key, peer, untilMs: nowMs + ticketMs });
  }

  redeem(ticket: Buffer, nowMs: number): { readonly key: Buffer; readonly peer: Peer } | null {
    const name = ticket.toString('hex');
    const issued = this.#issued.get(name);
    this.#issued.delete(name);
    return issued !== undefined && issued.untilMs > nowMs ? issued : null;
  }
}
