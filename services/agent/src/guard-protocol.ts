/**
 * The client's side of the guard's protocol: newline-delimited JSON over a Unix socket, times on the boot clock of this
 * host, epochs as decimal strings. The guard imports nothing of ours and we import nothing of it, so the shapes are
 * said again here; a field that we do not use is left out.
 */

import * as z from 'zod';

/** One group of an `arm`, which replaces all groups that were armed before. */
export interface GuardGroup {
  readonly group: string;
  readonly epoch: string;
  readonly fenceAtMs: number;
  readonly doneByMs: number;
  /** All at once, first. */
  readonly drops: readonly (readonly string[])[];
  /** One after the other. */
  readonly stops: readonly { readonly argv: readonly string[]; readonly timeoutMs: number }[];
}

export type GuardRequest =
  | { readonly type: 'arm'; readonly watchdog: string | null; readonly groups: readonly GuardGroup[] }
  | { readonly type: 'fence'; readonly group: string }
  | { readonly type: 'state' | 'disarm' };

const id = z.number();
const epoch = z
  .string()
  .regex(/^\d{1,20}$/)
  .transform((text) => BigInt(text));
const outcome = z.object({
  group: z.string(),
  epoch,
  ok: z.boolean(),
  atMs: z.number(),
  failures: z.array(z.string()),
});

const state = z.object({
  type: z.literal('state'),
  id,
  armed: z.array(z.object({ group: z.string(), epoch, fenceAtMs: z.number(), doneByMs: z.number() })),
  fencing: z.array(z.object({ group: z.string(), epoch })),
  fenced: z.array(outcome),
});

const message = z.discriminatedUnion('type', [
  z.object({ type: z.literal('armed'), id }),
  z.object({ type: z.literal('accepted'), id }),
  z.object({ type: z.literal('disarmed'), id }),
  z.object({ type: z.literal('refused'), id, reason: z.string(), groups: z.array(z.string()) }),
  state,
  z.object({ type: z.literal('fencing'), group: z.string(), epoch, reason: z.string() }),
  outcome.extend({ type: z.literal('fenced') }),
  z.object({ type: z.literal('watchdog'), device: z.string(), says: z.string() }),
]);

export type GuardMessage = z.infer<typeof message>;
export type GuardState = z.infer<typeof state>;

/** Null for what no guard that we know says. */
export function parseGuardMessage(line: string): GuardMessage | null {
  let raw: unknown;
  try {
    raw = JSON.parse(line);
  } catch {
    return null;
  }
  const parsed = message.safeParse(raw);
  return parsed.success ? parsed.data : null;
}
