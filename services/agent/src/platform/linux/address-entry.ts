/**
 * What the kernel shows of addresses, and the messages that set and drop one (rtnetlink(7)). The rules are those of addresses.ts.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { networkInterfaces } from 'node:os';
import { SocketAddress } from 'node:net';
import { inNetwork, isDeviceName, octetsOf } from './cidr.ts';
import type { ParsedCidr } from './cidr.ts';
import { AF_INET, AF_INET6, hostOrder32, readHost32 } from './libc.ts';
import { attribute, attributes, FLAG, REQUEST } from './netlink.ts';
import type { Netlink, NetlinkAnswer } from './netlink.ts';

const IFA_ADDRESS = 1;
const IFA_LOCAL = 2;
const IFA_CACHEINFO = 6;
const IFA_FLAGS = 8;
const NODAD = 0x02;
const DADFAILED = 0x08;
const TENTATIVE = 0x40;
const PERMANENT = 0x80;
const NOPREFIXROUTE = 0x200;
const SCOPE_LINK = 253;
const FOREVER = 0xffffffff;
/** struct ifaddrmsg. */
const ADDRESS_BYTES = 8;

/** One address of an interface. */
export interface Entry {
  /** Of the interface. */
  readonly index: number;
  readonly cidr: ParsedCidr;
  /** Whether the kernel drops it by itself. */
  readonly hasEnd: boolean;
  /** Whether another host has it. */
  readonly isTaken: boolean;
  readonly isTentative: boolean;
  /** Whether it is valid on its link only. */
  readonly isLinkLocal: boolean;
  /** As the kernel tells of it, which names it when it is dropped. */
  readonly body: Buffer;
}

type Refused = Extract<NetlinkAnswer, { readonly kind: 'refused' }>;

/** The addresses of all interfaces; of one family where it is given. */
export function readEntries(netlink: Netlink, family?: ParsedCidr['family']): readonly Entry[] | Refused {
  const answer = netlink.request(REQUEST.getAddress, FLAG.list, addressInfo(numberOf(family), 0, 0, 0));
  return answer.kind === 'refused' ? answer : answer.messages.flatMap(parseEntry);
}

/** Sets or extends an address; `seconds` null: without an end (A3, A4 of addresses.ts). `sharesNetwork` as below. */
export function setAddress(
  netlink: Netlink,
  parsed: ParsedCidr,
  index: number,
  seconds: number | null,
  sharesNetwork: boolean,
): NetlinkAnswer {
  const isIpv4 = parsed.family === 'ipv4';
  const octets = octetsOf(parsed);
  const valid = seconds ?? FOREVER;
  const preferred = isIpv4 || seconds === null ? valid : 0;
  const flags = isIpv4 ? 0 : NODAD | (seconds !== null && sharesNetwork ? NOPREFIXROUTE : 0);
  const body = Buffer.concat([
    addressInfo(numberOf(parsed.family), parsed.bits, flags & 0xff, index),
    attribute(IFA_LOCAL, octets),
    attribute(IFA_ADDRESS, octets),
    attribute(IFA_FLAGS, hostOrder32(flags)),
    attribute(IFA_CACHEINFO, Buffer.concat([preferred, valid, 0, 0].map(hostOrder32))),
  ]);
  return netlink.request(REQUEST.newAddress, FLAG.acknowledge + FLAG.create + FLAG.replace, body);
}

/** Done as well when it is gone already. */
export function dropEntry(netlink: Netlink, entry: Entry): NetlinkAnswer {
  const answer = netlink.request(REQUEST.dropAddress, FLAG.acknowledge, entry.body);
  const isGone = answer.kind === 'refused' && answer.code === 'EADDRNOTAVAIL';
  return isGone ? { kind: 'done', messages: [] } : answer;
}

/** A3 (addresses.ts) for IPv6: whether another lasting address of the interface lies in the same network. */
export function sharesNetwork(entries: readonly Entry[], parsed: ParsedCidr, index: number): boolean {
  return entries.some(
    ({ index: on, cidr, hasEnd }) =>
      on === index &&
      !hasEnd &&
      cidr.address !== parsed.address &&
      cidr.bits === parsed.bits &&
      inNetwork(parsed, cidr),
  );
}

function parseEntry(message: Buffer): readonly Entry[] {
  const family = message.readUInt8(0);
  if (family !== AF_INET && family !== AF_INET6) return [];
  const found = attributes(message, ADDRESS_BYTES);
  const octets = found.get(IFA_LOCAL) ?? found.get(IFA_ADDRESS);
  if (octets === undefined) return [];
  const wide = found.get(IFA_FLAGS);
  const flags = wide === undefined ? message.readUInt8(2) : readHost32(wide, 0);
  return [
    {
      index: readHost32(message, 4),
      cidr: parsedOf(octets, message.readUInt8(1)),
      hasEnd: (flags & PERMANENT) === 0,
      isTaken: (flags & DADFAILED) !== 0,
      isTentative: (flags & TENTATIVE) !== 0,
      isLinkLocal: message.readUInt8(3) === SCOPE_LINK,
      body: message,
    },
  ];
}

function parsedOf(octets: Buffer, bits: number): ParsedCidr {
  if (octets.length === 4) return { family: 'ipv4', address: octets.join('.'), bits };
  const groups = octets.toString('hex').replace(/(.{4})(?=.)/g, '$1:');
  return { family: 'ipv6', address: new SocketAddress({ address: groups, family: 'ipv6' }).address, bits };
}

function numberOf(family: ParsedCidr['family'] | undefined): number {
  if (family === undefined) return 0;
  return family === 'ipv4' ? AF_INET : AF_INET6;
}

function addressInfo(family: number, bits: number, flags: number, index: number): Buffer {
  return Buffer.concat([Buffer.from([family, bits, flags, 0]), hostOrder32(index)]);
}

/** A3 for IPv4. Where it can't be written, `missing()` says so (preflight.ts). */
export function keepSecondaries(parsed: ParsedCidr, device: string): void {
  if (parsed.family === 'ipv6' || !isDeviceName(device) || promotesSecondaries(device)) return;
  try {
    writeFileSync(`/proc/sys/net/ipv4/conf/${device}/promote_secondaries`, '1');
  } catch {
    return; // no such interface: the change itself will say so; or read-only: preflight says so
  }
}

export function promotesSecondaries(device: string): boolean {
  return ['all', device].some(
    (name) => readOrEmpty(`/proc/sys/net/ipv4/conf/${name}/promote_secondaries`).trim() === '1',
  );
}

/** What can be known without netlink; sees only interfaces that run. */
export function onRunningInterface(parsed: ParsedCidr): boolean {
  return Object.values(networkInterfaces()).some((list) =>
    (list ?? []).some((info) => info.address === parsed.address),
  );
}

function readOrEmpty(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return ''; // no such interface
  }
}
