/** What the guard has to do for a group at its deadline, from the group's configuration. */

import { identityAddresses, type ArmedGroup, type GroupConfig, type MemberId } from '@holdfast/core';
import { environmentOf } from './command-runs.ts';
import type { GuardGroup } from './guard-protocol.ts';
import type { Platform } from './platform/platform.ts';

export function guardGroup(
  self: MemberId,
  armed: ArmedGroup,
  config: GroupConfig,
  platform: Pick<Platform, 'addresses' | 'units'>,
): GuardGroup {
  const stops = [...config.resources].reverse().flatMap((resource) => {
    const { runs, stopTimeoutMs: timeoutMs } = resource;
    switch (runs.kind) {
      case 'systemd':
        return platform.units.stopCommands(runs.unit).map((argv) => ({ argv, timeoutMs }));
      case 'command':
        return [{ argv: [...environment(self, armed), ...runs.stop], timeoutMs }];
    }
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
