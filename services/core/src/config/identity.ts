/**
 * The identity of a group: the addresses and names that clients use.
 *
 * `add` has addresses of its own, each with the prefix length of its network. `replace` has the primary's own address
 * on the service network, which is never written in the file: it follows from the members. Members know their
 * addresses without prefix lengths, so `replace` may say `prefix`; otherwise the usual one is assumed, with a warning,
 * and refused when the two servers would then not be in one network.
 */

import type { MemberId } from '../names.ts';
import type { Address, Cidr } from './address.ts';
import { formatCidr, inNetwork, networkOf, parseCidr, unusable } from './address.ts';
import { limits, limitsMs } from './limits.ts';
import type { Members } from './members.ts';
import type { Fields, Place } from './place.ts';
import {
  readDuration,
  readFields,
  readList,
  readOptional,
  readWhole,
  readWith,
  readWord,
  warn,
  wrong,
} from './place.ts';
import type { Parsed } from './quantity.ts';
import { describe, invalid, quote } from './quantity.ts';
import { parseFilePath, parseHostAddress, parseHostname, parseInterface, parseZone } from './text.ts';
import type { DnsConfig, Identity } from './types.ts';

/** The servers of the group that were read, and whether that is all that was written. */
export interface GroupServers {
  readonly names: readonly MemberId[];
  readonly complete: boolean;
}

const example = '{ mode: add, addresses: [10.77.0.100/24] }';
const none: Identity = { mode: 'add', addresses: [], interface: null, hostname: null, dns: null };

export function readIdentity(place: Place, servers: GroupServers, members: Members | null): Identity {
  const known = ['mode', 'addresses', 'interface', 'hostname', 'dns', 'prefix'];
  const fields = readFields(place, known, example);
  if (fields === null) return none;
  const mode = readWord(fields.at('mode'), ['add', 'replace'], null);
  const hostname = readOptional(fields.at('hostname'), parseHostname, 'a host name such as d3-main');
  const shared = {
    interface: readOptional(fields.at('interface'), parseInterface, 'an interface such as eth0'),
    hostname,
    dns: readDns(fields.at('dns')),
  };
  if (fields.at('dns').raw !== undefined && fields.at('hostname').raw === undefined) {
    wrong(fields.at('dns'), 'has no name to keep; write identity.hostname as well');
  }
  switch (mode) {
    case null:
      return { ...none, ...shared };
    case 'add':
      return { mode, ...shared, addresses: readAdded(fields, servers, members) };
    case 'replace':
      return { mode, ...shared, ...readReplaced(fields, servers, members) };
  }
}

function readAdded(fields: Fields, servers: GroupServers, members: Members | null): readonly string[] {
  const place = fields.at('addresses');
  if (fields.at('prefix').raw !== undefined) {
    wrong(
      fields.at('prefix'),
      'belongs to mode replace; write the prefix length with each address, as 10.77.0.100/24',
    );
  }
  if (place.raw === undefined || (Array.isArray(place.raw) && place.raw.length === 0)) {
    if (fields.at('hostname').raw === undefined) {
      wrong(fields.place, 'has neither an address nor a host name; write addresses: [10.77.0.100/24]');
    }
    return [];
  }
  const added: string[] = [];
  for (const entry of readList(place, 'a list such as [10.77.0.100/24]', limits.addressesPerGroup)) {
    const cidr = readWith(entry, parseServiceAddress, '10.77.0.100/24');
    if (cidr === null) continue;
    const owner = members?.holders.get(cidr.address.text);
    if (owner !== undefined) {
      wrong(
        entry,
        `${quote(cidr.address.text)} is the own address of ${owner}; write one that no host has, or use mode replace`,
      );
    }
    if (fields.at('interface').raw === undefined) warnIfUnreachable(entry, cidr, servers, members);
    added.push(formatCidr(cidr));
  }
  return added;
}

function parseServiceAddress(raw: unknown): Parsed<Cidr> {
  if (typeof raw !== 'string')
    return invalid(`${describe(raw)} is not an address; write one such as 10.77.0.100/24`);
  const cidr = parseCidr(raw);
  if (cidr.kind === 'invalid') return cidr;
  const why = unusable(cidr.value);
  return why === null ? cidr : invalid(`${quote(raw)} ${why}; write the address of a host`);
}

/** Without an interface the address goes where its network already is, so every server should have an address there. */
function warnIfUnreachable(place: Place, cidr: Cidr, servers: GroupServers, members: Members | null): void {
  if (members === null) return;
  for (const name of servers.names) {
    const paths = members.paths.get(name) ?? [];
    if (paths.some((own) => own !== null && inNetwork(own, cidr.address, cidr.prefix))) continue;
    warn(
      place,
      `${name} has no path in ${networkOf(cidr)}; write identity.interface if the network is there all the same`,
    );
  }
}

type Replaced = Pick<Extract<Identity, { mode: 'replace' }>, 'primaryAddress' | 'standbyAddress'>;
const unknownYet: Replaced = { primaryAddress: null, standbyAddress: null };

function readReplaced(fields: Fields, servers: GroupServers, members: Members | null): Replaced {
  if (fields.at('addresses').raw !== undefined) {
    wrong(
      fields.at('addresses'),
      "is not for mode replace, which takes over the primary's own address; remove it",
    );
  }
  const prefixPlace = fields.at('prefix');
  const prefix = prefixPlace.raw === undefined ? null : readWhole(prefixPlace, 24, 1, 128);
  if (servers.complete && servers.names.length !== 2) {
    wrong(
      fields.place,
      `replace needs exactly two servers, as they exchange their own addresses, and ${servers.names.length} found; ` +
        'write two servers or use mode add',
    );
    return unknownYet;
  }
  if (members === null || !servers.complete) return unknownYet;
  for (const name of servers.names) {
    const paths = members.paths.get(name);
    if (paths !== undefined) checkSecondPath(fields.place, name, paths);
  }
  const [primary, standby] = servers.names.map((name) => members.paths.get(name)?.[0]);
  if (primary === undefined || primary === null || standby === undefined || standby === null)
    return unknownYet;
  return derive(fields.place, [primary, standby], servers.names, prefix);
}

/** Rule 12: a path's address may move with the identity, so the server must be known by another one. */
function checkSecondPath(place: Place, name: MemberId, paths: readonly (Address | null)[]): void {
  if (new Set(paths.map((address) => address?.text)).size >= 2) return;
  wrong(
    place,
    `replace moves the only address of ${name}, and then nothing could reach ${name} any more; give it a second ` +
      'address (another path, such as a private network) or use mode add',
  );
}

function derive(
  place: Place,
  [primary, standby]: readonly [Address, Address],
  names: readonly MemberId[],
  written: number | null,
): Replaced {
  const prefix = written ?? (primary.family === 4 ? 24 : 64);
  const [a = '', b = ''] = names;
  const pair = `${a} (${primary.text}) and ${b} (${standby.text})`;
  if (primary.family !== standby.family || prefix > (primary.family === 4 ? 32 : 128)) {
    wrong(
      place,
      `the service addresses of ${pair} do not fit each other and prefix ${prefix}; replace needs two of one network`,
    );
    return unknownYet;
  }
  if (!inNetwork(primary, standby, prefix)) {
    wrong(
      place,
      `the service addresses of ${pair} are not in one network of prefix ${prefix}; write prefix: with the real length`,
    );
    return unknownYet;
  }
  for (const address of [primary, standby]) {
    const why = unusable({ address, prefix });
    if (why !== null)
      wrong(place, `${quote(`${address.text}/${prefix}`)} ${why}; write prefix: with the real length`);
  }
  if (written === null) {
    warn(
      place,
      `prefix is not given; the service network is taken to be ${networkOf({ address: primary, prefix })}`,
    );
  }
  return {
    primaryAddress: formatCidr({ address: primary, prefix }),
    standbyAddress: formatCidr({ address: standby, prefix }),
  };
}

function readDns(place: Place): DnsConfig | null {
  if (place.raw === undefined) return null;
  const dnsExample = '{ server: 10.77.0.53, zone: example.test }';
  const fields = readFields(place, ['server', 'zone', 'ttl', 'key'], dnsExample);
  if (fields === null) return null;
  const server = readWith(
    fields.at('server'),
    parseHostAddress,
    'the address of the name server, such as 10.77.0.53',
  );
  const zone = readWith(fields.at('zone'), parseZone, 'a zone such as example.test');
  const ttlMs = readDuration(fields.at('ttl'), 30_000, 0, limitsMs.dnsTtlMax);
  if (ttlMs % 1_000 !== 0)
    wrong(fields.at('ttl'), `${quote(fields.at('ttl').raw)} is not a whole number of seconds, as DNS needs`);
  const key = readOptional(fields.at('key'), parseFilePath, 'the path of a TSIG key file');
  return server === null || zone === null ? null : { server, zone, ttlMs, key };
}
