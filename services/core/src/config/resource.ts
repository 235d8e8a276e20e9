/** Resources: what is started after the addresses and stopped in reverse. */

import { readArgv } from './command.ts';
import { limits, limitsMs } from './limits.ts';
import type { Fields, Place } from './place.ts';
import { readDuration, readFields, readList, readWhole, readWith, warn, wrong } from './place.ts';
import { formatDuration, quote } from './quantity.ts';
import { parseName, parseUnit } from './text.ts';
import type { ResourceConfig, ResourceKind } from './types.ts';

export const resourceDefaults = {
  monitor: { everyMs: 10_000, timeoutMs: 5_000, restarts: 3 },
  startTimeoutMs: 60_000,
  stopTimeoutMs: 30_000,
} as const;

const example = '{ name: app, systemd: app.service }';
const later = ['ocf', 'windowsService'];

/** Reads the resources of a group; `stopMs` is S of its time rules. */
export function readResources(place: Place, stopMs: number): readonly ResourceConfig[] {
  if (place.raw === undefined) return [];
  const resources: ResourceConfig[] = [];
  const seen = new Set<string>();
  for (const entry of readList(place, `a list such as [${example}]`, limits.resourcesPerGroup)) {
    const resource = readResource(entry, stopMs);
    if (resource === null) continue;
    if (seen.has(resource.name)) {
      wrong(entry, `${quote(resource.name)} is the name of two resources; give each its own`);
    }
    seen.add(resource.name);
    resources.push(resource);
  }
  return resources;
}

function readResource(place: Place, stopMs: number): ResourceConfig | null {
  const known = ['name', 'command', 'systemd', 'monitor', 'startTimeout', 'stopTimeout'];
  const fields = readFields(place, known, example, later);
  if (fields === null) return null;
  const name = readWith(fields.at('name'), parseName, 'name: app');
  const runs = readKind(fields);
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

function readKind(fields: Fields): ResourceKind | null {
  const command = fields.at('command');
  const systemd = fields.at('systemd');
  if (command.raw !== undefined && systemd.raw !== undefined) {
    wrong(
      fields.place,
      'has both command and systemd; write one of them, and a second resource for the other',
    );
    return null;
  }
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
