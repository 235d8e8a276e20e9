/** `member.json`: who this member is and whom it knows. Parsed here, once, into an immutable record. */
import * as z from 'zod';
import { isAddress, isName } from './names.ts';

const port = z.int().min(1).max(65_535);
const name = z.string().refine(isName, 'not a name: a-z, 0-9 and inner hyphens, at most 63 characters');
const address = z.string().refine(isAddress, 'not an IPv4 or IPv6 address');
const role = z.enum(['server', 'witness', 'operator', 'viewer']);

const portsSchema = z
  .strictObject({
    grpc: port,
    heartbeat: port,
    mirror: port,
    metrics: port,
    etcdClient: port,
    etcdPeer: port,
  })
  .readonly();

const knownMemberSchema = z
  .strictObject({
    id: name,
    role,
    addresses: z.array(address).max(16).readonly(),
    ports: portsSchema,
    voter: z.boolean(),
  })
  .readonly();

const externalEtcdSchema = z
  .strictObject({
    endpoints: z.array(z.string().min(1)).min(1).max(16).readonly(),
    caFile: z.string().min(1).optional(),
    certFile: z.string().min(1).optional(),
    keyFile: z.string().min(1).optional(),
  })
  .readonly();

export const memberRecordSchema = z
  .strictObject({
    format: z.literal(1),
    cluster: name,
    id: name,
    role,
    addresses: z.array(address).max(16).readonly(),
    ports: portsSchema,
    members: z.array(knownMemberSchema).max(256).readonly(),
    externalEtcd: externalEtcdSchema.nullable(),
  })
  .readonly();

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
export function recordProblem(error: z.ZodError): string {
  const issue = error.issues[0];
  if (issue === undefined) return 'is not valid';
  const where = issue.path.map(String).join('.');
  return where === '' ? issue.message : `${where}: ${issue.message}`;
}
