/**
 * An address with its prefix length, parsed once at the border. Everything that reaches a command line has passed
 * through here, so nothing a person wrote can become an option or a second command.
 */
import { BlockList, isIP, SocketAddress } from 'node:net';
import type { Cidr } from '../platform.ts';

export interface ParsedCidr {
  readonly family: 'ipv4' | 'ipv6';
  /** In its shortest form, as the kernel prints it. */
  readonly address: string;
  readonly bits: number;
}

/** Null for anything but `ADDRESS/BITS`; a bare address stands for that one host. */
export function parseCidr(cidr: Cidr): ParsedCidr | null {
  const [text = '', bitsText, ...rest] = cidr.split('/');
  const version = isIP(text);
  if (rest.length > 0 || version === 0 || text.includes('%')) return null;
  const most = version === 4 ? 32 : 128;
  if (bitsText !== undefined && !/^\d{1,3}$/.test(bitsText)) return null;
  const bits = bitsText === undefined ? most : Number(bitsText);
  if (bits > most) return null;
  const family = version === 4 ? 'ipv4' : 'ipv6';
  return { family, address: new SocketAddress({ address: text, family }).address, bits };
}

/** The prefix that matches this one address only, for `ip ... to PREFIX`. */
export function hostPrefix(parsed: ParsedCidr): string {
  return `${parsed.address}/${parsed.family === 'ipv4' ? 32 : 128}`;
}

/** Whether `inner`'s address lies in the network of `outer`. */
export function inNetwork(inner: ParsedCidr, outer: ParsedCidr): boolean {
  if (inner.family !== outer.family) return false;
  const list = new BlockList();
  list.addSubnet(outer.address, outer.bits, outer.family);
  return list.check(inner.address, inner.family);
}

/** The 4 octets of an IPv4 address. */
export function ipv4Octets(address: string): Buffer {
  return Buffer.from(address.split('.').map(Number));
}

/** The 16 octets of an IPv6 address in its shortest form. */
export function ipv6Octets(address: string): Buffer {
  const v4 = /^(.*:)(\d+)\.(\d+)\.(\d+)\.(\d+)$/.exec(address);
  const plain =
    v4 === null
      ? address
      : `${v4[1] ?? ''}${(Number(v4[2]) * 256 + Number(v4[3])).toString(16)}:${(Number(v4[4]) * 256 + Number(v4[5])).toString(16)}`;
  const [head = '', tail] = plain.split('::');
  const left = head === '' ? [] : head.split(':');
  const right = tail === undefined || tail === '' ? [] : tail.split(':');
  const groups = [...left, ...Array.from({ length: 8 - left.length - right.length }, () => '0'), ...right];
  return Buffer.from(groups.map((group) => group.padStart(4, '0')).join(''), 'hex');
}

/** Of an address of either family, in the order of the network. */
export const octetsOf = ({ family, address }: ParsedCidr): Buffer =>
  family === 'ipv4' ? ipv4Octets(address) : ipv6Octets(address);

/** Interface names that the kernel allows, and that are neither an option nor a path. */
export function isDeviceName(device: string): boolean {
  return /^[A-Za-z0-9_][A-Za-z0-9_.:-]{0,14}$/.test(device);
}
