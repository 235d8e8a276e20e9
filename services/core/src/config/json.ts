/**
 * The desired state as plain JSON: it is stored in etcd and sent to agents. Reading it checks everything again, as it may
 * come from another version or a damaged store; garbage is a value, never an exception.
 *
 * Unknown keys are dropped here, unlike in the file: during a rolling upgrade a newer member may write more.
 */

import * as z from 'zod';
import type { Command } from '../names.ts';
import type { TimeRules } from '../time.ts';
import { brokenRule } from '../time.ts';
import { parseCidr } from './address.ts';
import { limits } from './limits.ts';
import { noGate } from './mirror.ts';
import type {
  ClusterConfig,
  CopyConfig,
  DatasetConfig,
  DnsConfig,
  FilesConfig,
  GroupConfig,
  Identity,
  LeavingGroup,
  MirrorConfig,
  ResourceConfig,
  ServerConfig,
  Throttle,
  VolumeConfig,
} from './types.ts';

/** Version of this form; a form that older members would misread gets a new number. */
const version = 1;

export interface ConfigJson {
  readonly version: typeof version;
  readonly groups: readonly unknown[];
  readonly servers: readonly (ServerConfig & { readonly name: string })[];
  /** Epochs as text, like everywhere in the store. */
  readonly mirrors: readonly unknown[];
  readonly leaving: readonly unknown[];
}

export function configToJson(config: ClusterConfig): ConfigJson {
  return {
    version,
    groups: [...config.groups.values()].map(groupToJson),
    servers: [...config.servers].map(([name, server]) => ({ name, ...server })),
    mirrors: [...config.mirrors.values()].map(copyToJson),
    leaving: config.leaving.map(leavingToJson),
  };
}

function copyToJson(copy: CopyConfig): unknown {
  const { from } = copy;
  if (from.kind === 'group') return copy;
  const { dataset, ...rest } = from;
  return { ...copy, from: { ...rest, [dataset.kind]: dataset, epoch: from.epoch.toString() } };
}

function leavingToJson({ group, above }: LeavingGroup): unknown {
  return { group: groupToJson(group), above: above.toString() };
}

/** A dataset is stored under its kind, where members that know no volumes look for files. */
function groupToJson(group: GroupConfig): unknown {
  const mirrors = group.mirrors.map(({ dataset, ...rest }) => ({ ...rest, [dataset.kind]: dataset }));
  return { ...group, mirrors };
}

export type ConfigFromJsonResult =
  | { readonly kind: 'ok'; readonly config: ClusterConfig }
  | { readonly kind: 'invalid'; readonly errors: readonly string[] };

/** `raw` is what JSON.parse returned. */
export function configFromJson(raw: unknown): ConfigFromJsonResult {
  const parsed = clusterSchema.safeParse(raw);
  if (!parsed.success) {
    const errors = parsed.error.issues.map(
      (issue) => `stored configuration: ${issue.path.map(String).join('.')}: ${issue.message}`,
    );
    return { kind: 'invalid', errors: errors.slice(0, limits.errors) };
  }
  const { groups, servers, mirrors, leaving } = parsed.data;
  return {
    kind: 'ok',
    config: {
      groups: new Map(groups.map((group) => [group.name, group])),
      servers: new Map(servers.map(({ name, ...server }) => [name, server])),
      mirrors: new Map(mirrors.map((copy) => [copy.name, copy])),
      leaving,
    },
  };
}

const large = z
  .string()
  .regex(/^\d{1,20}$/)
  .transform((value) => BigInt(value));
const ms = z.number().int().nonnegative();
const text = z.string().min(1).max(limits.pathLength);
const cidr = z
  .string()
  .refine((value) => parseCidr(value).kind === 'ok', 'is not an address with a prefix length');
const argv = z.array(z.string().max(limits.argumentLength)).min(1).max(limits.arguments).readonly();

const command: z.ZodType<Command> = z.object({ argv, timeoutMs: ms });
const commands = z.array(command).max(limits.hooksPerPoint).readonly();

const rules: z.ZodType<TimeRules> = z
  .object({
    outageMs: ms,
    suspectMs: ms,
    heartbeatMs: ms.min(1),
    renewMs: ms.min(1),
    attemptMs: ms.min(1),
    fenceMs: ms,
    stopMs: ms,
    waitMs: ms,
  })
  .superRefine((value, context) => {
    const broken = brokenRule(value);
    if (broken !== null) context.addIssue({ code: 'custom', message: broken });
  });

const dns: z.ZodType<DnsConfig> = z.object({ server: text, zone: text, ttlMs: ms, key: text.nullable() });
const names = { interface: text.nullable(), hostname: text.nullable(), dns: dns.nullable() };

const identity: z.ZodType<Identity> = z.discriminatedUnion('mode', [
  z.object({
    mode: z.literal('add'),
    addresses: z.array(cidr).max(limits.addressesPerGroup).readonly(),
    ...names,
  }),
  z.object({
    mode: z.literal('replace'),
    primaryAddress: cidr.nullable(),
    standbyAddress: cidr.nullable(),
    ...names,
  }),
]);

const resource: z.ZodType<ResourceConfig> = z.object({
  name: text,
  runs: z.discriminatedUnion('kind', [
    z.object({ kind: z.literal('command'), start: argv, stop: argv, status: argv.nullable() }),
    z.object({ kind: z.literal('systemd'), unit: text }),
    z.object({
      kind: z.literal('ocf'),
      provider: text,
      type: text,
      parameters: z.record(z.string(), z.string()),
    }),
    z.object({ kind: z.literal('attach'), mirror: text, method: z.enum(['nbd-client', 'nbdfuse']) }),
    z.object({
      kind: z.literal('mount'),
      mirror: text,
      at: text,
      type: text.nullable(),
      options: text.nullable(),
      fsck: z.enum(['preen', 'none', 'force']),
    }),
  ]),
  monitor: z.object({ everyMs: ms, timeoutMs: ms, restarts: z.number().int().nonnegative() }),
  startTimeoutMs: ms,
  stopTimeoutMs: ms,
});

const minute = z.number().int().min(0).max(1_440);
const window = z.object({
  days: z.array(z.number().int().min(0).max(6)).max(7).readonly(),
  fromMinute: minute,
  toMinute: minute,
});

const bits = z.number().int().min(limits.rateMin).max(limits.rateMax).nullable();
const throttle: z.ZodType<Throttle> = z.object({
  otherwiseBits: bits,
  windows: z.array(z.object({ window, bits })).max(limits.throttleWindows).readonly(),
});
const terms = {
  throttle: throttle.nullable(),
  compress: z.enum(['auto', 'always', 'never']),
  encrypt: z.enum(['always', 'never']),
  keepMaxBytes: z.number().int().nonnegative().nullable(),
  scanEveryMs: ms.min(1_000),
};
const globs = z.array(text).max(limits.globs).readonly();
const files: z.ZodType<FilesConfig> = z.object({
  root: text,
  include: globs,
  exclude: globs,
  devices: z.boolean(),
});
const volume: z.ZodType<VolumeConfig> = z.object({
  path: text,
  sizeBytes: z.number().int().min(1),
  mode: z.enum(['async', 'sync']),
  onTargetLoss: z.enum(['continue', 'block']),
  targetLossMs: ms,
  granularityBytes: z.number().int().min(512),
  attach: z.enum(['none', 'nbd-client', 'nbdfuse']),
});
/** By the kind that is there. */
const dataset = { files: files.optional(), volume: volume.optional() };

interface StoredDataset {
  readonly files?: FilesConfig | undefined;
  readonly volume?: VolumeConfig | undefined;
}

function withDataset<T extends StoredDataset>(
  stored: T,
  context: z.RefinementCtx,
): Omit<T, 'files' | 'volume'> & { readonly dataset: DatasetConfig } {
  const { files: ofFiles, volume: ofVolume, ...rest } = stored;
  if (ofVolume !== undefined) return { ...rest, dataset: { kind: 'volume', ...ofVolume } };
  if (ofFiles !== undefined) return { ...rest, dataset: { kind: 'files', ...ofFiles } };
  context.addIssue({ code: 'custom', message: 'has neither files nor a volume' });
  return z.NEVER;
}

const mirror: z.ZodType<MirrorConfig> = z
  .object({ name: text, ...dataset, ...terms })
  .transform((stored, context) => withDataset(stored, context));

const copy: z.ZodType<CopyConfig> = z.object({
  name: text,
  from: z.discriminatedUnion('kind', [
    z.object({ kind: z.literal('group'), group: text, mirror: text }),
    z
      .object({
        kind: z.literal('server'),
        server: text,
        ...dataset,
        epoch: large,
      })
      .transform((stored, context) => withDataset(stored, context)),
  ]),
  to: z.array(text).min(1).max(limits.targetsPerMirror).readonly(),
  root: text,
  ...terms,
});

const group: z.ZodType<GroupConfig> = z.object({
  name: text,
  servers: z.array(text).min(1).max(limits.serversPerGroup).readonly(),
  rules,
  takeover: z.enum(['automatic', 'manual', 'observe']),
  failback: z.enum(['manual', 'automatic']),
  failbackWindow: window.nullable(),
  onControlLoss: z.enum(['failsafe', 'fence', 'freeze']),
  identity,
  resources: z
    .array(resource)
    .max(limits.resourcesPerGroup + limits.mirrorsPerGroup)
    .readonly(),
  hooks: z.object({
    beforeTakeover: commands,
    afterTakeover: commands,
    beforeRelease: commands,
    afterRelease: commands,
  }),
  failoversPerHour: z.number().int().min(1),
  // Written by a version without mirrors: there are none.
  mirrors: z.array(mirror).max(limits.mirrorsPerGroup).readonly().default([]),
  gate: z
    .object({
      maxLagMs: ms.nullable(),
      maxBytes: z.number().int().nonnegative().nullable(),
      onStale: z.enum(['wait', 'takeover', 'ask']),
    })
    .default(noGate),
});

const clusterSchema = z.object({
  version: z.literal(version),
  groups: z.array(group).max(limits.groups),
  servers: z
    .array(
      z.object({
        name: text,
        gateway: text.nullable(),
        watchdog: text.nullable(),
        fence: command.nullable(),
      }),
    )
    .max(limits.servers),
  mirrors: z.array(copy).max(limits.mirrors).default([]),
  leaving: z
    .array(z.object({ group, above: large }))
    .max(limits.groups)
    .default([]),
});
