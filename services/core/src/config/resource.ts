/** Resources: what is started after the addresses and stopped in reverse. */

import { readArgv } from './command.ts';
import { limits, limitsMs } from './limits.ts';
import { attachResources, readMount } from './mount.ts';
import { readOcf } from './ocf.ts';
import type { Fields, Place } from './place.ts';
import { readDuration, readFields, readList, readWhole, readWith, warn, wrong } from './place.ts';
import { formatDuration, quote } from './quantity.ts';
import { resourceDefaults } from './resource-defaults.ts';
import { parseName, parseUnit } from './text.ts';
import type { MirrorConfig, ResourceConfig, ResourceKind } from './types.ts';

const example = '{ name: app, systemd: app.service }';
const later = ['windowsService'];
const kinds = ['command', 'systemd', 'ocf', 'mount'];

/** What the resources of a group depend on. */
interface Around {
  /** S of its time rules. */
  readonly stopMs: number;
  readonly mirrors: readonly MirrorConfig[];
}

/** Reads the resources of a group, after those that its volumes bring. */
export function readResources(place: Place, around: Around): readonly ResourceConfig[] {
  const resources: ResourceConfig[] = [...attachResources(around.mirrors)];
  if (place.raw === undefined) return resources;
  const seen = new Set<string>(resources.map(({ name }) => name));
  for (const entry of readList(place, `a list such as [${example}]`, limits.resourcesPerGroup)) {
    const resource = readResource(entry, around);
    if (resource === null) continue;
    if (seen.has(resource.name)) {
      wrong(entry, `${quote(resource.name)} is the name of two resources; give each its own`);
    }
    seen.add(resource.name);
    resources.push(resource);
  }
  return resources;
}

function readResource(place: Place, { stopMs, mirrors }: Around): ResourceConfig | null {
  const known = ['name', ...kinds, 'monitor', 'startTimeout', 'stopTimeout'];
  const fields = readFields(place, known, example, later);
  if (fields === null) return null;
  const name = readWith(fields.at('name'), parseName, 'name: app');
  const runs = readKind(fields, mirrors);
  const monitor = readMonitor(fields.at('monitor'));
  const { timeoutMin, timeoutMax } = limitsMs;
  const startTimeoutMs = readDuration(
    fields.at('startTimeout'),
    resourceDefaults.startTimeoutMs,
    timeoutMin,
    timeoutMax,
  );
  const stopTimeout = fields.at('stopTimeout');
  const stopTimeoutMs = readDuration(stopTimeout, resourceDefaults.stopTimeoutMs, timeoutMin, timeoutMax);
  // The default is not warned about: it serves planned stops, and nobody relied on it.
  if (stopTimeout.raw !== undefined && stopTimeoutMs > stopMs) {
    warn(
      stopTimeout,
      `${formatDuration(stopTimeoutMs)} holds for a planned stop only; a server that must fence itself is given ` +
        `${formatDuration(stopMs)}, then the guard kills what is left (a longer outage gives more)`,
    );
  }
  if (name === null || runs === null) return null;
  return { name, runs, monitor, startTimeoutMs, stopTimeoutMs };
}

function readKind(fields: Fields, mirrors: readonly MirrorConfig[]): ResourceKind | null {
  const command = fields.at('command');
  const systemd = fields.at('systemd');
  const mount = fields.at('mount');
  const ocf = fields.at('ocf');
  const written = kinds.filter((kind) => fields.at(kind).raw !== undefined);
  if (written.length > 1) {
    wrong(
      fields.place,
      `has both ${written.slice(0, 2).join(' and ')}; write one of them, and a second resource for the other`,
    );
    return null;
  }
  if (mount.raw !== undefined) return readMount(mount, mirrors);
  if (ocf.raw !== undefined) return readOcf(ocf);
  if (systemd.raw !== undefined) {
    const unit = readWith(systemd, parseUnit, 'a unit such as app.service');
    return unit === null ? null : { kind: 'systemd', unit };
  }
  if (command.raw !== undefined) return readCommandKind(command);
  // A kind of a later version was already reported; a second error would only hide it.
  const raw = fields.place.raw;
  const promised = typeof raw === 'object' && raw !== null && later.some((key) => Object.hasOwn(raw, key));
  if (!promised)
    wrong(
      fields.place,
      'says nothing to run; write command: { start: [...], stop: [...] } or systemd: app.service',
    );
  return null;
}

function readCommandKind(place: Place): ResourceKind | null {
  const fields = readFields(
    place,
    ['start', 'stop', 'status'],
    '{ start: [...], stop: [...], status: [...] }',
  );
  if (fields === null) return null;
  const status = fields.at('status');
  return {
    kind: 'command',
    start: readArgv(fields.at('start')),
    stop: readArgv(fields.at('stop')),
    status: status.raw === undefined ? null : readArgv(status),
  };
}

function readMonitor(place: Place): ResourceConfig['monitor'] {
  const defaults = resourceDefaults.monitor;
  if (place.raw === undefined) return defaults;
  const fields = readFields(
    place,
    ['every', 'timeout', 'restarts'],
    '{ every: 10s, timeout: 5s, restarts: 3 }',
  );
  if (fields === null) return defaults;
  const { everyMin, everyMax, timeoutMin, timeoutMax } = limitsMs;
  return {
    everyMs: readDuration(fields.at('every'), defaults.everyMs, everyMin, everyMax),
    timeoutMs: readDuration(fields.at('timeout'), defaults.timeoutMs, timeoutMin, timeoutMax),
    restarts: readWhole(fields.at('restarts'), defaults.restarts, 0, limits.restarts),
  };
}
