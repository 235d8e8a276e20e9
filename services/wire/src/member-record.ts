/**
 * `member.json`: who this member is and whom it knows. Parsed here, once, into an immutable record. By zod's smaller half: every
 * command reads it, and the other takes longer to load than all else about a record.
 */
import { en } from 'zod/locales';
import * as z from 'zod/mini';
import { isAddress, isName } from './names.ts';

// Its messages; the smaller half comes without.
z.config(en());

const port = z.int().check(z.minimum(1), z.maximum(65_535));
const name = z
  .string()
  .check(z.refine(isName, 'not a name: a-z, 0-9 and inner hyphens, at most 63 characters'));
const address = z.string().check(z.refine(isAddress, 'not an IPv4 or IPv6 address'));
const addresses = z.readonly(z.array(address).check(z.maxLength(16)));
const role = z.enum(['server', 'witness', 'operator', 'viewer']);
const path = z.optional(z.string().check(z.minLength(1)));

const portsSchema = z.readonly(
  z.strictObject({
    grpc: port,
    heartbeat: port,
    mirror: port,
    metrics: port,
    etcdClient: port,
    etcdPeer: port,
  }),
);

const knownMemberSchema = z.readonly(
  z.strictObject({ id: name, role, addresses, ports: portsSchema, voter: z.boolean() }),
);

const externalEtcdSchema = z.readonly(
  z.strictObject({
    endpoints: z.readonly(z.array(z.string().check(z.minLength(1))).check(z.minLength(1), z.maxLength(16))),
    caFile: path,
    certFile: path,
    keyFile: path,
  }),
);

export const memberRecordSchema = z.readonly(
  z.strictObject({
    format: z.literal(1),
    cluster: name,
    id: name,
    role,
    addresses,
    ports: portsSchema,
    members: z.readonly(z.array(knownMemberSchema).check(z.maxLength(256))),
    externalEtcd: z.nullable(externalEtcdSchema),
  }),
);

/** TCP ports, except heartbeat, which is UDP. */
export type MemberPorts = z.infer<typeof portsSchema>;
/** A member as this one last heard of it; its first address is on the service network. */
export type KnownMember = z.infer<typeof knownMemberSchema>;
export type ExternalEtcd = z.infer<typeof externalEtcdSchema>;
export type MemberRecord = z.infer<typeof memberRecordSchema>;

export const defaultPorts: MemberPorts = {
  grpc: 7443,
  heartbeat: 7444,
  mirror: 7445,
  metrics: 7446,
  etcdClient: 7447,
  etcdPeer: 7448,
};

/** What is wrong with a value that should be a record, in one line: the first problem and where it is. */
export function recordProblem(error: z.core.$ZodError): string {
  const issue = error.issues[0];
  if (issue === undefined) return 'is not valid';
  const where = issue.path.map(String).join('.');
  return where === '' ? issue.message : `${where}: ${issue.message}`;
}
