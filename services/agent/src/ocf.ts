/**
 * Agents of the Open Cluster Framework as commands: what they are told is in their environment, and what they answer is
 * their exit status. Source: OCF Resource Agent API 1.1 (ClusterLabs/OCF-spec, ra/1.1/resource-agent-api.md).
 */

import { accessSync, constants } from 'node:fs';
import { join } from 'node:path';
import type { ResourceKind } from '@holdfast/core';

type Ocf = Extract<ResourceKind, { kind: 'ocf' }>;

/** The API names this variable; it is elsewhere where agents were installed elsewhere. */
const root = (): string => process.env['OCF_ROOT'] ?? '/usr/lib/ocf';

export function ocfProgram({ provider, type }: Ocf): string {
  return join(root(), 'resource.d', provider, type);
}

/** `name`: of the resource. An agent that does not run says so to `monitor`, and `stop` of it is done. */
export function ocfCommands(
  name: string,
  runs: Ocf,
): Readonly<Record<'start' | 'stop' | 'fence' | 'status', readonly string[]>> {
  const told = {
    OCF_RA_VERSION_MAJOR: '1',
    OCF_RA_VERSION_MINOR: '1',
    OCF_ROOT: root(),
    OCF_RESOURCE_INSTANCE: name,
    OCF_RESOURCE_PROVIDER: runs.provider,
    OCF_RESOURCE_TYPE: runs.type,
    ...Object.fromEntries(
      Object.entries(runs.parameters).map(([key, value]) => [`OCF_RESKEY_${key}`, value]),
    ),
  };
  const environment = Object.entries(told).map(([key, value]) => `${key}=${value}`);
  const call = (action: string): readonly string[] => [
    '/usr/bin/env',
    ...environment,
    ocfProgram(runs),
    action,
  ];
  return { start: call('start'), stop: call('stop'), fence: call('stop'), status: call('monitor') };
}

const meanings: Readonly<Record<number, string>> = {
  1: 'generic error',
  2: 'wrong arguments',
  3: 'not implemented',
  4: 'insufficient privileges',
  5: 'not installed',
  6: 'not configured',
  7: 'not running',
  8: 'running as promoted',
  9: 'failed as promoted',
};

/** What an agent answered, in words; `said` is the end of what it wrote. */
export function ocfAnswer({ provider, type }: Ocf, action: string, status: number, said: string): string {
  const meaning = meanings[status] ?? `status ${status}`;
  return `${provider}:${type} ${action}: ${meaning}${said === '' ? '' : ` (${said})`}`;
}

/** Null: it can be run. */
export function ocfLack(runs: Ocf): { readonly says: string; readonly fix: string } | null {
  const program = ocfProgram(runs);
  try {
    accessSync(program, constants.X_OK);
    return null;
  } catch {
    return {
      says: `the OCF agent ${runs.provider}:${runs.type} can't be run: there is no program ${program}`,
      fix: 'install it on this server (Debian package resource-agents), or correct ocf.agent',
    };
  }
}
