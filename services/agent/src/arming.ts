/** What the guard has to do for a group at its deadline, from the group's configuration. */

import { identityAddresses, type ArmedGroup, type GroupConfig, type MemberId } from '@holdfast/core';
import { environmentOf } from './command-runs.ts';
import type { GuardGroup } from './guard-protocol.ts';
import type { Host } from './host.ts';
import type { Resources } from './resources.ts';

export function guardGroup(
  { self, platform }: Pick<Host, 'self' | 'platform'>,
  resources: Resources,
  armed: ArmedGroup,
  config: GroupConfig,
): GuardGroup {
  const stops = [...config.resources].reverse().flatMap((resource) => {
    const { runs, stopTimeoutMs: timeoutMs } = resource;
    if (runs.kind === 'systemd')
      return platform.units.stopCommands(runs.unit).map((argv) => ({ argv, timeoutMs }));
    const { fence } = resources.commandsOf(config.name, { ...resource, runs });
    return [{ argv: [...environment(self, armed), ...fence], timeoutMs }];
  });
  return {
    group: armed.group,
    epoch: armed.epoch.toString(),
    fenceAtMs: armed.fenceAt,
    doneByMs: armed.goneBy,
    drops: identityAddresses(config.identity).flatMap((a) => platform.addresses.dropCommands(a)),
    stops,
  };
}

/** The guard runs a command as it is, so env(1) tells it what we would have told it. */
function environment(self: MemberId, armed: ArmedGroup): readonly string[] {
  if (process.platform === 'win32') return [];
  const told = environmentOf(self, { group: armed.group, epoch: armed.epoch, event: 'stop', peer: '' });
  return ['/usr/bin/env', ...Object.entries(told).map(([name, value]) => `${name}=${value}`)];
}
