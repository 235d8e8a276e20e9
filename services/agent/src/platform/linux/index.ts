/**
 * Linux: netlink, iputils and systemd behind the ports of ../platform.ts.
 */
import type { Platform } from '../platform.ts';
import { createAddresses } from './addresses.ts';
import { createClock } from './clock.ts';
import { createCommands } from './commands.ts';
import { createEcho } from './echo.ts';
import { createHostsFile } from './hosts-file.ts';
import { createNames } from './names.ts';
import { createNeighbours } from './neighbours.ts';
import { createNetlink } from './netlink.ts';
import { findLacks } from './preflight.ts';
import type { Needs, Programs } from './preflight.ts';
import { findProgram } from './programs.ts';
import { createUnits } from './systemd.ts';
import { createWatchdogs } from './watchdogs.ts';

export interface LinuxOptions {
  /** Default /etc/hosts. */
  readonly hostsFile?: string;
  /** What the configuration asks for; `missing()` does not name the rest. Default: nothing but addresses. */
  readonly needs?: Partial<Needs>;
  /** The absolute path of a program, or null. Default: findProgram. */
  readonly find?: (name: string) => string | null;
  /** Takes what went wrong in the background (a repeated announcement). Default: standard error. */
  readonly warn?: (says: string) => void;
}

export function createLinuxPlatform(options: LinuxOptions = {}): Platform {
  const find = options.find ?? findProgram;
  const programs = findPrograms(find);
  const warn = options.warn ?? ((says: string) => void process.stderr.write(`${says}\n`));
  const ip = programs.ip ?? '/usr/sbin/ip';
  const clock = createClock();
  const netlink = createNetlink();
  const addresses = createAddresses(ip, netlink, clock);
  const neighbours = createNeighbours(netlink, programs, warn);
  return {
    clock,
    addresses: {
      ...addresses,
      drop: (address) => {
        neighbours.withdraw(address); // before it goes, so that nothing announces it afterwards
        return addresses.drop(address);
      },
    },
    neighbours,
    names: createNames(createHostsFile(options.hostsFile ?? '/etc/hosts'), programs),
    units: createUnits(programs),
    commands: createCommands(),
    echo: createEcho(),
    watchdogs: createWatchdogs(),
    missing: () => {
      // What was installed meanwhile, or removed, is known from here on.
      Object.assign(programs, findPrograms(find));
      return Promise.resolve(
        findLacks(programs, { dns: false, units: false, hostname: false, ...options.needs }),
      );
    },
  };
}

const findPrograms = (find: (name: string) => string | null): Programs => ({
  ip: find('ip'),
  arping: find('arping'),
  ping: find('ping'),
  nsupdate: find('nsupdate'),
  systemctl: find('systemctl'),
  hostname: find('hostname'),
});
