/**
 * `holdfast join`: makes a key, has it certified by a member of the cluster, and writes the directory.
 *
 * J1. The token's fingerprint decides whether the other end is the cluster, before anything is said to it. J2. The key
 * never leaves this host. J3. Everything that can be wrong here is found before the token is spent.
 */
import { isIP } from 'node:net';
import { resolve } from 'node:path';
import type { members } from '@holdfast/proto';
import type {
  JoinToken,
  KnownMember,
  MemberContents,
  MemberPorts,
  MemberRole,
} from '@holdfast/wire/directory';
import type { RpcClient } from '@holdfast/wire/rpc';
import type { Context } from '../context.ts';
import { exitStatus } from '../exit-status.ts';
import { show } from '../show.ts';
import { callTrouble, directoryTrouble, ok, trouble, wrong, type Ended, type Fallible } from '../trouble.ts';
import { hostFacts, type HostFacts, type HostOptions } from './host-options.ts';
import { refuseMember, tryPlace } from './member-place.ts';

export interface JoinOptions extends HostOptions {
  readonly seed: readonly string[];
  readonly token: string;
  readonly role?: MemberRole;
  readonly dryRun?: boolean;
}

export interface Seed {
  readonly address: string;
  readonly port: number;
}

const joinMs = 10_000;
const portDefault = 7443;
const isItThere = 'Is the member at --seed running, and its gRPC port open to this host?';

interface Wanted {
  readonly token: JoinToken;
  readonly seeds: readonly Seed[];
  readonly host: HostFacts;
}

export async function join(context: Context, options: JoinOptions): Promise<Ended> {
  const wanted = await judge(context, options);
  if (wanted.kind === 'error') return wanted;
  const { host, token } = wanted.value;
  const occupied = await refuseMember(context.dir);
  if (occupied !== null) return occupied;
  for (const warning of host.warnings) context.terminal.err(`holdfast: warning: ${warning}\n`);
  if (options.dryRun === true) {
    await tell(context, wanted.value, [], true);
    return ok(exitStatus.done);
  }
  const noPlace = await tryPlace(context.dir);
  if (noPlace !== null) return noPlace;
  const { createSigningRequest } = await import('@holdfast/wire/pki');
  const { request, key } = await createSigningRequest(host.id);
  const reply = await askSeeds(wanted.value, request);
  if (reply.kind === 'error') return reply;
  const written = await write(context.dir, wanted.value, reply.value, key, options);
  if (written.kind === 'error') return written;
  await tell(context, { ...wanted.value, token }, reply.value.warnings, false);
  return ok(exitStatus.done);
}

/** J3. */
async function judge(context: Context, options: JoinOptions): Promise<Fallible<Wanted>> {
  const { decodeToken, withArticle } = await import('@holdfast/wire/directory');
  const text = options.token === '-' ? Buffer.from(await context.readInput()).toString() : options.token;
  const token = decodeToken(text);
  if (token.kind === 'error') return wrong(`--token: ${token.error.says}`);
  const { role } = token.value;
  if (options.role !== undefined && options.role !== role)
    return wrong(
      `--role: the token is for ${withArticle(role)}, not for ${withArticle(options.role)}`,
      `Leave --role out, or make another token: holdfast token --role ${options.role}`,
    );
  const seeds: Seed[] = [];
  for (const text of options.seed) {
    const seed = parseSeed(text);
    if (seed === null)
      return wrong(
        `--seed: ${JSON.stringify(text)} is not an address`,
        'Write the address of a member, such as 10.77.0.11, 10.77.0.11:7443 or [fd77::11]:7443.',
      );
    seeds.push(seed);
  }
  const host = await hostFacts(options, role === 'server' || role === 'witness');
  return host.kind === 'ok' ? ok({ token: token.value, seeds, host: host.value }) : host;
}

/** ADDRESS, ADDRESS:PORT, [IPV6]:PORT; null for anything else. */
export function parseSeed(text: string): Seed | null {
  if (isIP(text) !== 0) return { address: text, port: portDefault };
  const match = /^(?:\[([^\]]+)\]|([^:]+))(?::(\d{1,5}))?$/.exec(text);
  const address = match?.[1] ?? match?.[2] ?? '';
  const port = Number(match?.[3] ?? portDefault);
  return isIP(address) !== 0 && port >= 1 && port <= 65_535 ? { address, port } : null;
}

/** The first seed that decides. One that gave no answer may have spent the token all the same. */
async function askSeeds(wanted: Wanted, signingRequest: string): Promise<Fallible<members.JoinReply>> {
  const { connectRpc } = await import('@holdfast/wire/rpc');
  const { cluster, authority } = wanted.token;
  const said: string[] = [];
  const advice = new Set<string>();
  for (const { address, port } of wanted.seeds) {
    const client = connectRpc({
      trust: { kind: 'pin', pin: { cluster, authority } },
      addresses: [address],
      port,
    });
    try {
      const reply = await askSeed(client, wanted, signingRequest);
      if (reply.kind === 'ok') return reply;
      const { status, says, fix } = reply.error;
      if (status !== exitStatus.unreachable) {
        if (said.length === 0) return reply;
        return trouble(status, [...said, says].join('\n'), `${fix}\n${maybeAdmitted(wanted)}`);
      }
      said.push(says);
      for (const line of fix.split('\n')) advice.add(line);
    } finally {
      client.close();
    }
  }
  return trouble(exitStatus.unreachable, said.join('\n'), [...advice].join('\n'));
}

function maybeAdmitted({ token, host }: Wanted): string {
  const again = 'join with a new token';
  if (token.role !== 'server' && token.role !== 'witness')
    return `A seed that gave no answer may have spent the token: ${again} then.`;
  return `A seed that gave no answer may have admitted ${host.id} all the same. If holdfast status shows it on a member, holdfast remove ${host.id} there, and ${again}.`;
}

async function askSeed(
  client: RpcClient,
  wanted: Wanted,
  signingRequest: string,
): Promise<Fallible<members.JoinReply>> {
  const { members: contract } = await import('@holdfast/proto');
  const { token, host } = wanted;
  const request = {
    tokenId: token.id,
    tokenSecret: token.secret,
    node: host.id,
    role: token.role,
    addresses: [...host.addresses],
    signingRequest,
    ports: host.ports,
  };
  const answer = await client.call(contract.MembersService.join, request, joinMs);
  if (answer.kind === 'ok') return ok(answer.value);
  const { error } = answer;
  switch (error.kind) {
    case 'refused':
    case 'invalid':
    case 'not-found':
      return wrong(
        `the cluster did not admit ${host.id}: ${error.message}`,
        'A token works once and for a limited time; `holdfast token` on a member makes a new one.',
      );
    case 'certificate':
      return error.problem === 'wrong-authority' || error.problem === 'wrong-cluster'
        ? wrong(error.message, 'Is this the cluster that the token was made in?')
        : trouble(exitStatus.unreachable, error.message, 'Check --seed and the clocks of both hosts.');
    case 'deadline':
      return trouble(exitStatus.unreachable, error.message, `${isItThere}\n${maybeAdmitted(wanted)}`);
    case 'unreachable':
      return trouble(exitStatus.unreachable, error.message, isItThere);
    case 'unsafe':
    case 'cancelled':
    case 'internal':
      return callTrouble(error, 'join');
  }
}

/** What was obtained becomes a directory; a reply that does not fit together is refused there. */
async function write(
  dir: string,
  { token, host }: Wanted,
  reply: members.JoinReply,
  key: string,
  options: JoinOptions,
): Promise<Fallible<null>> {
  const { createMemberDirectory, fingerprint, parseCertificate } = await import('@holdfast/wire/directory');
  const authority = parseCertificate(reply.authority);
  if (authority === null || !fingerprint(authority).equals(token.authority))
    return trouble(
      exitStatus.failed,
      'the cluster sent another authority than the one in the token',
      'Do not use that member; look who answers at --seed.',
    );
  const { id, addresses, ports } = host;
  const { role, cluster } = token;
  const { etcdCa, etcdCert, etcdKey } = options;
  const external = {
    endpoints: reply.externalEtcd,
    ...(etcdCa !== undefined && { caFile: resolve(etcdCa) }),
    ...(etcdCert !== undefined && { certFile: resolve(etcdCert) }),
    ...(etcdKey !== undefined && { keyFile: resolve(etcdKey) }),
  };
  const known = reply.members.flatMap((member) => knownMember(member) ?? []);
  const votes = role === 'server' || role === 'witness';
  const self: readonly KnownMember[] =
    !votes || known.some((member) => member.id === id) ? [] : [{ id, role, addresses, ports, voter: false }];
  const contents: MemberContents = {
    record: {
      format: 1,
      cluster,
      id,
      role,
      addresses,
      ports,
      members: [...known, ...self],
      externalEtcd: reply.externalEtcd.length === 0 ? null : external,
    },
    authority: reply.authority,
    authorityKey: reply.authorityKey === '' ? null : reply.authorityKey,
    certificate: reply.certificate,
    key,
    heartbeatKey: reply.heartbeatKey.length === 0 ? null : reply.heartbeatKey,
  };
  const created = await createMemberDirectory(dir, contents);
  if (created.kind === 'ok') return ok(null);
  const { error } = directoryTrouble(created.error);
  const removed = votes ? `, and ${id} is a member by now: \`holdfast remove ${id}\` on another one` : '';
  return trouble(
    error.status,
    error.says,
    `${error.fix} The token is spent${removed}. Make a new token with \`holdfast token\`.`,
  );
}

/** Null for a member of a kind that this version does not know. */
function knownMember({ id, role, addresses, ports, voter }: members.MemberInfo): KnownMember | null {
  if (ports === undefined) return null;
  if (role !== 'server' && role !== 'witness' && role !== 'operator' && role !== 'viewer') return null;
  const { grpc, heartbeat, mirror, metrics, etcdClient, etcdPeer } = ports;
  const own: MemberPorts = { grpc, heartbeat, mirror, metrics, etcdClient, etcdPeer };
  return { id, role, addresses, ports: own, voter };
}

async function tell(
  context: Context,
  { token, host }: Wanted,
  warnings: readonly string[],
  dryRun: boolean,
): Promise<void> {
  const { cluster, role } = token;
  const dir = resolve(context.dir);
  for (const warning of warnings) context.terminal.err(`holdfast: warning: ${warning}\n`);
  const runs = role === 'server' || role === 'witness';
  await show(context, {
    value: { cluster, node: host.id, role, addresses: host.addresses, dir, warnings, dryRun },
    lines: (paint) =>
      dryRun
        ? [
            `dry run: the token is well-formed; would join ${role} ${host.id} to the cluster ${cluster} in ${dir}`,
          ]
        : [
            `${paint('green', 'joined')} the cluster ${paint('bold', cluster)} as ${role} ${paint('bold', host.id)} in ${dir}`,
            runs ? 'nothing runs yet. Next: holdfast run (or its service)' : 'try: holdfast status',
          ],
  });
}
