/** A member's record in the store. */

import * as z from 'zod';
import type { Member } from './names.ts';

const schema = z.object({
  id: z.string().min(1).max(63),
  role: z.enum(['server', 'witness']),
  addresses: z.array(z.string().max(64)).min(1).max(8),
  voter: z.boolean(),
  ports: z.object({ mirror: z.number().int().min(1).max(65_535) }).optional(),
});

export function parseMember(
  text: string,
): { readonly kind: 'ok'; readonly value: Member } | { readonly kind: 'garbage'; readonly says: string } {
  let raw: unknown;
  try {
    raw = JSON.parse(text);
  } catch {
    return { kind: 'garbage', says: 'member record is not JSON' };
  }
  const result = schema.safeParse(raw);
  if (result.success) {
    const { ports, ...member } = result.data;
    return { kind: 'ok', value: ports === undefined ? member : { ...member, mirrorPort: ports.mirror } };
  }
  return { kind: 'garbage', says: `member record: ${result.error.issues[0]?.message ?? 'malformed'}` };
}
