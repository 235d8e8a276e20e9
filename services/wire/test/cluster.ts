/** A small cluster for tests: an authority, and members with real certificates. */
import { randomBytes } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { WireCredentials } from '../src/certificate.ts';
import type { MemberContents } from '../src/member-directory.ts';
import { defaultPorts } from '../src/member-record.ts';
import type { MemberRole } from '../src/names.ts';
import type { Outcome } from '../src/outcome.ts';
import { createAuthority, createSigningRequest, issueCertificate, type Authority } from '../src/pki.ts';

export function value<T>(outcome: Outcome<T, unknown>): T {
  if (outcome.kind === 'ok') return outcome.value;
  throw new Error(`expected success, got ${JSON.stringify(outcome.error)}`);
}

export function error<E>(outcome: Outcome<unknown, E>): E {
  if (outcome.kind === 'error') return outcome.error;
  throw new Error(`expected a failure, got ${JSON.stringify(outcome.value)}`);
}

export interface Cluster {
  readonly name: string;
  readonly authority: Authority;
}

export const cluster = async (name = 'acme'): Promise<Cluster> => ({
  name,
  authority: await createAuthority(name),
});

export interface Life {
  readonly nowMs?: number;
  readonly lifeMs?: number;
  /** A cluster that the certificate claims although another authority signs it. */
  readonly claims?: string;
}

export async function member(
  of: Cluster,
  role: MemberRole,
  id: string,
  life: Life = {},
): Promise<WireCredentials> {
  const { request, key } = await createSigningRequest(id);
  const { nowMs, lifeMs, claims = of.name } = life;
  const order = {
    peer: { cluster: claims, role, id },
    addresses: ['127.0.0.1', 'fd00::1'],
    ...(nowMs !== undefined && { nowMs }),
    ...(lifeMs !== undefined && { lifeMs }),
  };
  const certificate = value(await issueCertificate(of.authority, request, order));
  return { cluster: of.name, authority: of.authority.certificate, certificate, key };
}

export async function contents(of: Cluster, role: MemberRole, id: string): Promise<MemberContents> {
  const { certificate, key, authority } = await member(of, role, id);
  const host = role === 'server' || role === 'witness';
  return {
    record: {
      format: 1,
      cluster: of.name,
      id,
      role,
      addresses: ['127.0.0.1'],
      ports: defaultPorts,
      members: [],
      externalEtcd: null,
    },
    authority,
    certificate,
    key,
    authorityKey: host ? of.authority.key : null,
    heartbeatKey: host ? randomBytes(32) : null,
  };
}

/** Runs a story in a folder of its own, which is gone afterwards. */
export async function inFolder<T>(story: (folder: string) => Promise<T>): Promise<T> {
  const folder = await mkdtemp(join(tmpdir(), 'holdfast-wire-'));
  try {
    return await story(folder);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/** Waits for a condition, never longer than `limitMs`. */
export async function until(
  what: string,
  condition: () => boolean | Promise<boolean>,
  limitMs = 5000,
): Promise<void> {
  const endMs = performance.now() + limitMs;
  while (!(await condition())) {
    if (performance.now() > endMs) throw new Error(`waited in vain until ${what}`);
    await new Promise((next) => setTimeout(next, 5));
  }
}
