/** The interfaces of this host, as the kernel lists them (rtnetlink(7), netdevice(7)). */
import { hostOrder16, hostOrder32, readHost32 } from './libc.ts';
import { attribute, attributes, FLAG, REQUEST, text } from './netlink.ts';
import type { Netlink, NetlinkAnswer } from './netlink.ts';

const IFLA_ADDRESS = 1;
const IFLA_IFNAME = 3;
const IFLA_EXT_MASK = 29;
const RTEXT_FILTER_SKIP_STATS = 8;
const IFF_LOWER_UP = 0x10000;
/** struct ifinfomsg. */
const INFO_BYTES = 16;

export interface Link {
  readonly index: number;
  readonly device: string;
  readonly linkAddress: string | null;
  /** Whether the wire is there. */
  readonly carrier: boolean;
}

type Refused = Extract<NetlinkAnswer, { readonly kind: 'refused' }>;

/** By name. */
export function readLinks(netlink: Netlink): ReadonlyMap<string, Link> | Refused {
  const answer = netlink.request(REQUEST.getLink, FLAG.list, Buffer.concat([linkInfo(0), withoutCounts()]));
  if (answer.kind === 'refused') return answer;
  return new Map(answer.messages.map(parseLink).map((link) => [link.device, link]));
}

/** By name, which `isDeviceName` has checked, or by index. Undefined when there is no such interface. */
export function readLink(netlink: Netlink, which: string | number): Link | undefined | Refused {
  const [index, name] = typeof which === 'number' ? [which, []] : [0, [nameAttribute(which)]];
  const answer = netlink.request(
    REQUEST.getLink,
    0,
    Buffer.concat([linkInfo(index), ...name, withoutCounts()]),
  );
  if (answer.kind === 'refused') return answer.code === 'ENODEV' ? undefined : answer;
  return answer.messages.map(parseLink)[0];
}

const nameAttribute = (device: string): Buffer => attribute(IFLA_IFNAME, Buffer.from(`${device}\0`));

export function isRefused(answer: object | undefined): answer is Refused {
  return answer !== undefined && 'kind' in answer && answer.kind === 'refused';
}

function parseLink(message: Buffer): Link {
  const found = attributes(message, INFO_BYTES);
  return {
    index: readHost32(message, 4),
    device: text(found.get(IFLA_IFNAME) ?? Buffer.alloc(0)),
    linkAddress: linkAddressOf(found.get(IFLA_ADDRESS)),
    carrier: (readHost32(message, 8) & IFF_LOWER_UP) !== 0,
  };
}

/** Such as 52:54:00:00:00:01; null for anything but 6 octets. */
export function linkAddressOf(octets: Buffer | undefined): string | null {
  return octets?.length === 6 ? octets.toString('hex').replace(/..(?=.)/g, '$&:') : null;
}

function linkInfo(index: number): Buffer {
  return Buffer.concat([hostOrder16(0), hostOrder16(0), hostOrder32(index), hostOrder32(0), hostOrder32(0)]);
}

/** Most of what the kernel tells of an interface is counters. */
const withoutCounts = (): Buffer => attribute(IFLA_EXT_MASK, hostOrder32(RTEXT_FILTER_SKIP_STATS));
