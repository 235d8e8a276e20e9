/** What a volume brings to its owner, as commands that the agent and the guard run like those of any resource. */

import { fileURLToPath } from 'node:url';
import type { GroupId, ResourceConfig, ResourceKind } from '@holdfast/core';
import { ocfCommands } from '../ocf.ts';

export interface ResourceCommands {
  readonly start: readonly string[];
  readonly stop: readonly string[];
  /** The stop when the epoch is over: whoever is in the way is ended. */
  readonly fence: readonly string[];
  /** Null: running once started. */
  readonly status: readonly string[] | null;
}

type CommandKind = Exclude<ResourceKind, { kind: 'systemd' }>;
/** A resource that runs by commands. */
export type CommandResource = ResourceConfig & { readonly runs: CommandKind };

const program = fileURLToPath(new URL('./program.js', import.meta.url));
/** A limit of its own, so that it says why before it is killed. */
const marginMs = 500;
/** A fence has S for everything that it stops (node.ts). */
const fenceMsMax = 2_500;

/** `dir`: the member's. */
export function commandsOf(dir: string, group: GroupId, resource: CommandResource): ResourceCommands {
  const { runs, startTimeoutMs, stopTimeoutMs } = resource;
  if (runs.kind === 'command') return { ...runs, fence: runs.stop };
  if (runs.kind === 'ocf') return ocfCommands(resource.name, runs);
  const limits = {
    start: startTimeoutMs,
    stop: stopTimeoutMs,
    fence: Math.min(stopTimeoutMs, fenceMsMax),
    status: 0,
  };
  const call = (verb: keyof typeof limits): readonly string[] => [
    process.execPath,
    program,
    runs.kind,
    verb,
    ...['--dir', dir, '--mirror', `${group}/${runs.mirror}`],
    ...argumentsOf(runs),
    ...['--limit-ms', String(Math.max(marginMs, limits[verb] - marginMs))],
  ];
  return { start: call('start'), stop: call('stop'), fence: call('fence'), status: call('status') };
}

function argumentsOf(runs: Exclude<CommandKind, { kind: 'command' | 'ocf' }>): readonly string[] {
  switch (runs.kind) {
    case 'attach':
      return ['--method', runs.method];
    case 'mount': {
      const { at, type, options, fsck } = runs;
      return ['--at', at, '--type', type ?? '', '--options', options ?? '', '--fsck', fsck];
    }
  }
}
