/**
 * How a host becomes a member: a one-time token, a signing request, a certificate. The token is used up in the same
 * transaction that adds the member, so that it admits exactly one.
 */

import {
  canonicalAddress,
  formatDuration,
  keys,
  unreachableMember,
  type ClusterConfig,
} from '@holdfast/core';
import type { admin, members } from '@holdfast/proto';
import {
  createToken,
  encodeToken,
  fingerprint,
  isHost,
  isMemberRole,
  memberRoles,
  nameProblem,
  secretHash,
  secretMatches,
  tokenTtlMsMax,
  withArticle,
  type MemberDirectory,
  type MemberRole,
} from '@holdfast/wire/directory';
import { issueCertificate } from '@holdfast/wire/pki';
import { failure, type Answer } from '@holdfast/wire/rpc';
import * as z from 'zod';
import { deedPut, type Deed } from './deed.ts';
import { encodeMember, fromPorts, readMembers, toPorts, type MemberRow } from './member-row.ts';
import type { QuorumService } from './service.ts';
import { jsonOf } from './json-text.ts';
import type { Store } from './store.ts';

const storeMs = 2_000;
const addressesMax = 8;
const membersMax = 256;
/** So long whoever comes too late is told that the token has expired, and not that nobody knows it. */
const expiredMs = 24 * 3_600_000;
const deletesAtOnce = 100;

const tokenRow = z.object({
  hash: z.string(),
  role: z.enum(memberRoles),
  expiresAt: z.number(),
  /** Who made it; an earlier version does not tell. */
  by: z.string().default(''),
});

/** What of the service is needed here. */
export type Admitting = Pick<QuorumService, 'state' | 'storeNow'>;

export async function makeToken(
  directory: MemberDirectory,
  { state, storeNow }: Admitting,
  request: admin.CreateTokenRequest,
  by: string,
  wall: number,
): Promise<Answer<admin.CreateTokenReply>> {
  const role = request.role === '' ? 'server' : request.role;
  if (!isMemberRole(role))
    return failure('invalid', `"${role}" is not a role; one of ${memberRoles.join(', ')}`);
  if (!(request.ttlMs > 0) || request.ttlMs > tokenTtlMsMax) {
    return failure('invalid', 'a token lives for more than 0 and at most 7 days');
  }
  const token = createToken(directory.record.cluster, role, fingerprint(directory.authority));
  const expiresAt = wall + request.ttlMs;
  const row: z.infer<typeof tokenRow> = { hash: secretHash(token.secret), role, expiresAt, by };
  const does = `made a token for ${article(role)} to join with, good for ${formatDuration(request.ttlMs)}`;
  const deed = deedPut({ by, wall, kind: 'token', subject: token.id, does }, state.view.revision);
  const answer = await storeNow.txn(
    {
      compares: [{ kind: 'mod-revision', key: keys.token(token.id), revision: 0n }],
      puts: [{ key: keys.token(token.id), value: JSON.stringify(row) }, deed],
      deletes: [],
      reads: [],
    },
    storeMs,
  );
  if (answer.kind !== 'succeeded')
    return noStore(answer.kind === 'unknown' ? answer.says : 'the token exists already');
  return { kind: 'ok', value: { token: encodeToken(token), expiresMs: expiresAt } };
}

const article = (role: MemberRole): string => `${role === 'operator' ? 'an' : 'a'} ${role}`;

const noStore = (says: string): Answer<never> =>
  failure('unreachable', `the cluster's store does not answer: ${says}`);

export async function admit(
  directory: MemberDirectory,
  { state, storeNow }: Admitting,
  request: members.JoinRequest,
  wall: number,
): Promise<Answer<members.JoinReply>> {
  const problem = nameProblem('member', request.node);
  if (problem !== null) return failure('invalid', problem);
  const proof = await checkToken(storeNow, request, wall);
  if (proof.kind === 'error') return proof;
  const { role, revision, by } = proof.value;
  const addresses = request.addresses.map(canonical);
  const known = await readMembers(storeNow, storeMs);
  if (known.kind === 'unknown') return noStore(known.says);
  const refusal = refuseJoin(request, role, known.rows, state.view.config?.value ?? null);
  if (refusal !== null) return refusal;
  const { authorityKey, record } = directory;
  if (authorityKey === null)
    return failure('unreachable', `${record.id} has no authority key: ask a server or a witness`);
  const issued = await issueCertificate(
    { certificate: directory.authority, key: authorityKey },
    request.signingRequest,
    {
      peer: { cluster: record.cluster, role, id: request.node },
      addresses,
    },
  );
  if (issued.kind === 'error') return failure('invalid', issued.error.says);
  const row: MemberRow | null =
    role === 'server' || role === 'witness'
      ? {
          id: request.node,
          role,
          addresses,
          voter: record.externalEtcd !== null,
          ports: fromPorts(request.ports),
        }
      : null;
  const used = await storeNow.txn(
    {
      compares: [
        { kind: 'mod-revision', key: keys.token(request.tokenId), revision },
        ...(row === null ? [] : [{ kind: 'mod-revision', key: keys.member(row.id), revision: 0n } as const]),
      ],
      puts: [
        ...(row === null ? [] : [{ key: keys.member(row.id), value: encodeMember(row) }]),
        deedPut(joined(request.node, role, by, wall), state.view.revision),
      ],
      deletes: [keys.token(request.tokenId)],
      reads: [],
    },
    storeMs,
  );
  // It may be admitted by now, and the token spent: nobody knows.
  if (used.kind === 'unknown')
    return failure('deadline', `the cluster's store does not answer: ${used.says}`);
  if (used.kind === 'compare-failed')
    return failure('refused', 'the token was used by somebody else just now');
  return {
    kind: 'ok',
    value: reply(directory, role, issued.value, row === null ? known.rows : [...known.rows, row]),
  };
}

async function checkToken(
  store: Store,
  request: members.JoinRequest,
  wall: number,
): Promise<Answer<{ readonly role: MemberRole; readonly revision: bigint; readonly by: string }>> {
  if (!/^[0-9a-f]{1,64}$/.test(request.tokenId))
    return failure('refused', 'that is not a token of this cluster');
  const answer = await store.read(keys.token(request.tokenId), storeMs);
  if (answer.kind === 'unknown') return noStore(answer.says);
  const row = answer.rows.find((r) => r.key === keys.token(request.tokenId));
  const again = 'make a new one with: holdfast token';
  if (row === undefined) return failure('refused', `the token is unknown, or was used already; ${again}`);
  const parsed = tokenRow.safeParse(jsonOf(row.value));
  if (!parsed.success || !secretMatches(request.tokenSecret, parsed.data.hash)) {
    return failure('refused', `the token is wrong; ${again}`);
  }
  if (wall > parsed.data.expiresAt) return failure('refused', `the token has expired; ${again}`);
  const { role, by } = parsed.data;
  return { kind: 'ok', value: { role, revision: row.modRevision, by } };
}

function joined(id: string, role: MemberRole, maker: string, wall: number): Deed {
  const token = maker === '' ? '' : ` with a token of ${maker}`;
  const server = isHost(role) ? id : '';
  return { by: id, wall, kind: 'joined', subject: id, server, does: `joined as ${article(role)}${token}` };
}

/** Drops tokens that nobody used. Says what could not be done, or null. */
export async function forgetTokens(store: Pick<Store, 'read' | 'txn'>, wall: number): Promise<string | null> {
  const answer = await store.read(keys.tokens, storeMs);
  if (answer.kind === 'unknown') return answer.says;
  const over = answer.rows.flatMap(({ key, value }) => {
    const parsed = tokenRow.safeParse(jsonOf(value));
    return parsed.success && wall > parsed.data.expiresAt + expiredMs ? [key] : [];
  });
  for (let i = 0; i < over.length; i += deletesAtOnce) {
    const deletes = over.slice(i, i + deletesAtOnce);
    const done = await store.txn({ compares: [], puts: [], deletes, reads: [] }, storeMs);
    if (done.kind === 'unknown') return done.says;
  }
  return null;
}

/** Null: it may join. */
export function refuseJoin(
  request: Pick<members.JoinRequest, 'node' | 'role' | 'addresses'>,
  role: MemberRole,
  known: readonly MemberRow[],
  config: ClusterConfig | null,
): Answer<never> | null {
  if (request.role !== '' && request.role !== role) {
    return failure('refused', `the token is for ${withArticle(role)}, not for ${withArticle(request.role)}`);
  }
  const namesake = known.find((m) => m.id === request.node);
  if (!isHost(role)) {
    if (namesake === undefined) return null;
    return failure(
      'invalid',
      `${request.node} is the name of ${withArticle(namesake.role)}; choose another --node`,
    );
  }
  if (request.addresses.length === 0)
    return failure('invalid', 'a server or witness needs at least one --address');
  if (request.addresses.length > addressesMax) return failure('invalid', `at most ${addressesMax} addresses`);
  if (known.length >= membersMax) return failure('invalid', `the cluster has ${membersMax} members already`);
  if (namesake !== undefined) {
    const again = `if its join failed half-way, holdfast remove ${request.node} and join again`;
    return failure(
      'invalid',
      `there is a member named ${request.node} already; choose another --node, or, ${again}`,
    );
  }
  const wanted = request.addresses.map(canonical);
  const twice = wanted.find((address, index) => wanted.indexOf(address) !== index);
  if (twice !== undefined) return failure('invalid', `${twice} is given twice`);
  for (const address of request.addresses) {
    const holder = known.find((m) => m.addresses.some((one) => canonical(one) === canonical(address)));
    if (holder !== undefined) return failure('invalid', `${address} is an address of ${holder.id} already`);
    const unreachable = unreachableMember(address);
    if (unreachable !== null) return failure('invalid', unreachable);
    const group = groupAt(config, address);
    if (group !== null)
      return failure('invalid', `${address} is an address of the group ${group}; write the host's own`);
  }
  return null;
}

/** The group whose service address this is, whoever owns it. */
function groupAt(config: ClusterConfig | null, address: string): string | null {
  const wanted = canonical(address);
  for (const { name, identity } of config?.groups.values() ?? [])
    if (identity.mode === 'add' && identity.addresses.some((cidr) => canonical(cidr) === wanted)) return name;
  return null;
}

/** With or without a prefix. */
const canonical = (address: string): string => canonicalAddress(address.replace(/\/.*$/, ''));

function reply(
  directory: MemberDirectory,
  role: MemberRole,
  certificate: string,
  rows: readonly MemberRow[],
): members.JoinReply {
  const host = isHost(role);
  const warnings =
    rows.length === 2
      ? ['two members alone have no safe automatic failover: add a witness or a third server']
      : [];
  return {
    cluster: directory.record.cluster,
    certificate,
    authority: directory.authority,
    heartbeatKey: host ? (directory.heartbeatKey ?? Buffer.alloc(0)) : Buffer.alloc(0),
    authorityKey: host ? (directory.authorityKey ?? '') : '',
    members: rows.map((m) => ({ ...m, addresses: [...m.addresses], ports: toPorts(m.ports) })),
    warnings: host ? warnings : [],
    externalEtcd: [...(directory.record.externalEtcd?.endpoints ?? [])],
  };
}
