/**
 * Telling everybody on a link that an address is here now, so that hosts and routers that know it under another
 * link-layer address take ours at once.
 *
 * IPv4: gratuitous ARP as a request and as a reply, as hosts differ in which of the two they heed (RFC 5227, 3). IPv6: an
 * unsolicited neighbour advertisement to all nodes, with the override flag (RFC 4861, 7.2.6); the kernel sends one only
 * once, after its own duplicate detection, and only where `ndisc_notify` is set.
 */
import { readFileSync } from 'node:fs';
import type { Outcome } from '../platform.ts';
import { ipv4Octets, ipv6Octets, type ParsedCidr } from './cidr.ts';
import { broadcast, sendIcmp6 } from './raw-sockets.ts';

const ARP = 0x0806;
const ETHERNET = 1;
const IPV4 = 0x0800;
const REQUEST = 1;
const REPLY = 2;
const NEIGHBOUR_ADVERTISEMENT = 136;
const ROUTER = 0x80000000;
const OVERRIDE = 0x20000000;
const TARGET_LINK_ADDRESS = 2;

/** Where it is sent from. */
interface Place {
  readonly index: number;
  readonly linkAddress: string;
}

/** Sends the announcement once; `done` when the kernel took it. It is refused once the address is gone. */
export function announceOnce(cidr: ParsedCidr, device: string, { index, ...link }: Place): Outcome {
  const linkAddress = Buffer.from(link.linkAddress.replaceAll(':', ''), 'hex');
  if (cidr.family === 'ipv4') {
    const octets = ipv4Octets(cidr.address);
    const packets = [REQUEST, REPLY].map((operation) => gratuitousArp(octets, linkAddress, operation));
    return named(cidr, device, broadcast(index, ARP, octets, packets));
  }
  const octets = ipv6Octets(cidr.address);
  const message = advertisement(octets, linkAddress, isRouter(device));
  return named(cidr, device, sendIcmp6(index, octets, ipv6Octets('ff02::1'), message));
}

function named(cidr: ParsedCidr, device: string, outcome: Outcome): Outcome {
  if (outcome.kind === 'done') return outcome;
  return { kind: 'failed', says: `${cidr.address} could not be announced on ${device}: ${outcome.says}` };
}

/** RFC 826: sender and target are both the address itself. */
function gratuitousArp(octets: Buffer, linkAddress: Buffer, operation: number): Buffer {
  const head = Buffer.alloc(8);
  head.writeUInt16BE(ETHERNET, 0);
  head.writeUInt16BE(IPV4, 2);
  head.writeUInt8(linkAddress.length, 4);
  head.writeUInt8(octets.length, 5);
  head.writeUInt16BE(operation, 6);
  const target = operation === REQUEST ? Buffer.alloc(6, 0xff) : linkAddress;
  return Buffer.concat([head, linkAddress, octets, target, octets]);
}

/** RFC 4861, 4.4; the checksum is left to the kernel. */
function advertisement(octets: Buffer, linkAddress: Buffer, router: boolean): Buffer {
  const head = Buffer.alloc(8);
  head.writeUInt8(NEIGHBOUR_ADVERTISEMENT, 0);
  head.writeUInt32BE(OVERRIDE + (router ? ROUTER : 0), 4);
  return Buffer.concat([head, octets, Buffer.from([TARGET_LINK_ADDRESS, 1]), linkAddress]);
}

/** A router that says it is none would be dropped as default route by its neighbours (RFC 4861, 7.2.5). */
function isRouter(device: string): boolean {
  try {
    return readFileSync(`/proc/sys/net/ipv6/conf/${device}/forwarding`, 'utf8').trim() === '1';
  } catch {
    return false; // the interface is gone; sending will say so
  }
}
