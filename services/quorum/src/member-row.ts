/** A member's record in the store, with its ports: core needs only who and where, the shell also which door. */

import { keys } from '@holdfast/core';
import { defaultPorts, type KnownMember, type MemberPorts } from '@holdfast/wire/directory';
import type { members } from '@holdfast/proto';
import * as z from 'zod';
import type { Store } from './store.ts';

const port = z.number().int().min(1).max(65_535);
const schema = z.object({
  id: z.string(),
  role: z.enum(['server', 'witness']),
  addresses: z.array(z.string()),
  voter: z.boolean(),
  ports: z
    .object({ grpc: port, heartbeat: port, mirror: port, metrics: port, etcdClient: port, etcdPeer: port })
    .default(defaultPorts),
});

export type MemberRow = z.infer<typeof schema>;

export const encodeMember = (row: MemberRow): string => JSON.stringify(row);

export function parseMemberRow(text: string): MemberRow | null {
  try {
    const parsed = schema.safeParse(JSON.parse(text));
    return parsed.success ? parsed.data : null;
  } catch {
    return null;
  }
}

export type ReadMembers =
  | { readonly kind: 'ok'; readonly rows: readonly (MemberRow & { readonly revision: bigint })[] }
  | { readonly kind: 'unknown'; readonly says: string };

export async function readMembers(store: Store, deadlineMs: number): Promise<ReadMembers> {
  const answer = await store.read(keys.members, deadlineMs);
  if (answer.kind === 'unknown') return answer;
  const rows = answer.rows.flatMap((row) => {
    const parsed = parseMemberRow(row.value);
    return parsed === null ? [] : [{ ...parsed, revision: row.modRevision }];
  });
  return { kind: 'ok', rows };
}

export function toKnown(row: MemberRow): KnownMember {
  return { id: row.id, role: row.role, addresses: row.addresses, ports: row.ports, voter: row.voter };
}

export function toPorts(ports: MemberPorts): members.Ports {
  return { ...ports };
}

/** Ports that a joining member names; zero means the default. */
export function fromPorts(ports: members.Ports | undefined): MemberPorts {
  const pick = (name: keyof MemberPorts): number => {
    const given = ports?.[name] ?? 0;
    return given > 0 && given < 65_536 ? given : defaultPorts[name];
  };
  return {
    grpc: pick('grpc'),
    heartbeat: pick('heartbeat'),
    mirror: pick('mirror'),
    metrics: pick('metrics'),
    etcdClient: pick('etcdClient'),
    etcdPeer: pick('etcdPeer'),
  };
}
