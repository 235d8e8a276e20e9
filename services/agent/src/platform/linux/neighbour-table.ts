/**
 * Asks for an address through the kernel's neighbour table: forget what is known, have the kernel solicit (NTF_USE, as
 * `ip neigh replace ... use` does), and look until an answer is in the table. For IPv4 and IPv6, without a process to start.
 *
 * It is not fooled by this host: a host does not answer its own solicitations, and answers from one of our own interfaces on
 * the same wire are left out (neighbours.ts). Sources: rtnetlink(7), Linux include/uapi/linux/neighbour.h.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Sighting } from '../platform.ts';
import { octetsOf } from './cidr.ts';
import type { ParsedCidr } from './cidr.ts';
import { AF_INET, AF_INET6, hostOrder16, hostOrder32, readHost16 } from './libc.ts';
import { linkAddressOf } from './links.ts';
import type { Link } from './links.ts';
import { attribute, attributes, FLAG, NEIGHBOUR } from './netlink.ts';
import type { Netlink } from './netlink.ts';

const LOOK_EVERY_MS = 2;
const NDA_DST = 1;
const NDA_LLADDR = 2;
const NTF_USE = 1;
const NUD_INCOMPLETE = 0x01;
const NUD_FAILED = 0x20;
const NUD_NOARP = 0x40;
const NUD_PERMANENT = 0x80;
/** struct ndmsg. */
const NEIGHBOUR_BYTES = 12;

interface Neighbour {
  readonly state: number;
  readonly linkAddress: string | null;
}

/** Somebody's link-layer address, nobody within `waitMs`, or why that is not known. */
export async function solicit(
  netlink: Netlink,
  cidr: ParsedCidr,
  link: Link,
  waitMs: number,
): Promise<Sighting> {
  const began = performance.now();
  const ask = (type: number, flags: number, entryFlags = 0) =>
    netlink.request(type, flags, neighbourInfo(cidr, link.index, entryFlags));
  const look = (): Neighbour | null | string => {
    const answer = ask(NEIGHBOUR.get, 0);
    if (answer.kind === 'refused') return answer.code === 'ENOENT' ? null : answer.says;
    return answer.messages.map(parseNeighbour)[0] ?? null;
  };
  const forget = (): void => void ask(NEIGHBOUR.drop, FLAG.acknowledge);

  const known = look();
  if (typeof known === 'string') return unknown(known);
  if (known !== null && (known.state & (NUD_PERMANENT | NUD_NOARP)) !== 0)
    return unknown(`${cidr.address} has a fixed entry in the neighbour table of ${link.device}`);
  if (known !== null) forget();
  const asked = ask(NEIGHBOUR.set, FLAG.acknowledge + FLAG.create + FLAG.replace, NTF_USE);
  if (asked.kind === 'refused') return unknown(asked.says);
  for (;;) {
    const found = look();
    if (typeof found === 'string') return unknown(found);
    if (found !== null && found.linkAddress !== null)
      return { kind: 'somebody', linkAddress: found.linkAddress };
    const leftMs = waitMs - (performance.now() - began);
    if (leftMs > 0) await sleep(Math.min(LOOK_EVERY_MS, leftMs));
    else if (found !== null && (found.state & (NUD_INCOMPLETE | NUD_FAILED)) !== 0) {
      forget(); // Otherwise the kernel goes on asking for 3 s.
      return { kind: 'nobody' };
    } else return unknown(`the kernel did not ask for ${cidr.address}`);
  }
}

const unknown = (says: string): Sighting => ({ kind: 'unknown', says });

function neighbourInfo(cidr: ParsedCidr, index: number, flags: number): Buffer {
  return Buffer.concat([
    Buffer.from([cidr.family === 'ipv4' ? AF_INET : AF_INET6, 0, 0, 0]),
    hostOrder32(index),
    hostOrder16(0),
    Buffer.from([flags, 0]),
    attribute(NDA_DST, octetsOf(cidr)),
  ]);
}

function parseNeighbour(message: Buffer): Neighbour {
  return {
    state: readHost16(message, 8),
    linkAddress: linkAddressOf(attributes(message, NEIGHBOUR_BYTES).get(NDA_LLADDR)),
  };
}
