/**
 * From what a person wrote (already parsed as YAML) to the desired state, or to all of its errors at once. Each error is
 * one sentence: the file, the path in it, what was found, what to write instead. Never throws, whatever it is given.
 */

import type { Member, MemberId } from '../names.ts';
import { readCommand } from './command.ts';
import type { ReadGroup } from './conflict.ts';
import { reportConflicts } from './conflict.ts';
import { readCopies } from './copy.ts';
import { checkServer, readGroup } from './group.ts';
import { limits } from './limits.ts';
import type { Members } from './members.ts';
import { indexMembers } from './members.ts';
import { reportOverlaps } from './overlap.ts';
import type { Place, Report } from './place.ts';
import { readFields, readMapping, readOptional, shorten, wrong } from './place.ts';
import { parseFilePath, parseHostAddress, parseMemberName, parseName } from './text.ts';
import type { ClusterConfig, ServerConfig } from './types.ts';

export type ParseConfigResult =
  | { readonly kind: 'ok'; readonly config: ClusterConfig; readonly warnings: readonly string[] }
  | { readonly kind: 'invalid'; readonly errors: readonly string[] };

/**
 * `file` is named in errors. With `members` null nothing that depends on them is checked, and the addresses of mode
 * replace stay null; whoever stores the result parses again with the members.
 */
export function parseConfig(
  raw: unknown,
  file: string,
  members: readonly Member[] | null,
): ParseConfigResult {
  const report: Report = { file, errors: [], warnings: [] };
  const known = members === null ? null : indexMembers(members);
  const config = readCluster({ raw, path: '', report }, known);
  if (config === null || report.errors.length > 0) {
    return { kind: 'invalid', errors: shorten(report.errors, limits.errors, file) };
  }
  return { kind: 'ok', config, warnings: shorten(report.warnings, limits.warnings, file) };
}

function readCluster(place: Place, members: Members | null): ClusterConfig | null {
  const example = 'groups: { NAME: { servers: [a, b], identity: {...} } }';
  if (place.raw === null || place.raw === undefined) {
    wrong(place, `is empty; write ${example}`);
    return null;
  }
  const fields = readFields(place, ['groups', 'servers', 'mirrors'], example);
  if (fields === null) return null;
  const groups = readGroups(fields.at('groups'), members);
  reportConflicts(groups);
  const byName = new Map(groups.map(({ config }) => [config.name, config]));
  const copies = readCopies(fields.at('mirrors'), byName, members);
  reportOverlaps(groups, copies);
  return {
    groups: byName,
    servers: readServers(fields.at('servers'), members),
    mirrors: new Map(copies.map(({ config }) => [config.name, config])),
    leaving: [],
  };
}

/** Required even when empty: a file without it would silently remove every group. */
function readGroups(place: Place, members: Members | null): readonly ReadGroup[] {
  const groups: ReadGroup[] = [];
  const example = '{ NAME: { servers: [a, b], identity: {...} } }, or {} for no groups';
  for (const [name, child] of readMapping(place, example, limits.groups) ?? []) {
    const parsed = parseName(name);
    if (parsed.kind === 'invalid') wrong(child, parsed.reason);
    const config = readGroup(child, name, members);
    if (config !== null) groups.push({ config, place: child });
  }
  return groups;
}

function readServers(place: Place, members: Members | null): ReadonlyMap<MemberId, ServerConfig> {
  const servers = new Map<MemberId, ServerConfig>();
  if (place.raw === undefined) return servers;
  for (const [name, child] of readMapping(place, '{ a: { gateway: 10.77.0.1 } }', limits.servers) ?? []) {
    const parsed = parseMemberName(name);
    if (parsed.kind === 'invalid') wrong(child, parsed.reason);
    else checkServer(child, name, members);
    const server = readServer(child);
    if (server !== null) servers.set(name, server);
  }
  return servers;
}

function readServer(place: Place): ServerConfig | null {
  const fields = readFields(
    place,
    ['gateway', 'watchdog', 'fence'],
    '{ gateway: 10.77.0.1, watchdog: /dev/watchdog }',
  );
  if (fields === null) return null;
  const fence = fields.at('fence');
  return {
    gateway: readOptional(fields.at('gateway'), parseHostAddress, 'an address such as 10.77.0.1'),
    watchdog: readOptional(fields.at('watchdog'), parseFilePath, 'a device such as /dev/watchdog'),
    fence: fence.raw === undefined ? null : readCommand(fence),
  };
}
