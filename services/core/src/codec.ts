/**
 * Records to text and back. Text from the store is parsed here, once; what can't be parsed is an error value, never
 * a guess. Encoding is canonical: the same record always gives the same text, because renewals are compared as text.
 */

import * as z from 'zod';
import type {
  EndedOperation,
  EventRecord,
  GroupRecord,
  LeaderRecord,
  MaintenanceRecord,
  PauseRecord,
  RenewalRecord,
} from './records.ts';
import { mirrorStates } from './mirror/report.ts';

export type Parsed<T> =
  { readonly kind: 'ok'; readonly value: T } | { readonly kind: 'garbage'; readonly says: string };

export const epoch = z
  .string()
  .regex(/^\d{1,20}$/)
  .transform((s) => BigInt(s));
const id = z.string().min(1).max(253);
const words = z.string().max(16_384);

const step = z.object({
  name: words,
  server: id,
  ms: z.number(),
  outcome: z.enum(['running', 'done', 'failed']),
  says: words,
});

const ownership = z.discriminatedUnion('kind', [
  z.object({ kind: z.literal('unowned'), epoch, lastOwner: id.nullable() }),
  z.object({
    kind: z.literal('owned'),
    epoch,
    owner: id,
    after: z.object({ server: id, epoch }).optional(),
  }),
  z.object({ kind: z.literal('releasing'), epoch, owner: id, to: id.nullable() }),
]);

const operationBase = {
  id,
  group: id,
  kind: z.enum(['start', 'failover', 'switchover', 'failback', 'release']),
  from: id.nullable(),
  to: id.nullable(),
  by: words,
  forced: z.boolean(),
  reason: words,
  startedAt: z.number(),
  steps: z.array(step),
};

const operation = z.object({
  ...operationBase,
  phase: z.enum(['awaiting-approval', 'releasing', 'acquiring', 'rolling-back']),
});

const endedOperation = z.object({
  ...operationBase,
  outcome: z.enum(['done', 'failed', 'rolled-back', 'denied']),
  endedAt: z.number(),
  says: words,
});

const group = z.object({
  group: id,
  ownership,
  operation: operation.nullable(),
  ownerBoot: z.string().nullable(),
  failovers: z.array(z.number()),
  moves: z.array(z.number()).optional(),
  failedBackAt: z.number().optional(),
  failbackWaits: z.object({ server: id, why: words, chosen: id.optional() }).optional(),
  refusedAt: z.number().optional(),
  denied: z.object({ epoch, word: z.enum(['silent', 'fenced']), by: words }).optional(),
  reason: words,
  since: z.number(),
  takeoverMs: z.array(z.number()),
  data: z.object({ server: id, epoch }).optional(),
  forced: epoch.optional(),
});

const report = z.object({
  group: id,
  epoch,
  state: z.enum(['acquiring', 'active', 'releasing', 'fenced', 'failed']),
  says: words,
  steps: z.array(step),
  resources: z.record(
    z.string(),
    z.enum(['running', 'stopped', 'starting', 'stopping', 'failed', 'unknown']),
  ),
  wantsRelease: words.nullable(),
  releaseRefused: words.nullable(),
  drained: z.array(id).optional(),
  rested: z.boolean().optional(),
});

const copy = z.object({
  mirror: id,
  epoch,
  sequence: z.number().int().nonnegative(),
  consistent: z.boolean(),
  state: z.enum(mirrorStates),
  lossMs: z.number().nullable(),
  lossBytes: z.number().nullable(),
  wordAgeMs: z.number().nullable(),
  says: words,
  choice: z.literal(true).optional(),
  foreign: z.number().optional(),
  unprotected: words.optional(),
  kept: z.number().optional(),
});

const renewal = z.object({
  server: id,
  incarnation: z.number().int(),
  counter: z.number().int(),
  bootId: z.string(),
  bootRevision: epoch.nullable(),
  version: z.string(),
  leaving: z.boolean(),
  waits: z.record(z.string(), z.number()),
  awaitsFormer: z.boolean().optional(),
  clearing: z.boolean().optional(),
  actsUnder: epoch.optional(),
  asks: z.record(z.string(), z.array(id)).optional(),
  groups: z.array(report),
  mirrors: z.array(copy).optional(),
});

const leader = z.object({
  member: id,
  incarnation: z.number().int(),
  term: z.number().int(),
  left: z.boolean().optional(),
});

const maintenance = z.object({
  cluster: words.nullable(),
  servers: z.record(z.string(), words),
  groups: z.record(z.string(), words),
});

const pauses = z.object({ mirrors: z.record(z.string(), z.record(z.string(), words)) });

const event = z.object({
  id,
  time: z.number(),
  group: id.nullable(),
  server: id.nullable(),
  kind: z.string(),
  reason: words,
  epoch: epoch.nullable(),
  inputs: z.unknown(),
});

function parse<T>(schema: z.ZodType<T>, what: string, text: string): Parsed<T> {
  let raw: unknown;
  try {
    raw = JSON.parse(text);
  } catch {
    return { kind: 'garbage', says: `${what} is not JSON` };
  }
  const result = schema.safeParse(raw);
  if (result.success) return { kind: 'ok', value: result.data };
  const issue = result.error.issues[0];
  return {
    kind: 'garbage',
    says: `${what}: ${issue?.path.join('.') ?? ''} ${issue?.message ?? 'is malformed'}`,
  };
}

/** The watch, reads and answers bring the same text again and again; records are immutable, so one of each will do. */
function once<T>(read: (text: string) => Parsed<T>): (text: string) => Parsed<T> {
  const known = new Map<string, Parsed<T>>();
  return (text) => {
    const found = known.get(text);
    if (found !== undefined) return found;
    const parsed = read(text);
    if (known.size >= knownMax) known.clear();
    known.set(text, parsed);
    return parsed;
  };
}

const knownMax = 64;

export const parseGroup = once((text): Parsed<GroupRecord> => parse(group, 'group record', text));
export const parseRenewal = once((text): Parsed<RenewalRecord> => {
  const found = counted.exec(text);
  const digits = found?.[1];
  if (found === null || digits === undefined) return parse(renewal, 'renewal record', text);
  const to = found.index + found[0].length - 1;
  const rest = text.slice(0, to - digits.length) + text.slice(to);
  const known = uncounted.get(rest);
  if (known !== undefined) return { kind: 'ok', value: { ...known, counter: Number(digits) } };
  const parsed = parse<RenewalRecord>(renewal, 'renewal record', text);
  if (uncounted.size >= knownMax) uncounted.clear();
  if (parsed.kind === 'ok') uncounted.set(rest, parsed.value);
  return parsed;
});

/**
 * Most renewals differ from the one before in nothing but their count. Nothing else looks like it: within strings quotes
 * are escaped, and where names are free, no revision stands beside them.
 */
const counted = /"bootRevision":(?:null|"\d+"),"counter":([1-9]\d{0,14}),/;
const uncounted = new Map<string, RenewalRecord>();

export const parseLeader = (text: string): Parsed<LeaderRecord> => parse(leader, 'leader record', text);
export const parseMaintenance = (text: string): Parsed<MaintenanceRecord> =>
  parse(maintenance, 'maintenance record', text);
export const parsePauses = (text: string): Parsed<PauseRecord> => parse(pauses, 'pause record', text);
export const parseEndedOperation = (text: string): Parsed<EndedOperation> =>
  parse(endedOperation, 'operation record', text);
export const parseEvent = (text: string): Parsed<EventRecord> => parse(event, 'event record', text);

/** Keys in sorted order, 64-bit numbers as strings. */
export function encode(
  record:
    | GroupRecord
    | RenewalRecord
    | LeaderRecord
    | MaintenanceRecord
    | PauseRecord
    | EndedOperation
    | EventRecord,
): string {
  return textOf(record);
}

function textOf(value: unknown): string {
  switch (typeof value) {
    case 'bigint':
      return `"${value.toString()}"`;
    case 'string':
      return quoted(value);
    case 'number':
      return Number.isFinite(value) ? String(value) : 'null';
    case 'object':
      if (value === null) return 'null';
      if (Array.isArray(value)) return listText(value);
      return fieldsText(value instanceof Map ? entriesOf(value) : value);
    case 'boolean':
      return String(value);
    case 'undefined':
    case 'function':
    case 'symbol':
      throw new Error(`a record holds a ${typeof value}`);
  }
}

const entriesOf = (map: ReadonlyMap<string, unknown>): object => Object.fromEntries(map);

/** A renewal tells again what the one before told: the steps of each takeover, who is asked to hold. */
const texts = new WeakMap<readonly unknown[], string>();

function listText(list: readonly unknown[]): string {
  if (list.length === 0) return '[]';
  const known = texts.get(list);
  if (known !== undefined) return known;
  let items = '';
  for (const value of list) items += `${items === '' ? '' : ','}${textOf(value ?? null)}`;
  const text = `[${items}]`;
  texts.set(list, text);
  return text;
}

function fieldsText(record: object): string {
  const fields = record as Readonly<Record<string, unknown>>;
  const names = Object.keys(fields);
  if (!inOrder(names)) names.sort();
  let text = '';
  for (const name of names) {
    const value = fields[name];
    if (value !== undefined) text += `${text === '' ? '' : ','}${quoted(name)}:${textOf(value)}`;
  }
  return `{${text}}`;
}

function inOrder(names: readonly string[]): boolean {
  let last = '';
  for (const name of names) {
    if (name < last) return false;
    last = name;
  }
  return true;
}

/** Most of what is written has nothing to escape, and to see that takes less than to escape it. */
const plain = /^[\w /:.@-]*$/;

function quoted(text: string): string {
  return plain.test(text) ? `"${text}"` : JSON.stringify(text);
}
