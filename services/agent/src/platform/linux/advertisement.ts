/**
 * Unsolicited neighbour advertisements for IPv6 (RFC 4861, 7.2.6): to all nodes, with the override flag, so that every
 * host and router that knows the address under another link-layer address takes ours at once.
 *
 * Node has no raw sockets, and neither iproute2, iputils nor ndisc6 can send one. The kernel sends one only once, after its own
 * duplicate detection, and only where `ndisc_notify` is set. perl-base is on every Debian host; a few core calls of it,
 * with no module to load, send ours 3 ms after the start. All numbers are computed here; perl only hands them to the kernel, which
 * fills in the checksum (RFC 3542, 3.1).
 *
 * It binds to the address first: an address that is gone can't be announced by mistake.
 */
import { readFileSync } from 'node:fs';
import { endianness } from 'node:os';
import type { Outcome } from '../platform.ts';
import { ipv6Octets } from './cidr.ts';
import { explainResult, runProgram } from './commands.ts';

const SEND_MS = 1000;
const AF_INET6 = 10;
const NEIGHBOUR_ADVERTISEMENT = 136;
const ROUTER = 0x80000000;
const OVERRIDE = 0x20000000;
const TARGET_LINK_ADDRESS = 2;

// 10: AF_INET6, 3: SOCK_RAW, 58: ICMPv6; level 41: IPv6, 18: IPV6_MULTICAST_HOPS, 17: IPV6_MULTICAST_IF.
const PROGRAM = `
my ($index, $from, $to, $message) = @ARGV;
socket(S, 10, 3, 58) or die "socket: $!\\n";
setsockopt(S, 41, 18, pack("i", 255)) or die "hops: $!\\n";
setsockopt(S, 41, 17, pack("I", $index)) or die "interface: $!\\n";
bind(S, pack("H*", $from)) or die "bind: $!\\n";
defined(send(S, pack("H*", $message), 0, pack("H*", $to))) or die "send: $!\\n";
`;

export interface Link {
  readonly index: number;
  readonly linkAddress: string;
}

/** Sends one; `done` when the kernel took it. */
export async function advertise(perl: string, address: string, device: string, link: Link): Promise<Outcome> {
  const from = socketAddress(ipv6Octets(address), 0);
  const to = socketAddress(ipv6Octets('ff02::1'), link.index);
  const message = advertisement(address, link.linkAddress, isRouter(device));
  const hex = [from, to, message].map((octets) => octets.toString('hex'));
  const argv = [perl, '-e', PROGRAM, String(link.index), ...hex];
  const result = await runProgram(argv, { timeoutMs: SEND_MS });
  if (result.kind === 'exited' && result.status === 0) return { kind: 'done' };
  return { kind: 'failed', says: explainResult([perl, 'neighbour advertisement of', address], result) };
}

/** RFC 4861, 4.4; the checksum is left to the kernel. */
function advertisement(address: string, linkAddress: string, router: boolean): Buffer {
  const head = Buffer.alloc(8);
  head.writeUInt8(NEIGHBOUR_ADVERTISEMENT, 0);
  head.writeUInt32BE(OVERRIDE + (router ? ROUTER : 0), 4);
  const link = Buffer.from(linkAddress.replaceAll(':', ''), 'hex');
  return Buffer.concat([head, ipv6Octets(address), Buffer.from([TARGET_LINK_ADDRESS, 1]), link]);
}

/** struct sockaddr_in6 (ipv6(7)), in this host's byte order where the kernel wants it so. */
function socketAddress(octets: Buffer, scope: number): Buffer {
  const address = Buffer.alloc(28);
  if (endianness() === 'LE') {
    address.writeUInt16LE(AF_INET6, 0);
    address.writeUInt32LE(scope, 24);
  } else {
    address.writeUInt16BE(AF_INET6, 0);
    address.writeUInt32BE(scope, 24);
  }
  octets.copy(address, 8);
  return address;
}

/** A router that says it is none would be dropped as default route by its neighbours (RFC 4861, 7.2.5). */
function isRouter(device: string): boolean {
  try {
    return readFileSync(`/proc/sys/net/ipv6/conf/${device}/forwarding`, 'utf8').trim() === '1';
  } catch {
    return false; // the interface is gone; sending will say so
  }
}
