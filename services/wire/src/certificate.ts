/**
 * Whose certificate is this? The one place where a peer's certificate is judged, for both ends of every connection.
 *
 * C1. A certificate is ours when our authority signed it itself; there are no intermediate authorities.
 * C2. A member is known by the URI holdfast://<cluster>/<role>/<id> in its certificate, never by its address.
 * C3. Dates are judged again at every call, so that a connection does not outlive its certificate.
 *
 * Only node's own crypto here: issuing (pki.ts) needs a library that a command line client should not have to load.
 */
import { createHash, X509Certificate } from 'node:crypto';
import { isMemberRole, isName, type MemberRole } from './names.ts';
import { failed, ok, type Outcome } from './outcome.ts';

/** Who is at the other end, as its certificate proves. */
export interface Peer {
  readonly cluster: string;
  readonly role: MemberRole;
  readonly id: string;
}

/** What a member needs to speak: PEM texts. */
export interface WireCredentials {
  readonly cluster: string;
  readonly authority: string;
  readonly certificate: string;
  readonly key: string;
}

export type CertificateProblemKind =
  | 'missing'
  | 'malformed'
  | 'expired'
  | 'not-yet-valid'
  | 'wrong-cluster'
  | 'wrong-authority'
  | 'wrong-member';

export interface CertificateProblem {
  readonly kind: CertificateProblemKind;
  /** One sentence for a person. */
  readonly says: string;
}

/** A certificate that our authority signed, of our cluster. Times are wall time in milliseconds. */
export interface Certificate {
  readonly peer: Peer;
  readonly validFromMs: number;
  readonly validUntilMs: number;
}

const identityPrefix = 'URI:holdfast://';

export const identityUri = (peer: Peer): string => `holdfast://${peer.cluster}/${peer.role}/${peer.id}`;

/** SHA-256 of the certificate, 32 bytes: what a join token carries. */
export function fingerprint(certificate: X509Certificate | string): Buffer {
  const parsed = typeof certificate === 'string' ? new X509Certificate(certificate) : certificate;
  return createHash('sha256').update(parsed.raw).digest();
}

/** Parses PEM or DER; null for anything else. */
export function parseCertificate(contents: string | Buffer): X509Certificate | null {
  try {
    return new X509Certificate(contents);
  } catch {
    // OpenSSL's reasons say nothing that "not a certificate" does not.
    return null;
  }
}

/** The member that the certificate names, or null when it names none. Proves nothing by itself. */
export function identityOf(certificate: X509Certificate): Peer | null {
  const uris = (certificate.subjectAltName ?? '').split(', ').filter((n) => n.startsWith(identityPrefix));
  const uri = uris[0];
  if (uri === undefined || uris.length > 1) return null;
  const [cluster, role, id, ...rest] = uri.slice(identityPrefix.length).split('/');
  if (cluster === undefined || role === undefined || id === undefined || rest.length > 0) return null;
  if (!isName(cluster) || !isName(id) || !isMemberRole(role)) return null;
  return { cluster, role, id };
}

/** Is the certificate of this wall time? Null when it is. */
export function dateProblem(certificate: Certificate, nowMs: number): CertificateProblem | null {
  const { peer } = certificate;
  if (nowMs > certificate.validUntilMs) {
    const date = new Date(certificate.validUntilMs).toISOString();
    return { kind: 'expired', says: `the certificate of ${peer.id} expired on ${date}` };
  }
  if (nowMs < certificate.validFromMs) {
    const date = new Date(certificate.validFromMs).toISOString();
    return {
      kind: 'not-yet-valid',
      says: `the certificate of ${peer.id} is valid only from ${date} (is a clock wrong?)`,
    };
  }
  return null;
}

/** Judges everything but the dates (C1, C2). `expected`: the id it has to have, when that is known. */
export function identifyCertificate(
  certificate: X509Certificate,
  authority: X509Certificate,
  cluster: string,
  expected?: string,
): Outcome<Certificate, CertificateProblem> {
  const peer = identityOf(certificate);
  if (peer !== null && peer.cluster !== cluster) {
    return failed({
      kind: 'wrong-cluster',
      says: `${peer.id} is of cluster ${peer.cluster}, not ${cluster}`,
    });
  }
  if (!certificate.checkIssued(authority) || !certificate.verify(authority.publicKey)) {
    return failed({
      kind: 'wrong-authority',
      says: `the certificate of ${peer?.id ?? 'the peer'} is not from the authority of cluster ${cluster}`,
    });
  }
  if (peer === null) return failed({ kind: 'malformed', says: 'the certificate names no Holdfast member' });
  if (expected !== undefined && peer.id !== expected) {
    return failed({ kind: 'wrong-member', says: `expected ${expected} there, and ${peer.id} answered` });
  }
  const validFromMs = Date.parse(certificate.validFrom);
  const validUntilMs = Date.parse(certificate.validTo);
  if (Number.isNaN(validFromMs) || Number.isNaN(validUntilMs)) {
    return failed({ kind: 'malformed', says: `the certificate of ${peer.id} has no readable dates` });
  }
  return ok({ peer, validFromMs, validUntilMs });
}

/** Judges a certificate whole, dates included. `nowMs`: wall time. */
export function verifyCertificate(
  certificate: X509Certificate,
  authority: X509Certificate,
  cluster: string,
  nowMs: number,
  expected?: string,
): Outcome<Certificate, CertificateProblem> {
  const identified = identifyCertificate(certificate, authority, cluster, expected);
  if (identified.kind === 'error') return identified;
  const problem = dateProblem(identified.value, nowMs);
  return problem === null ? identified : failed(problem);
}
