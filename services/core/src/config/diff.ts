/**
 * What a new desired state changes, in lines for a person: `groups.d3.outage: 35s -> 10s`. Shown by `apply` before
 * anything is stored. Both sides are put as flat lists of path and text; lines follow the order of the new state.
 */

import type { Command } from '../names.ts';
import { hookPoints } from './group.ts';
import { formatDuration, formatSize } from './quantity.ts';
import { throttleText } from './throttle.ts';
import type {
  ClusterConfig,
  CopyConfig,
  CopyTerms,
  DnsConfig,
  DatasetConfig,
  GroupConfig,
  Identity,
  MirrorConfig,
  ResourceConfig,
  ResourceKind,
  ServerConfig,
} from './types.ts';
import { formatWindow } from './window.ts';

/** Path below the thing, and its value; null is "not set". */
type Facts = ReadonlyMap<string, string | null>;

/** Empty when nothing changes. With `before` null everything is new. */
export function diffConfig(before: ClusterConfig | null, after: ClusterConfig): string[] {
  return [
    ...diffMaps('groups', before?.groups ?? new Map<string, GroupConfig>(), after.groups, diffGroup),
    ...diffMaps('servers', before?.servers ?? new Map<string, ServerConfig>(), after.servers, (path, a, b) =>
      diffFacts(path, serverFacts(a), serverFacts(b)),
    ),
    ...diffMaps('mirrors', before?.mirrors ?? new Map<string, CopyConfig>(), after.mirrors, (path, a, b) =>
      diffFacts(path, copyFacts(a), copyFacts(b)),
    ),
  ];
}

function diffMaps<T>(
  path: string,
  before: ReadonlyMap<string, T>,
  after: ReadonlyMap<string, T>,
  diffOne: (path: string, before: T, after: T) => readonly string[],
): string[] {
  const lines: string[] = [];
  for (const [name, value] of after) {
    const old = before.get(name);
    if (old === undefined) lines.push(`${path}.${name}: added`);
    else lines.push(...diffOne(`${path}.${name}`, old, value));
  }
  for (const name of before.keys()) if (!after.has(name)) lines.push(`${path}.${name}: removed`);
  return lines;
}

function diffFacts(path: string, before: Facts, after: Facts): string[] {
  const lines: string[] = [];
  for (const key of new Set([...after.keys(), ...before.keys()])) {
    const old = before.get(key) ?? null;
    const now = after.get(key) ?? null;
    if (old !== now) lines.push(`${path}.${key}: ${old ?? '(not set)'} -> ${now ?? '(not set)'}`);
  }
  return lines;
}

function diffGroup(path: string, before: GroupConfig, after: GroupConfig): string[] {
  const named = (group: GroupConfig): ReadonlyMap<string, ResourceConfig> =>
    new Map(group.resources.map((resource) => [resource.name, resource]));
  const old = named(before);
  const now = named(after);
  const lines = [
    ...diffFacts(path, groupFacts(before), groupFacts(after)),
    ...diffMaps(`${path}.resources`, old, now, (place, a, b) =>
      diffFacts(place, resourceFacts(a), resourceFacts(b)),
    ),
    ...diffMaps(`${path}.mirrors`, mirrorsOf(before), mirrorsOf(after), (place, a, b) =>
      diffFacts(place, mirrorFacts(a), mirrorFacts(b)),
    ),
  ];
  const kept = (here: ReadonlyMap<string, unknown>, there: ReadonlyMap<string, unknown>): string =>
    [...here.keys()].filter((name) => there.has(name)).join(', ');
  if (kept(old, now) !== kept(now, old)) {
    lines.push(`${path}.resources: order ${[...old.keys()].join(', ')} -> ${[...now.keys()].join(', ')}`);
  }
  return lines;
}

function groupFacts(group: GroupConfig): Facts {
  return new Map<string, string | null>([
    ['servers', list(group.servers)],
    ['outage', formatDuration(group.rules.outageMs)],
    ['takeover', group.takeover],
    ['failback', group.failback],
    ['failbackWindow', group.failbackWindow === null ? null : formatWindow(group.failbackWindow)],
    ['onControlLoss', group.onControlLoss],
    ...identityFacts(group.identity),
    ...hookPoints.map((point) => [`hooks.${point}`, hooksText(group.hooks[point])] as const),
    ['failoversPerHour', String(group.failoversPerHour)],
    ['gate.maxLag', group.gate.maxLagMs === null ? null : formatDuration(group.gate.maxLagMs)],
    ['gate.maxBytes', group.gate.maxBytes === null ? null : formatSize(group.gate.maxBytes)],
    ['gate.onStale', group.mirrors.length === 0 ? null : group.gate.onStale],
  ]);
}

function mirrorsOf(group: GroupConfig): ReadonlyMap<string, MirrorConfig> {
  return new Map(group.mirrors.map((mirror) => [mirror.name, mirror]));
}

function mirrorFacts(mirror: MirrorConfig): Facts {
  return new Map([...datasetFacts('', mirror.dataset), ...termFacts(mirror)]);
}

function copyFacts(copy: CopyConfig): Facts {
  const { from } = copy;
  const source: readonly (readonly [string, string | null])[] =
    from.kind === 'group'
      ? [['from', `${from.group}/${from.mirror}`]]
      : [['from', `server ${from.server}`], ...datasetFacts('from.', from.dataset)];
  return new Map([...source, ['to', list(copy.to)], ['root', copy.root], ...termFacts(copy)]);
}

function datasetFacts(path: string, dataset: DatasetConfig): readonly (readonly [string, string | null])[] {
  switch (dataset.kind) {
    case 'files':
      return [
        [`${path}files.root`, dataset.root],
        [`${path}files.include`, globsText(dataset.include)],
        [`${path}files.exclude`, globsText(dataset.exclude)],
        [`${path}files.devices`, String(dataset.devices)],
      ];
    case 'volume':
      return [
        [`${path}volume.path`, dataset.path],
        [`${path}volume.size`, formatSize(dataset.sizeBytes)],
        [`${path}volume.mode`, dataset.mode],
        [`${path}volume.onTargetLoss`, dataset.onTargetLoss],
        [`${path}volume.targetLoss`, formatDuration(dataset.targetLossMs)],
        [`${path}volume.granularity`, formatSize(dataset.granularityBytes)],
        [`${path}volume.attach`, dataset.attach],
      ];
  }
}

function termFacts(terms: CopyTerms): readonly (readonly [string, string | null])[] {
  return [
    ['throttle', throttleText(terms.throttle)],
    ['compress', terms.compress],
    ['encrypt', terms.encrypt],
    ['keepMax', terms.keepMaxBytes === null ? null : formatSize(terms.keepMaxBytes)],
    ['scanEvery', formatDuration(terms.scanEveryMs)],
  ];
}

function identityFacts(identity: Identity): readonly (readonly [string, string | null])[] {
  const shared = [
    ['identity.mode', identity.mode],
    ['identity.interface', identity.interface],
    ['identity.hostname', identity.hostname],
    ['identity.dns', identity.dns === null ? null : dnsText(identity.dns)],
  ] as const;
  switch (identity.mode) {
    case 'add':
      return [...shared, ['identity.addresses', list(identity.addresses)]];
    case 'replace':
      return [
        ...shared,
        ['identity.primaryAddress', identity.primaryAddress],
        ['identity.standbyAddress', identity.standbyAddress],
      ];
  }
}

function resourceFacts(resource: ResourceConfig): Facts {
  const { runs, monitor } = resource;
  return new Map([
    ...kindFacts(runs),
    ['monitor.every', formatDuration(monitor.everyMs)],
    ['monitor.timeout', formatDuration(monitor.timeoutMs)],
    ['monitor.restarts', String(monitor.restarts)],
    ['startTimeout', formatDuration(resource.startTimeoutMs)],
    ['stopTimeout', formatDuration(resource.stopTimeoutMs)],
  ]);
}

function kindFacts(runs: ResourceKind): readonly (readonly [string, string | null])[] {
  switch (runs.kind) {
    case 'systemd':
      return [['systemd', runs.unit]];
    case 'ocf':
      return [
        ['ocf.agent', `${runs.provider}:${runs.type}`],
        ...Object.entries(runs.parameters).map(([name, value]) => [`ocf.parameters.${name}`, value] as const),
      ];
    case 'command':
      return [
        ['command.start', argvText(runs.start)],
        ['command.stop', argvText(runs.stop)],
        ['command.status', runs.status === null ? null : argvText(runs.status)],
      ];
    case 'attach':
      return [['attach', `${runs.mirror} by ${runs.method}`]];
    case 'mount':
      return [
        ['mount.mirror', runs.mirror],
        ['mount.at', runs.at],
        ['mount.type', runs.type],
        ['mount.options', runs.options],
        ['mount.fsck', runs.fsck],
      ];
  }
}

function serverFacts(server: ServerConfig): Facts {
  return new Map([
    ['gateway', server.gateway],
    ['watchdog', server.watchdog],
    ['fence', server.fence === null ? null : commandText(server.fence)],
  ]);
}

function dnsText(dns: DnsConfig): string {
  const key = dns.key === null ? '' : ` key ${dns.key}`;
  return `${dns.zone} at ${dns.server} ttl ${formatDuration(dns.ttlMs)}${key}`;
}

function hooksText(commands: readonly Command[]): string | null {
  return commands.length === 0 ? null : commands.map(commandText).join(', ');
}

function commandText(command: Command): string {
  return `${argvText(command.argv)} within ${formatDuration(command.timeoutMs)}`;
}

function argvText(argv: readonly string[]): string {
  return JSON.stringify(argv);
}

/** Quoted: a pattern may hold what stands between two of them. */
function globsText(globs: readonly string[]): string | null {
  return globs.length === 0 ? null : JSON.stringify(globs);
}

function list(names: readonly string[]): string {
  return `[${names.join(', ')}]`;
}
