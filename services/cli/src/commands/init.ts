/** `holdfast init`: makes the cluster's authority and its first member. Starts nothing. */
import { randomBytes } from 'node:crypto';
import { resolve } from 'node:path';
import type { ExternalEtcd, MemberContents, MemberRecord } from '@holdfast/wire/directory';
import type { Context } from '../context.ts';
import { exitStatus } from '../exit-status.ts';
import { show } from '../show.ts';
import { directoryTrouble, ok, wrong, type Ended, type Fallible } from '../trouble.ts';
import { hostFacts, type HostOptions } from './host-options.ts';
import { refuseMember } from './member-place.ts';

export interface InitOptions extends HostOptions {
  readonly cluster: string;
  readonly role: 'server' | 'witness';
  readonly etcd?: readonly string[];
  readonly dryRun?: boolean;
}

export async function init(context: Context, options: InitOptions): Promise<Ended> {
  const record = await recordOf(options);
  if (record.kind === 'error') return record;
  const { warnings } = record.value;
  const occupied = await refuseMember(context.dir);
  if (occupied !== null) return occupied;
  if (options.dryRun !== true) {
    const made = await make(context.dir, record.value.record);
    if (made.kind === 'error') return made;
  }
  for (const warning of warnings) context.terminal.err(`holdfast: warning: ${warning}\n`);
  await tell(context, record.value.record, options.dryRun ?? false);
  return ok(exitStatus.done);
}

interface Planned {
  readonly record: MemberRecord;
  readonly warnings: readonly string[];
}

async function recordOf(options: InitOptions): Promise<Fallible<Planned>> {
  const { nameProblem } = await import('@holdfast/wire/directory');
  const { cluster, role } = options;
  const badName = nameProblem('cluster', cluster);
  if (badName !== null) return wrong(`--cluster: ${badName}`);
  const facts = await hostFacts(options, true);
  if (facts.kind === 'error') return facts;
  const external = externalEtcd(options);
  if (external.kind === 'error') return external;
  const { id, addresses, ports, warnings } = facts.value;
  const self = { id, role, addresses, ports, voter: true };
  return ok({
    record: { format: 1, cluster, id, role, addresses, ports, members: [self], externalEtcd: external.value },
    warnings,
  });
}

/** An etcd that Holdfast does not run, or null. */
function externalEtcd(options: InitOptions): Fallible<ExternalEtcd | null> {
  const { etcd = [], etcdCa, etcdCert, etcdKey } = options;
  const files = {
    ...(etcdCa !== undefined && { caFile: resolve(etcdCa) }),
    ...(etcdCert !== undefined && { certFile: resolve(etcdCert) }),
    ...(etcdKey !== undefined && { keyFile: resolve(etcdKey) }),
  };
  if (etcd.length === 0) {
    if (Object.keys(files).length === 0) return ok(null);
    return wrong(
      '--etcd-ca, --etcd-cert and --etcd-key are for an etcd of your own',
      'Give its endpoints with --etcd.',
    );
  }
  const bad = etcd.find((url) => !isEndpoint(url));
  if (bad !== undefined)
    return wrong(`--etcd: ${JSON.stringify(bad)} is not an endpoint`, 'Write it as https://ADDRESS:PORT.');
  if ((etcdCert === undefined) !== (etcdKey === undefined))
    return wrong('--etcd-cert and --etcd-key belong together', 'Give both or none.');
  return ok({ endpoints: etcd, ...files });
}

function isEndpoint(text: string): boolean {
  const url = URL.canParse(text) ? new URL(text) : null;
  return (
    url !== null && ['http:', 'https:'].includes(url.protocol) && url.hostname !== '' && url.pathname === '/'
  );
}

async function make(dir: string, record: MemberRecord): Promise<Fallible<null>> {
  const [{ createMemberDirectory, heartbeatKeyBytes }, pki] = await Promise.all([
    import('@holdfast/wire/directory'),
    import('@holdfast/wire/pki'),
  ]);
  const { cluster, id, role, addresses } = record;
  const authority = await pki.createAuthority(cluster);
  const { request, key } = await pki.createSigningRequest(id);
  const peer = { cluster, id, role };
  const certificate = await pki.issueCertificate(authority, request, { peer, addresses });
  if (certificate.kind === 'error') return wrong(certificate.error.says);
  const contents: MemberContents = {
    record,
    authority: authority.certificate,
    authorityKey: authority.key,
    certificate: certificate.value,
    key,
    heartbeatKey: randomBytes(heartbeatKeyBytes),
  };
  const created = await createMemberDirectory(dir, contents);
  return created.kind === 'ok' ? ok(null) : directoryTrouble(created.error);
}

async function tell(context: Context, record: MemberRecord, dryRun: boolean): Promise<void> {
  const { cluster, id, role, addresses } = record;
  const dir = resolve(context.dir);
  const value = { cluster, node: id, role, addresses, dir, dryRun };
  await show(context, {
    value,
    lines: (paint) =>
      dryRun
        ? [`dry run: would make the cluster ${cluster} with ${role} ${id} in ${dir}`]
        : [
            `${paint('green', 'made')} the cluster ${paint('bold', cluster)} with ${role} ${paint('bold', id)} in ${dir}`,
            'nothing runs yet. Next:',
            '  holdfast run           on this host (or its service)',
            '  holdfast token         for each further member, which then runs `holdfast join`',
          ],
  });
}
