/**
 * What this host lacks: programs, and rights. Each with the way to mend it, so that a person need not search.
 */
import { accessSync, constants, existsSync, readFileSync } from 'node:fs';
import type { Lack } from '../platform.ts';
import { promotesSecondaries } from './address-entry.ts';
import { BOOTED } from './systemd.ts';

/** What the configuration asks for, beside addresses. */
export interface Needs {
  readonly dns: boolean;
  readonly units: boolean;
  readonly hostname: boolean;
}

export interface Programs {
  readonly ip: string | null;
  readonly arping: string | null;
  readonly ping: string | null;
  readonly nsupdate: string | null;
  readonly systemctl: string | null;
  readonly hostname: string | null;
}

const PACKAGES: readonly (readonly [keyof Programs, string, string, keyof Needs | null])[] = [
  ['ip', 'iproute2', "the guard can't drop an address", null],
  ['arping', 'iputils-arping', "whether somebody else has an IPv4 address can't be asked", null],
  ['ping', 'iputils-ping', "a silent path can't be diagnosed", null],
  ['nsupdate', 'bind9-dnsutils', "names can't be updated in the DNS", 'dns'],
  ['systemctl', 'systemd', "services can't be started or stopped", 'units'],
  ['hostname', 'hostname', "the name of this host can't be changed", 'hostname'],
];

/** capabilities(7): the number is the bit in CapEff. */
const RIGHTS: readonly (readonly [string, number, string, keyof Needs | null])[] = [
  ['CAP_NET_ADMIN', 12, 'no address can be set or dropped', null],
  ['CAP_NET_RAW', 13, 'nobody can be asked for an address, and none can be announced', null],
  ['CAP_SYS_ADMIN', 21, "the name of this host can't be changed", 'hostname'],
];

export function findLacks(programs: Programs, needs: Needs): readonly Lack[] {
  const asked = (need: keyof Needs | null): boolean => need === null || needs[need];
  const lacks: Lack[] = [];
  for (const [name, debian, effect, need] of PACKAGES) {
    if (!asked(need) || programs[name] !== null) continue;
    lacks.push({ name, says: `${name} is not installed: ${effect}`, fix: `apt-get install ${debian}` });
  }
  const held = effectiveCapabilities(readFileSync('/proc/self/status', 'utf8'));
  for (const [name, bit, effect, need] of RIGHTS) {
    if (!asked(need) || (held >> BigInt(bit)) & 1n) continue;
    lacks.push({
      name,
      says: `this process has no ${name}: ${effect}`,
      fix: `run it as root, or add AmbientCapabilities=${name} to its systemd unit`,
    });
  }
  if (needs.units && !existsSync(BOOTED)) {
    lacks.push({
      name: 'systemd',
      says: 'systemd does not run this host',
      fix: 'use command resources instead of units',
    });
  }
  if (!promotesSecondaries('default') && !writable('/proc/sys/net/ipv4/conf/default/promote_secondaries')) {
    lacks.push({
      name: 'promote_secondaries',
      says: 'removing one IPv4 address of this host may remove others of the same network with it',
      fix: 'set net.ipv4.conf.all.promote_secondaries=1 with sysctl',
    });
  }
  return lacks;
}

/** The capability set of a process, from the text of its /proc/PID/status. */
export function effectiveCapabilities(status: string): bigint {
  const hex = /^CapEff:\s*([0-9a-f]+)$/m.exec(status)?.[1];
  return hex === undefined ? 0n : BigInt(`0x${hex}`);
}

function writable(file: string): boolean {
  try {
    accessSync(file, constants.W_OK);
    return true;
  } catch {
    return false;
  }
}
