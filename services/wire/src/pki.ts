/**
 * The cluster's authority and the certificates it issues (RFC 5280, RFC 2986). EC P-256, so that etcd's Go TLS and
 * OpenSSL take them alike. One authority signs every member itself; certificate.ts judges what it signed.
 *
 * K1. The names in a certificate come from the issuer, never from the signing request: the request only brings a key.
 * K2. Only a server's or a witness's certificate is good for TLS by itself: etcd takes every client with one. That of an
 *     operator or viewer is good for our own listeners, which judge roles, and for nothing else.
 */
import type * as X509 from '@peculiar/x509';
import { createPrivateKey, webcrypto } from 'node:crypto';
import { identityUri, parseCertificate, type Peer } from './certificate.ts';
import { isAddress, isHost, nameProblem } from './names.ts';
import { errorText, failed, ok, type Outcome } from './outcome.ts';
import './reflect-metadata.ts';

export interface Authority {
  /** PEM. */
  readonly certificate: string;
  /** PKCS#8, PEM. */
  readonly key: string;
}

export interface SigningRequest {
  /** PKCS#10, PEM. */
  readonly request: string;
  /** PKCS#8, PEM; never leaves the member. */
  readonly key: string;
}

export interface CertificateOrder {
  readonly peer: Peer;
  /** Addresses under which etcd peers and clients reach the member. */
  readonly addresses: readonly string[];
  /** Wall time in milliseconds; for tests of expiry. */
  readonly nowMs?: number;
  readonly lifeMs?: number;
}

export interface IssueProblem {
  readonly kind: 'bad-request' | 'bad-name' | 'bad-authority';
  readonly says: string;
}

const dayMs = 24 * 60 * 60 * 1000;
const authorityLifeMs = 20 * 365 * dayMs;
const memberLifeMs = 10 * 365 * dayMs;
/**
 * K2: a usage that TLS knows nothing of. A certificate without any would be good for all of them. The number is one of
 * those kept for examples (RFC 5612), and so of nobody else; nothing looks for it.
 */
const personUsage = '1.3.6.1.4.1.32473.1.1';
/** Clocks of hosts differ; a certificate must not be "not yet valid" on the host that just received it. */
const backdateMs = dayMs;

const keyAlgorithm = { name: 'ECDSA', namedCurve: 'P-256' } as const;
const signingAlgorithm = { name: 'ECDSA', hash: 'SHA-256' } as const;
const subtle = webcrypto.subtle;

/** Loaded at first use: only `init`, `join` and a quorum service that admits a member ever need it. */
const library = async () => (await import('./x509.ts')).x509;

type Keys = webcrypto.CryptoKeyPair;

const newKeys = (): Promise<Keys> => subtle.generateKey(keyAlgorithm, true, ['sign', 'verify']);

async function keyText(key: webcrypto.CryptoKey): Promise<string> {
  const x509 = await library();
  return `${x509.PemConverter.encode(await subtle.exportKey('pkcs8', key), 'PRIVATE KEY')}\n`;
}

function serialNumber(): string {
  const bytes = webcrypto.getRandomValues(new Uint8Array(16));
  // Positive and never zero in its first byte (RFC 5280, 4.1.2.2).
  bytes[0] = ((bytes[0] ?? 0) & 0x3f) | 0x40;
  return Buffer.from(bytes).toString('hex');
}

/** A new authority, for `holdfast init`. */
export async function createAuthority(cluster: string, nowMs = Date.now()): Promise<Authority> {
  const problem = nameProblem('cluster', cluster);
  if (problem !== null) throw new Error(problem);
  const x509 = await library();
  const keys = await newKeys();
  const certificate = await x509.X509CertificateGenerator.createSelfSigned({
    serialNumber: serialNumber(),
    name: `CN=${cluster} Holdfast authority, O=${cluster}`,
    notBefore: new Date(nowMs - backdateMs),
    notAfter: new Date(nowMs + authorityLifeMs),
    signingAlgorithm,
    keys,
    extensions: [
      new x509.BasicConstraintsExtension(true, 0, true),
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.keyCertSign | x509.KeyUsageFlags.cRLSign, true),
      await x509.SubjectKeyIdentifierExtension.create(keys.publicKey),
    ],
  });
  return { certificate: `${certificate.toString('pem')}\n`, key: await keyText(keys.privateKey) };
}

/** A new key and the request to sign it, for `holdfast init` and `join`. */
export async function createSigningRequest(id: string): Promise<SigningRequest> {
  const problem = nameProblem('member', id);
  if (problem !== null) throw new Error(problem);
  const x509 = await library();
  const keys = await newKeys();
  const request = await x509.Pkcs10CertificateRequestGenerator.create({
    name: `CN=${id}`,
    keys,
    signingAlgorithm,
  });
  return { request: `${request.toString('pem')}\n`, key: await keyText(keys.privateKey) };
}

async function checkedRequest(pem: string): Promise<Outcome<X509.PublicKey, IssueProblem>> {
  const x509 = await library();
  try {
    const request = new x509.Pkcs10CertificateRequest(pem);
    if (await request.verify()) return ok(request.publicKey);
    return failed({ kind: 'bad-request', says: 'the signing request is not signed by its own key' });
  } catch (error) {
    return failed({ kind: 'bad-request', says: `the signing request is not readable: ${errorText(error)}` });
  }
}

async function importKey(pem: string): Promise<webcrypto.CryptoKey> {
  const der = createPrivateKey(pem).export({ type: 'pkcs8', format: 'der' });
  return subtle.importKey('pkcs8', der, keyAlgorithm, false, ['sign']);
}

function orderProblem({ peer, addresses }: CertificateOrder): string | null {
  const bad = addresses.find((address) => !isAddress(address));
  if (bad !== undefined) return `${JSON.stringify(bad)} is not an IPv4 or IPv6 address`;
  return nameProblem('cluster', peer.cluster) ?? nameProblem('member', peer.id);
}

/** Signs a member's certificate, PEM (K1, K2). A host's works for etcd as server, client and peer. */
export async function issueCertificate(
  authority: Authority,
  requestPem: string,
  order: CertificateOrder,
): Promise<Outcome<string, IssueProblem>> {
  const x509 = await library();
  const says = orderProblem(order);
  if (says !== null) return failed({ kind: 'bad-name', says });
  const publicKey = await checkedRequest(requestPem);
  if (publicKey.kind === 'error') return publicKey;
  if (parseCertificate(authority.certificate) === null) {
    return failed({ kind: 'bad-authority', says: "the authority's certificate is not readable" });
  }
  let signingKey: webcrypto.CryptoKey;
  try {
    signingKey = await importKey(authority.key);
  } catch (error) {
    return failed({
      kind: 'bad-authority',
      says: `the authority's key is not readable: ${errorText(error)}`,
    });
  }
  const issuer = new x509.X509Certificate(authority.certificate);
  const certificate = await x509.X509CertificateGenerator.create({
    ...names(order),
    serialNumber: serialNumber(),
    issuer: issuer.subjectName,
    ...dates(order),
    signingAlgorithm,
    signingKey,
    publicKey: publicKey.value,
    extensions: await extensions(order, publicKey.value, issuer.publicKey),
  });
  return ok(`${certificate.toString('pem')}\n`);
}

const names = ({ peer }: CertificateOrder): { subject: string } => ({
  subject: `CN=${peer.id}, O=${peer.cluster}`,
});

function dates({ nowMs = Date.now(), lifeMs = memberLifeMs }: CertificateOrder): {
  notBefore: Date;
  notAfter: Date;
} {
  return { notBefore: new Date(nowMs - backdateMs), notAfter: new Date(nowMs + lifeMs) };
}

async function extensions(
  order: CertificateOrder,
  key: X509.PublicKey,
  issuerKey: X509.PublicKey,
): Promise<X509.Extension[]> {
  const x509 = await library();
  const { peer } = order;
  // K2
  const host = isHost(peer.role);
  const usages = host ? [x509.ExtendedKeyUsage.clientAuth, x509.ExtendedKeyUsage.serverAuth] : [personUsage];
  const addresses = host ? [...new Set(['127.0.0.1', ...order.addresses])] : [];
  return [
    new x509.BasicConstraintsExtension(false, undefined, true),
    new x509.KeyUsagesExtension(x509.KeyUsageFlags.digitalSignature, true),
    new x509.ExtendedKeyUsageExtension(usages),
    new x509.SubjectAlternativeNameExtension([
      { type: 'dns', value: `${peer.id}.${peer.cluster}.holdfast` },
      { type: 'url', value: identityUri(peer) },
      ...(host ? [{ type: 'dns' as const, value: 'localhost' }] : []),
      ...addresses.map((value) => ({ type: 'ip' as const, value })),
    ]),
    await x509.SubjectKeyIdentifierExtension.create(key),
    await x509.AuthorityKeyIdentifierExtension.create(issuerKey),
  ];
}
