/**
 * Names of this host: extra ones in the hosts file, its own, and its entry in the DNS.
 *
 * The host's own name is changed in the running kernel only, never in /etc/hostname: a host that restarts after it took over
 * another's name comes back under its own, as it comes back without the other's address.
 */
import { hostname } from 'node:os';
import type { Names } from '../platform.ts';
import { parseCidr } from './cidr.ts';
import { explainResult, runProgram } from './commands.ts';
import type { HostsFile } from './hosts-file.ts';
import { updateDns } from './nsupdate.ts';

const HOST_NAME = /^[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?(\.[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?)*$/;
/** Linux keeps no more (uname(2)). */
const HOST_NAME_MAX = 64;
const SET_MS = 2000;

export interface NamePrograms {
  readonly hostname: string | null;
  readonly nsupdate: string | null;
}

export function createNames(hosts: HostsFile, programs: NamePrograms): Names {
  const wrong = (name: string) => ({ kind: 'failed', says: `"${name}" is not a host name` }) as const;
  const valid = (name: string): boolean => name.length <= HOST_NAME_MAX && HOST_NAME.test(name);
  return {
    add: (name, addresses) => {
      if (!valid(name)) return Promise.resolve(wrong(name));
      const parsed = addresses.map(parseCidr);
      const plain = parsed.flatMap((cidr) => (cidr === null ? [] : [cidr.address]));
      if (plain.length !== addresses.length) {
        return Promise.resolve({ kind: 'failed', says: `${addresses.join(', ')}: not all are addresses` });
      }
      return hosts.set(name, plain);
    },
    remove: (name) => (valid(name) ? hosts.set(name, []) : Promise.resolve(wrong(name))),
    hostname,
    setHostname: async (name) => {
      if (!valid(name)) return wrong(name);
      if (hostname() === name) return { kind: 'done' };
      if (programs.hostname === null) {
        return { kind: 'failed', says: 'hostname is not installed (Debian package hostname)' };
      }
      const argv = [programs.hostname, name];
      const result = await runProgram(argv, { timeoutMs: SET_MS });
      return hostname() === name ? { kind: 'done' } : { kind: 'failed', says: explainResult(argv, result) };
    },
    updateDns: (update) => updateDns(programs.nsupdate, update),
  };
}
