/**
 * The join token: one line that a person carries from one member to a new one. It proves both sides to each other:
 * the fingerprint lets the new member recognise the cluster's authority, the secret lets the cluster admit the member.
 *
 *   hf1_ base64url( version 1, role 1, cluster length 1, cluster, token id 8, authority sha-256 32, secret 32, check 4 )
 *
 * The check (start of a SHA-256) only tells a mistyped token from a refused one. Only `secretHash` is for storing.
 */
import { createHash, randomBytes, timingSafeEqual } from 'node:crypto';
import { isName, memberRoles, nameProblem, type MemberRole } from './names.ts';
import { failed, ok, type Outcome } from './outcome.ts';

export interface JoinToken {
  readonly cluster: string;
  readonly role: MemberRole;
  /** 16 hexadecimal digits. */
  readonly id: string;
  /** SHA-256 of the authority's certificate. */
  readonly authority: Buffer;
  /** 32 random bytes, as base64url: what JoinRequest.token_secret carries. */
  readonly secret: string;
}

export type TokenProblemKind = 'not-a-token' | 'damaged' | 'unknown-version';

export interface TokenProblem {
  readonly kind: TokenProblemKind;
  readonly says: string;
}

const prefix = 'hf1_';
const version = 1;
const idBytes = 8;
const secretBytes = 32;
const fingerprintBytes = 32;
const checkBytes = 4;
const fixedBytes = 3 + idBytes + fingerprintBytes + secretBytes + checkBytes;
const textLengthMax = prefix.length + Math.ceil(((fixedBytes + 63) * 4) / 3);

const checkOf = (body: Buffer): Buffer => createHash('sha256').update(body).digest().subarray(0, checkBytes);

/** No token lives longer. */
export const tokenTtlMsMax = 7 * 24 * 3_600_000;

/** A new token with a random id and secret. */
export function createToken(cluster: string, role: MemberRole, authority: Buffer): JoinToken {
  const problem = nameProblem('cluster', cluster);
  if (problem !== null) throw new Error(problem);
  if (authority.length !== fingerprintBytes) throw new Error('the fingerprint of an authority has 32 bytes');
  return {
    cluster,
    role,
    id: randomBytes(idBytes).toString('hex'),
    authority,
    secret: randomBytes(secretBytes).toString('base64url'),
  };
}

export function encodeToken(token: JoinToken): string {
  const cluster = Buffer.from(token.cluster, 'latin1');
  const body = Buffer.concat([
    Buffer.from([version, memberRoles.indexOf(token.role), cluster.length]),
    cluster,
    Buffer.from(token.id, 'hex'),
    token.authority,
    Buffer.from(token.secret, 'base64url'),
  ]);
  return prefix + Buffer.concat([body, checkOf(body)]).toString('base64url');
}

/** Reads a token as a person pasted it: space around it does not matter, anything else does. */
export function decodeToken(pasted: string): Outcome<JoinToken, TokenProblem> {
  const text = pasted.trim();
  if (!text.startsWith(prefix)) {
    const says = /^hf\d+_/.test(text)
      ? 'the token is of another version of Holdfast'
      : 'that is not a join token; `holdfast token` on a member prints one, and it starts with hf1_';
    return failed({ kind: /^hf\d+_/.test(text) ? 'unknown-version' : 'not-a-token', says });
  }
  const damaged = failed<TokenProblem>({
    kind: 'damaged',
    says: 'the join token is incomplete or mistyped; copy the whole line again',
  });
  const encoded = text.slice(prefix.length);
  if (text.length > textLengthMax || !/^[A-Za-z0-9_-]+$/.test(encoded)) return damaged;
  const bytes = Buffer.from(encoded, 'base64url');
  if (bytes.length <= fixedBytes || bytes.toString('base64url') !== encoded) return damaged;
  const body = bytes.subarray(0, bytes.length - checkBytes);
  if (!timingSafeEqual(checkOf(body), bytes.subarray(bytes.length - checkBytes))) return damaged;
  if (body[0] !== version)
    return failed({ kind: 'unknown-version', says: 'the token is of another version of Holdfast' });
  const role = memberRoles[body[1] ?? -1];
  const clusterLength = body[2] ?? 0;
  if (role === undefined || bytes.length !== fixedBytes + clusterLength) return damaged;
  let at = 3;
  const take = (length: number): Buffer => body.subarray(at, (at += length));
  const cluster = take(clusterLength).toString('latin1');
  if (!isName(cluster)) return damaged;
  const id = take(idBytes).toString('hex');
  const authority = Buffer.from(take(fingerprintBytes));
  const secret = take(secretBytes).toString('base64url');
  return ok({ cluster, role, id, authority, secret });
}

/** SHA-256 of a secret, hexadecimal: the only form that is stored. The secret is random, so a plain hash is enough. */
export function secretHash(secret: string): string {
  return createHash('sha256').update(secret).digest('hex');
}

/** Compares in constant time. `stored`: a `secretHash`. */
export function secretMatches(secret: string, stored: string): boolean {
  const expected = Buffer.from(stored, 'hex');
  const actual = Buffer.from(secretHash(secret), 'hex');
  return expected.length === actual.length && timingSafeEqual(expected, actual);
}
