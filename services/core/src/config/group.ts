/** One group of the file, complete with its defaults. */

import type { GroupId, MemberId } from '../names.ts';
import type { TimeRules } from '../time.ts';
import { deriveTimeRules } from '../time.ts';
import { readHooks } from './command.ts';
import type { GroupServers } from './identity.ts';
import { readIdentity } from './identity.ts';
import { limits, limitsMs } from './limits.ts';
import type { Members } from './members.ts';
import { readGate, readMirrors } from './mirror.ts';
import type { Fields, Place } from './place.ts';
import {
  readDuration,
  readFields,
  readList,
  readOptional,
  readWhole,
  readWith,
  readWord,
  warn,
  wrong,
} from './place.ts';
import { formatDuration, quote } from './quantity.ts';
import { readResources } from './resource.ts';
import { nearest } from './suggest.ts';
import { parseMemberName } from './text.ts';
import type { GroupConfig, HookPoint } from './types.ts';
import { parseWindow } from './window.ts';

export const outageDefaultMs = 35_000;
export const failoversPerHourDefault = 3;
export const hookPoints: readonly HookPoint[] = [
  'beforeTakeover',
  'afterTakeover',
  'beforeRelease',
  'afterRelease',
];

const keys = [
  'servers',
  'outage',
  'takeover',
  'failback',
  'failbackWindow',
  'onControlLoss',
  'identity',
  'resources',
  'hooks',
  'failoversPerHour',
  'mirrors',
  'gate',
];

export function readGroup(place: Place, name: GroupId, members: Members | null): GroupConfig | null {
  const fields = readFields(place, keys, '{ servers: [a, b], identity: {...} }');
  if (fields === null) return null;
  const servers = readServers(fields.at('servers'), members);
  const rules = readOutage(fields.at('outage'));
  const failback = readWord(fields.at('failback'), ['manual', 'automatic'], 'manual') ?? 'manual';
  const mirrors = readMirrors(fields.at('mirrors'));
  return {
    name,
    servers: servers.names,
    rules,
    takeover: readWord(fields.at('takeover'), ['automatic', 'manual', 'observe'], 'automatic') ?? 'automatic',
    failback,
    failbackWindow: readFailbackWindow(fields, failback),
    onControlLoss:
      readWord(fields.at('onControlLoss'), ['failsafe', 'fence', 'freeze'], 'failsafe') ?? 'failsafe',
    identity: readIdentity(fields.at('identity'), servers, members),
    resources: readResources(fields.at('resources'), { stopMs: rules.stopMs, mirrors }),
    hooks: readHookPoints(fields.at('hooks')),
    failoversPerHour: readWhole(
      fields.at('failoversPerHour'),
      failoversPerHourDefault,
      1,
      limits.failoversPerHour,
    ),
    mirrors,
    gate: readGate(fields.at('gate'), mirrors),
  };
}

function readServers(place: Place, members: Members | null): GroupServers {
  const example = 'a list in order of preference, such as [a, b]';
  const entries = readList(place, example, limits.serversPerGroup);
  if (Array.isArray(place.raw) && place.raw.length === 0) wrong(place, `is empty; write ${example}`);
  const names: MemberId[] = [];
  let complete = entries.length > 0;
  for (const entry of entries) {
    const name = readWith(entry, parseMemberName, 'the name of a server');
    if (name === null || !checkServer(entry, name, members)) complete = false;
    else if (names.includes(name)) {
      wrong(entry, `${quote(name)} is listed twice; list each server once`);
      complete = false;
    } else names.push(name);
  }
  if (complete && names.length === 1) warn(place, 'one server is listed, so nothing can take over from it');
  return { names, complete };
}

/** Whether a name is that of a member that runs groups; reports when it is not. */
export function checkServer(place: Place, name: MemberId, members: Members | null): boolean {
  if (members === null) return true;
  const member = members.byId.get(name);
  if (member === undefined) {
    const servers = [...members.byId.values()]
      .filter((known) => known.role === 'server')
      .map((known) => known.id);
    const near = nearest(name, servers);
    const hint =
      near === null ? `write one of ${servers.join(', ')}, or join it first` : `did you mean ${near}?`;
    wrong(place, `${quote(name)} is not a member of the cluster; ${hint}`);
    return false;
  }
  if (member.role === 'witness') {
    wrong(place, `${quote(name)} is a witness, which only votes; write a server`);
    return false;
  }
  return true;
}

function readOutage(place: Place): TimeRules {
  const outageMs = readDuration(place, outageDefaultMs, 0, limitsMs.outageMax);
  const derived = deriveTimeRules(outageMs);
  if (derived.kind === 'ok') return derived.rules;
  wrong(
    place,
    `${quote(place.raw)} is too short for an owner to stop for certain before another starts (${derived.reason}); ` +
      `write ${formatDuration(derived.smallestMs)} or more`,
  );
  return referenceRules();
}

function referenceRules(): TimeRules {
  const derived = deriveTimeRules(outageDefaultMs);
  if (derived.kind === 'too-short')
    throw new Error(`the default outage breaks its own rules: ${derived.reason}`);
  return derived.rules;
}

function readFailbackWindow(
  fields: Fields,
  failback: GroupConfig['failback'],
): GroupConfig['failbackWindow'] {
  const place = fields.at('failbackWindow');
  const window = readOptional(place, parseWindow, 'days and times such as "Mon-Fri 01:00-05:00"');
  if (window !== null && failback !== 'automatic') {
    warn(place, 'has no effect while failback is manual; write failback: automatic, or remove it');
  }
  return window;
}

function readHookPoints(place: Place): GroupConfig['hooks'] {
  const none = { beforeTakeover: [], afterTakeover: [], beforeRelease: [], afterRelease: [] };
  if (place.raw === undefined) return none;
  const fields = readFields(place, hookPoints, '{ beforeTakeover: [["/path/to/program"]] }');
  if (fields === null) return none;
  return {
    beforeTakeover: readHooks(fields.at('beforeTakeover')),
    afterTakeover: readHooks(fields.at('afterTakeover')),
    beforeRelease: readHooks(fields.at('beforeRelease')),
    afterRelease: readHooks(fields.at('afterRelease')),
  };
}
