/**
 * What is said on run/mirror.sock, between the mirror process of a member and its agent or its quorum service: one JSON
 * object per line, both ways, UTF-8. Epochs are decimal strings, for they have 64 bits. Times are boot time of this host.
 *
 *   request, with an id             answers with that id
 *   orders                          done; from then on this client gets a report at every change, at most every 200 ms
 *   open     mirror, epoch, forced  done when the copy is writable here, or failed
 *   drain    mirror, to, limitMs    drained: the targets that hold everything; or failed
 *   run      what a person asked    any number of rows, then done or failed
 *
 * A line has at most `mirrorLineBytesMax`. One that is longer, or no request, is counted and dropped; a request with a
 * wrong field is answered with failed. Nothing that a client sends can stop the process. Orders are level-triggered.
 * A path that is not UTF-8 has its odd bytes written as \xNN.
 */
import * as z from 'zod';

export const mirrorLineBytesMax = 1_048_576;

const name = z.string().min(1).max(127);
const text = z.string().max(4_096);
const path = z.string().max(16_384);
const count = z.number().min(0);
const bits = z.number().positive().nullable();
const epoch = z
  .string()
  .regex(/^\d{1,20}$/)
  .transform((digits) => BigInt(digits));

const throttle = z.object({
  otherwiseBits: bits,
  windows: z
    .array(
      z.object({
        window: z.object({
          days: z.array(z.int().min(0).max(6)).max(7).readonly(),
          fromMinute: z.int().min(0).max(1_440),
          toMinute: z.int().min(0).max(1_440),
        }),
        bits,
      }),
    )
    .max(256)
    .readonly(),
});

const target = z.object({
  member: name,
  addresses: z.array(z.string().max(64)).max(16).readonly(),
  port: z.int().min(1).max(65_535),
  throttle: throttle.nullable(),
  compress: z.enum(['auto', 'always', 'never']),
  encrypt: z.enum(['always', 'never']),
  elsewhere: z.literal(true).optional(),
  paused: text.nullable(),
});

const role = z.discriminatedUnion('kind', [
  z.object({
    kind: z.literal('source'),
    epoch,
    grantUntil: z.number().nullable(),
    targets: z.array(target).max(256).readonly(),
  }),
  z.object({
    kind: z.literal('target'),
    epoch,
    sources: z.array(name).max(256).readonly(),
    forced: epoch.optional(),
  }),
  z.object({ kind: z.literal('idle'), epoch, says: text }),
]);

const dataset = z.discriminatedUnion('kind', [
  z.object({
    kind: z.literal('files'),
    root: path.min(1),
    include: z.array(path).max(1_024).readonly(),
    exclude: z.array(path).max(1_024).readonly(),
    devices: z.boolean(),
    scanEveryMs: count,
  }),
  z.object({
    kind: z.literal('volume'),
    path: path.min(1),
    sizeBytes: z.int().min(1),
    mode: z.enum(['async', 'sync']),
    onTargetLoss: z.enum(['continue', 'block']),
    targetLossMs: count,
    granularityBytes: z.int().min(1),
  }),
]);

const order = z.object({
  mirror: name,
  dataset,
  keepMaxBytes: count.nullable(),
  role,
});

const run = z.object({
  kind: z.enum(['resync', 'verify', 'list', 'show', 'restore', 'discard', 'open', 'close']),
  mirror: name,
  /** Empty: every target. The path of blocks of a volume is their offset in decimal digits. */
  target: z.string().max(127),
  /** With an empty target only these; empty or not said: every one. */
  targets: z.array(name).max(256).readonly().optional(),
  repair: z.boolean(),
  path,
  to: path,
  /** open: under an overlay that is thrown away. */
  writable: z.boolean().optional(),
});

const id = z.number().int();

const request = z.discriminatedUnion('type', [
  z.object({ type: z.literal('orders'), id, mirrors: z.array(order).max(1_024).readonly() }),
  z.object({ type: z.literal('open'), id, mirror: name, epoch, forced: z.boolean() }),
  z.object({ type: z.literal('drain'), id, mirror: name, to: name.nullable(), limitMs: count }),
  z.object({ type: z.literal('run'), id, run }),
]);

const state = z.enum([
  'initial-copy',
  'resync',
  'replicating',
  'paused',
  'waiting',
  'disconnected',
  'diverged',
  'failed',
]);

const report = z.discriminatedUnion('kind', [
  z.object({
    kind: z.literal('source'),
    mirror: name,
    epoch,
    sequence: count,
    says: text,
    export: text.nullable(),
    dataTrouble: text.optional(),
    kept: z.object({ entries: count, bytes: count }).optional(),
    targets: z
      .array(
        z.object({
          target: name,
          state,
          consistent: z.boolean(),
          behindBytes: count,
          behindMs: count,
          totalBytes: count,
          doneBytes: count,
          rateBytesPerSecond: count,
          says: text,
          hot: z.object({ count, named: z.array(path).max(16).readonly() }).optional(),
        }),
      )
      .max(256)
      .readonly(),
  }),
  z.object({
    kind: z.literal('target'),
    mirror: name,
    epoch,
    sequence: count,
    consistent: z.boolean(),
    state,
    word: z.object({ at: z.number(), behindMs: count, behindBytes: count }).nullable(),
    says: text,
    choice: z.literal(true).optional(),
    refusedEpochs: count.optional(),
    notes: z
      .object({
        foreign: count.nullable(),
        unprotected: text,
        keptEntries: count,
        keptBytes: count,
      })
      .optional(),
  }),
]);

/** Blocks of a volume; the path is empty. */
const extent = { offset: z.int().min(0).optional(), length: z.int().min(0).optional() };

const row = z.discriminatedUnion('kind', [
  z.object({ kind: z.literal('progress'), target: text, done: count, total: count, unit: text }),
  z.object({
    kind: z.literal('difference'),
    target: text,
    path,
    what: text,
    mended: z.boolean().optional(),
    ...extent,
  }),
  z.object({
    kind: z.literal('verified'),
    target: text,
    compared: count,
    differing: count,
    mended: count.optional(),
    /** Not empty: it was not compared, and why. */
    says: text.optional(),
  }),
  z.object({
    kind: z.literal('kept'),
    path,
    size: count,
    modifiedMs: z.number(),
    change: z.enum(['written', 'created', 'deleted']),
    from: text,
    epoch,
    kept: z.boolean(),
    ...extent,
  }),
]);

/** not-found: of that name there is nothing here. invalid: it can't be done so. failed: it was tried. */
const failedKind = z.enum(['not-found', 'invalid', 'failed']);

const message = z.discriminatedUnion('type', [
  z.object({
    type: z.literal('report'),
    reports: z.array(report).max(1_024).readonly(),
    problems: z.array(text).max(64).readonly(),
  }),
  z.object({ type: z.literal('row'), id, row }),
  z.object({ type: z.literal('drained'), id, targets: z.array(name).max(256).readonly() }),
  /** settled: that was all, and nobody else need be told. */
  z.object({ type: z.literal('done'), id, says: text, settled: z.literal(true).optional() }),
  z.object({ type: z.literal('failed'), id, kind: failedKind, says: text }),
]);

export type MirrorSocketRequest = z.infer<typeof request>;
export type MirrorSocketMessage = z.infer<typeof message>;
export type MirrorSocketOrder = z.infer<typeof order>;
export type MirrorSocketReport = z.infer<typeof report>;
export type MirrorRun = z.infer<typeof run>;
export type MirrorRunRow = z.infer<typeof row>;
export type MirrorFailedKind = z.infer<typeof failedKind>;

/** One line, with its end. */
export function mirrorLine(value: MirrorSocketRequest | MirrorSocketMessage): string {
  const plain = (_key: string, field: unknown): unknown =>
    typeof field === 'bigint' ? field.toString() : field;
  return `${JSON.stringify(value, plain)}\n`;
}

export type ParsedMirrorRequest =
  | { readonly kind: 'request'; readonly request: MirrorSocketRequest }
  /** Something with an id, that can be told what is wrong. */
  | { readonly kind: 'wrong'; readonly id: number; readonly says: string }
  | { readonly kind: 'garbage' };

export function parseMirrorRequest(line: string): ParsedMirrorRequest {
  const raw = parseJson(line);
  const parsed = request.safeParse(raw);
  if (parsed.success) return { kind: 'request', request: parsed.data };
  const known = z.object({ id }).safeParse(raw);
  if (!known.success) return { kind: 'garbage' };
  const issue = parsed.error.issues[0];
  const says = `${issue?.path.map(String).join('.') ?? ''}: ${issue?.message ?? 'not understood'}`;
  return { kind: 'wrong', id: known.data.id, says };
}

/** Null for what no mirror process that we know says. */
export function parseMirrorMessage(line: string): MirrorSocketMessage | null {
  const parsed = message.safeParse(parseJson(line));
  return parsed.success ? parsed.data : null;
}

function parseJson(line: string): unknown {
  try {
    return JSON.parse(line);
  } catch {
    // No JSON is no message.
    return null;
  }
}
