// The address plan: which host has which number, and every name, address and MAC that follows from it.
//
// Invariants
// P1: a host keeps its addresses and its MACs for the whole life of the lab, through every power cut.
// P2: a port name fits the kernel's 15 characters, so a host name has at most 12.
import { LabError } from './error.ts';

export type Network = 'service' | 'private';

export const networks: readonly Network[] = ['service', 'private'];

/** The interface of a host on a network, as the host sees it. */
export const interfaceOf: Readonly<Record<Network, string>> = { service: 'eth0', private: 'eth1' };

export interface HostAddresses {
  /** IPv4 on the service network, without prefix. */
  readonly service: string;
  /** IPv6 on the service network, without prefix. */
  readonly service6: string;
  /** IPv4 on the private network, without prefix. */
  readonly private: string;
}

export const defaultHosts: readonly string[] = ['a', 'b', 'w', 'client'];

const wellKnown: Readonly<Record<string, number>> = { a: 11, b: 12, w: 13, client: 14, c: 15 };
const firstFreeNumber = 21;
const hostsMax = 40;

/** Gives each host its number, the last part of all its addresses. Names other than a, b, c, w and client count from 21. */
export function numberHosts(names: readonly string[]): { readonly name: string; readonly number: number }[] {
  const wrong = (says: string): LabError =>
    new LabError({
      what: `cannot plan a lab with the hosts "${names.join(' ')}"`,
      says,
      fix: 'Name the hosts with 1 to 12 lower-case letters, digits or dashes, a letter first; for example: a b w client c',
    });
  if (names.length === 0) throw wrong('there is no host');
  if (names.length > hostsMax) throw wrong(`there are more than ${hostsMax} hosts`);
  if (new Set(names).size !== names.length) throw wrong('a host is named twice');
  let free = firstFreeNumber;
  return names.map((name) => {
    if (!/^[a-z][a-z0-9-]{0,11}$/.test(name)) throw wrong(`"${name}" is not a host name of the lab`);
    return { name, number: wellKnown[name] ?? free++ };
  });
}

export function addressesOf(number: number): HostAddresses {
  return { service: `10.77.0.${number}`, service6: `fd77::${number}`, private: `10.78.0.${number}` };
}

/** A locally administered MAC that spells the host's IPv4 address, so that a frame in a capture tells its host. */
export function macOf(number: number, network: Network): string {
  const net = network === 'service' ? '4d' : '4e';
  return `02:00:0a:${net}:00:${number.toString(16).padStart(2, '0')}`;
}

/** The name of the switch port that a host is plugged into. */
export function portOf(host: string, network: Network): string {
  return `${network === 'service' ? 's' : 'p'}-${host}`;
}

/** /etc/hosts of every lab host. A plain name is IPv4 only, so that nothing prefers an address family by accident. */
export function hostsFile(hosts: readonly { readonly name: string; readonly number: number }[]): string {
  const lines = hosts.flatMap(({ name, number }) => {
    const at = addressesOf(number);
    return [`${at.service} ${name}`, `${at.service6} ${name}-v6`, `${at.private} ${name}-private`];
  });
  return ['127.0.0.1 localhost', '::1 localhost ip6-localhost', ...lines, ''].join('\n');
}
