/**
 * IPv4 and IPv6 addresses with a prefix length, parsed exactly. A wrong address is found by the kernel only in the
 * middle of a takeover, so everything that it would refuse, or that no client could reach, is refused here.
 *
 * Text comes out in canonical form (RFC 5952 for IPv6), as the kernel prints it, so that texts can be compared.
 */

import type { Parsed } from './quantity.ts';
import { invalid, ok, quote } from './quantity.ts';

export interface Address {
  readonly family: 4 | 6;
  readonly value: bigint;
  /** Canonical. */
  readonly text: string;
}

export interface Cidr {
  readonly address: Address;
  readonly prefix: number;
}

/** An address without a prefix length. */
export function parseAddress(text: string): Parsed<Address> {
  const value4 = ipv4(text);
  if (value4 !== null) return ok({ family: 4, value: value4, text: formatIpv4(value4) });
  const value6 = ipv6(text);
  if (value6 !== null) return ok({ family: 6, value: value6, text: formatIpv6(value6) });
  return invalid(`${quote(text)} is not an IP address; write one such as 10.77.0.100 or 2001:db8::100`);
}

/** As the kernel writes it; what is no address stays as it is. */
export function canonicalAddress(text: string): string {
  const parsed = parseAddress(text);
  return parsed.kind === 'ok' ? parsed.value.text : text;
}

/** An address with its prefix length, such as 10.77.0.100/24. */
export function parseCidr(text: string): Parsed<Cidr> {
  const slash = text.indexOf('/');
  const address = parseAddress(slash === -1 ? text : text.slice(0, slash));
  if (address.kind === 'invalid')
    return invalid(`${quote(text)} is not an address; write one such as 10.77.0.100/24`);
  const { family, text: canonical } = address.value;
  const usual = family === 4 ? 24 : 64;
  if (slash === -1) return invalid(`${quote(text)} has no prefix length; write ${canonical}/${usual}`);
  const digits = text.slice(slash + 1);
  const max = bits(family);
  const prefix = /^(0|[1-9]\d{0,2})$/.test(digits) ? Number(digits) : Number.NaN;
  if (!(prefix >= 1 && prefix <= max)) {
    return invalid(
      `${quote(text)} has a wrong prefix length; write 1 to ${max}, such as ${canonical}/${usual}`,
    );
  }
  return ok({ address: address.value, prefix });
}

export function formatCidr(cidr: Cidr): string {
  return `${cidr.address.text}/${cidr.prefix}`;
}

/** Whether a host can have this address in its network and clients can reach it; otherwise why not. */
export function unusable(cidr: Cidr): string | null {
  const kind = specialKind(cidr.address);
  if (kind !== null) return `is ${kind}, which clients cannot reach a service at`;
  const { family, value } = cidr.address;
  const hostBits = BigInt(bits(family) - cidr.prefix);
  // A network of one or two addresses has no network and broadcast address (RFC 3021, RFC 6164).
  if (hostBits < 2n) return null;
  const all = (1n << hostBits) - 1n;
  const host = value & all;
  if (host === 0n) {
    return family === 4
      ? `is the address of the network itself`
      : `is the subnet-router anycast address of its network (RFC 4291)`;
  }
  if (family === 4 && host === all) return 'is the broadcast address of its network';
  return null;
}

/** What makes an address unfit for one host, as a noun phrase; null for an ordinary one (RFC 6890). */
export function specialKind(address: Address): string | null {
  for (const [family, base, prefix, kind] of special) {
    if (family === address.family && inNetwork(address, { family, value: base, text: '' }, prefix))
      return kind;
  }
  return null;
}

/** Why other members could not reach a member at this address; null: they can. Loopback is for trying out on one host. */
export function unreachableMember(text: string): string | null {
  const address = parseAddress(text);
  if (address.kind === 'invalid') return address.reason;
  const kind = specialKind(address.value);
  if (kind === null || kind.endsWith('loopback address')) return null;
  return `${text} is ${kind}, at which other members can't reach this one; write an address of its own`;
}

/** Whether both are in the same network of this prefix length. */
export function inNetwork(a: Address, b: Address, prefix: number): boolean {
  if (a.family !== b.family) return false;
  const shift = BigInt(bits(a.family) - prefix);
  return a.value >> shift === b.value >> shift;
}

/** The network of an address as text: 10.77.0.0/24. */
export function networkOf(cidr: Cidr): string {
  const { family, value } = cidr.address;
  const shift = BigInt(bits(family) - cidr.prefix);
  const base = (value >> shift) << shift;
  return `${family === 4 ? formatIpv4(base) : formatIpv6(base)}/${cidr.prefix}`;
}

const special: readonly (readonly [4 | 6, bigint, number, string])[] = [
  [4, 0n, 8, 'an address of "this network"'],
  [4, 0x7f000000n, 8, 'a loopback address'],
  [4, 0xa9fe0000n, 16, 'a link-local address'],
  [4, 0xe0000000n, 4, 'a multicast address'],
  [4, 0xf0000000n, 4, 'a reserved address'],
  [6, 0n, 128, 'the unspecified address'],
  [6, 1n, 128, 'the loopback address'],
  [6, 0xffffn << 32n, 96, 'an IPv4 address written as IPv6'],
  [6, 0xfe80n << 112n, 10, 'a link-local address'],
  [6, 0xff00n << 112n, 8, 'a multicast address'],
];

function bits(family: 4 | 6): number {
  return family === 4 ? 32 : 128;
}

/** Four decimal numbers without leading zeros, which some programs read as octal. */
function ipv4(text: string): bigint | null {
  const parts = text.split('.', 5);
  if (parts.length !== 4) return null;
  let value = 0n;
  for (const part of parts) {
    if (!/^(0|[1-9]\d{0,2})$/.test(part) || Number(part) > 255) return null;
    value = (value << 8n) | BigInt(part);
  }
  return value;
}

/** RFC 4291 section 2.2: eight groups, one `::`, possibly an IPv4 tail; no zone. */
function ipv6(text: string): bigint | null {
  if (text.length > 45 || !text.includes(':')) return null;
  const halves = text.split('::');
  if (halves.length > 2) return null;
  const [head = '', tail] = halves;
  const before = hextets(head, tail === undefined);
  const after = tail === undefined ? [] : hextets(tail, true);
  if (before === null || after === null) return null;
  const missing = 8 - before.length - after.length;
  if (tail === undefined ? missing !== 0 : missing < 1) return null;
  const all = [...before, ...Array<number>(missing).fill(0), ...after];
  return all.reduce((value, group) => (value << 16n) | BigInt(group), 0n);
}

function hextets(text: string, last: boolean): number[] | null {
  if (text === '') return [];
  const groups: number[] = [];
  const parts = text.split(':');
  for (const [index, part] of parts.entries()) {
    const embedded = last && index === parts.length - 1 ? ipv4(part) : null;
    if (embedded !== null) groups.push(Number(embedded >> 16n), Number(embedded & 0xffffn));
    else if (/^[0-9A-Fa-f]{1,4}$/.test(part)) groups.push(Number.parseInt(part, 16));
    else return null;
  }
  return groups;
}

function formatIpv4(value: bigint): string {
  return [24n, 16n, 8n, 0n].map((shift) => String((value >> shift) & 255n)).join('.');
}

/** RFC 5952: lower case, no leading zeros, the first longest run of two or more zero groups as `::`. */
function formatIpv6(value: bigint): string {
  const groups = Array.from({ length: 8 }, (_, index) =>
    Number((value >> BigInt(112 - 16 * index)) & 0xffffn),
  );
  let bestStart = 0;
  let bestLength = 1;
  for (let start = 0; start < 8; start += 1) {
    let end = start;
    while (end < 8 && groups[end] === 0) end += 1;
    if (end - start > bestLength) [bestStart, bestLength] = [start, end - start];
  }
  const hex = groups.map((group) => group.toString(16));
  if (bestLength < 2) return hex.join(':');
  return `${hex.slice(0, bestStart).join(':')}::${hex.slice(bestStart + bestLength).join(':')}`;
}
