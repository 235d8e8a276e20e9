/**
 * What the agent tells the quorum service beside it of one heartbeat: a line of text. Everything but its times comes first and
 * is the same from one heartbeat to the next, so that it is read and checked once; the times follow after a tab, as numbers.
 *
 *   {"from":"b","path":0, ..., "vantage":[["a",0],["a",1]]} TAB [sentAt, echo sentAt, echo ageMs, ageMs, rttMs, ageMs, rttMs]
 */

import * as z from 'zod';
import { epoch, type Parsed } from './codec.ts';
import type { Heartbeat, HeardRow } from './heartbeat.ts';
import { mirrorStates } from './mirror/report.ts';
import type { Epoch, MemberId } from './names.ts';

export interface HeardLine {
  readonly from: MemberId;
  readonly path: number;
  readonly heartbeat: Heartbeat;
}

const head = z.object({
  from: z.string().min(1).max(63),
  path: z.number().int().min(0).max(15),
  version: z.string(),
  bootId: z.string().min(1).max(64).optional(),
  leaving: z.boolean(),
  addresses: z.array(z.string()),
  groups: z.array(
    z.object({
      group: z.string(),
      epoch,
      state: z.enum(['acquiring', 'active', 'releasing', 'fenced', 'failed']),
      drained: z.array(z.string()).optional(),
    }),
  ),
  vantage: z.array(z.tuple([z.string(), z.number()])),
  diagnoses: z.array(z.object({ member: z.string(), path: z.number(), says: z.string() })),
  mirrors: z
    .array(
      z.object({
        mirror: z.string(),
        epoch,
        target: z.string(),
        state: z.enum(mirrorStates),
        consistent: z.boolean(),
        behindBytes: z.number(),
        behindMs: z.number(),
        totalBytes: z.number(),
        doneBytes: z.number(),
        rateBytesPerSecond: z.number(),
        says: z.string(),
        export: z.string().optional(),
        hot: z.object({ count: z.number(), named: z.array(z.string()) }).optional(),
      }),
    )
    .optional(),
});

type Head = z.infer<typeof head>;

const times = z.array(z.number().nullable());

/** `sentAt`, and the two of the echo; then two for each row of the vantage. */
const ownTimes = 3;

/** Without the end of the line. */
export function heardText({ from, path, heartbeat }: HeardLine): string {
  const { sentAt, echo, version, bootId, leaving, addresses, groups, vantage, diagnoses, mirrors } =
    heartbeat;
  const same = {
    from,
    path,
    version,
    bootId,
    leaving,
    addresses,
    groups: groups.map(withText),
    vantage: vantage.map((row) => [row.member, row.path]),
    diagnoses,
    mirrors: mirrors?.map(withText),
  };
  const changing = [sentAt, echo?.sentAt ?? null, echo?.ageMs ?? null];
  for (const { ageMs, rttMs } of vantage) changing.push(ageMs, rttMs);
  return `${JSON.stringify(same)}\t${JSON.stringify(changing)}`;
}

/** A function that JSON.stringify asks about each field would take longer than all else. */
function withText(row: { readonly epoch: Epoch }): unknown {
  return { ...row, epoch: row.epoch.toString() };
}

export function parseHeard(text: string): Parsed<HeardLine> {
  const tab = text.indexOf('\t');
  const same = headOf(text.slice(0, Math.max(0, tab)));
  if (same.kind === 'garbage') return same;
  const changing = read(times, text.slice(tab + 1));
  if (changing.kind === 'garbage') return changing;
  const heartbeat = heartbeatOf(same.value, changing.value);
  return heartbeat === null
    ? { kind: 'garbage', says: 'a line of the relay has other times than it should' }
    : { kind: 'ok', value: { from: same.value.from, path: same.value.path, heartbeat } };
}

/** The same text was checked before. */
const known = new Map<string, Head>();
/** Of each member and path there is one at a time. */
const knownMax = 256;

function headOf(text: string): Parsed<Head> {
  const found = known.get(text);
  if (found !== undefined) return { kind: 'ok', value: found };
  const parsed = read(head, text);
  if (known.size >= knownMax) known.clear();
  if (parsed.kind === 'ok') known.set(text, parsed.value);
  return parsed;
}

function read<T>(schema: z.ZodType<T>, text: string): Parsed<T> {
  let raw: unknown;
  try {
    raw = JSON.parse(text);
  } catch {
    return { kind: 'garbage', says: 'a line of the relay is not JSON' };
  }
  const parsed = schema.safeParse(raw);
  if (parsed.success) return { kind: 'ok', value: parsed.data };
  const where = parsed.error.issues[0]?.path.join('.') ?? '';
  return { kind: 'garbage', says: `a line of the relay is malformed: ${where}` };
}

/** Null: these are not the times of that heartbeat. */
function heartbeatOf(same: Head, numbers: readonly (number | null)[]): Heartbeat | null {
  const [sentAt = null, echoSentAt = null, echoAgeMs = null] = numbers;
  if (sentAt === null || (echoSentAt === null) !== (echoAgeMs === null)) return null;
  if (numbers.length !== ownTimes + 2 * same.vantage.length) return null;
  const vantage: HeardRow[] = [];
  for (const [member, path] of same.vantage) {
    const at = ownTimes + 2 * vantage.length;
    const ageMs = numbers[at] ?? null;
    if (ageMs === null) return null;
    vantage.push({ member, path, ageMs, rttMs: numbers[at + 1] ?? null });
  }
  const { version, bootId, leaving, addresses, groups, diagnoses, mirrors } = same;
  return {
    kind: 'heartbeat',
    sentAt,
    echo: echoSentAt === null || echoAgeMs === null ? null : { sentAt: echoSentAt, ageMs: echoAgeMs },
    version,
    ...(bootId === undefined ? {} : { bootId }),
    leaving,
    addresses,
    groups,
    vantage,
    diagnoses,
    ...(mirrors === undefined ? {} : { mirrors }),
  };
}
