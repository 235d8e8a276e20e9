/** What this host lacks to run a resource: to attach and to mount a volume, an OCF agent. For the preflight. */

import { existsSync } from 'node:fs';
import { join } from 'node:path';
import type { ResourceKind } from '@holdfast/core';
import type { Lack } from '../platform/platform.ts';
import { ocfLack } from '../ocf.ts';
import { searchPath } from './tools.ts';

/** Programs, and the Debian package of each. */
const packages: Readonly<Record<string, string>> = {
  'nbd-client': 'nbd-client',
  nbdfuse: 'libnbd-bin',
  losetup: 'mount',
  mount: 'mount',
  umount: 'mount',
  fsck: 'util-linux',
  'fsck.ext4': 'e2fsprogs',
  'fsck.xfs': 'xfsprogs',
  'fsck.btrfs': 'btrfs-progs',
};

type Lacking = Pick<Lack, 'says' | 'fix'>;

export function lacksOf(runs: ResourceKind): readonly Lacking[] {
  switch (runs.kind) {
    case 'command':
    case 'systemd':
      return [];
    case 'ocf': {
      const lack = ocfLack(runs);
      return lack === null ? [] : [lack];
    }
    case 'attach':
      return runs.method === 'nbd-client'
        ? [...lackingPrograms(['nbd-client']), ...lackingDriver('/sys/block/nbd0', 'nbd')]
        : [...lackingPrograms(['nbdfuse', 'losetup', 'umount']), ...lackingDriver('/dev/fuse', 'fuse')];
    case 'mount': {
      const check =
        runs.fsck === 'none' ? [] : ['fsck', ...(runs.type === null ? [] : [`fsck.${runs.type}`])];
      return lackingPrograms(['mount', 'umount', ...check]);
    }
  }
}

function lackingPrograms(programs: readonly string[]): readonly Lacking[] {
  const folders = searchPath().split(':');
  return programs.flatMap((program) => {
    if (folders.some((folder) => existsSync(join(folder, program)))) return [];
    const fix = `install it on this server (Debian package ${packages[program] ?? 'of that file system'})`;
    return [{ says: `${program} is not installed`, fix }];
  });
}

function lackingDriver(sign: string, driver: string): readonly Lacking[] {
  if (existsSync(sign)) return [];
  const fix = `modprobe ${driver}, and name it in /etc/modules-load.d so that it is there after a boot`;
  return [{ says: `the kernel's ${driver} driver is not loaded`, fix }];
}
