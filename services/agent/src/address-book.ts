/**
 * Where members are now. A member is known by its name; its addresses may move with an identity (mode `replace`), so
 * the addresses that it gave in its last authenticated heartbeat come first, those of the membership second.
 *
 *   B1  an address that is ours at the moment is never another member's: its holder has not said yet where it went
 *   B2  an empty address in a heartbeat means that the member has none on that path now
 */

import {
  canonicalAddress,
  heardHere,
  type ClusterConfig,
  type Identity,
  type Member,
  type MemberId,
  type Vantage,
} from '@holdfast/core';
import { defaultPorts, type KnownMember } from '@holdfast/wire/directory';

/** The addresses that this host has now, in canonical form. */
export type HostAddresses = () => ReadonlySet<string>;

export interface Candidate {
  readonly path: number;
  readonly address: string;
}

export class AddressBook {
  readonly #self: MemberId;
  readonly #hostAddresses: HostAddresses;
  #known: ReadonlyMap<MemberId, KnownMember> = new Map();

  constructor(self: MemberId, known: readonly KnownMember[], hostAddresses: HostAddresses) {
    this.#self = self;
    this.#hostAddresses = hostAddresses;
    this.update(known);
  }

  get known(): readonly KnownMember[] {
    return [...this.#known.values()];
  }

  update(known: readonly KnownMember[]): void {
    this.#known = new Map(known.map((m) => [m.id, m]));
  }

  ports(member: MemberId): KnownMember['ports'] {
    return this.#known.get(member)?.ports ?? defaultPorts;
  }

  /** Null when there is nowhere to send to at the moment. */
  addressOf(member: MemberId, path: number, vantage: Vantage): string | null {
    const said = vantage.ears.get(member)?.addresses[path];
    const address = said ?? this.#known.get(member)?.addresses[path] ?? '';
    return address === '' || this.#hostAddresses().has(canonical(address)) ? null : address;
  }

  /** Another member said later than this one that it has the address: whoever answers there is not this one. */
  isTaken(address: string, member: MemberId, vantage: Vantage): boolean {
    const saidAt = heardHere(vantage, member) ?? -Infinity;
    const wanted = canonical(address);
    return [...vantage.ears].some(
      ([id, ear]) =>
        id !== member && ear.told.at > saidAt && ear.addresses.some((own) => canonical(own) === wanted),
    );
  }

  /** All current addresses of a member, in the order of its paths. */
  addressesOf(member: MemberId, vantage: Vantage): readonly string[] {
    const count = this.#known.get(member)?.addresses.length ?? 0;
    return Array.from({ length: count }, (_, path) => this.addressOf(member, path, vantage)).filter(
      (a): a is string => a !== null,
    );
  }

  /** The addresses that may be ours on each path, whether they are here or not. */
  candidates(config: ClusterConfig | null): readonly Candidate[] {
    const own = this.#known.get(this.#self)?.addresses ?? [];
    return own.flatMap((address, path) => [
      { path, address },
      ...pairWith(address, config, this.#self)
        .filter((other) => other !== canonical(address))
        .map((other) => ({ path, address: other })),
    ]);
  }

  /** Our address of each path now; empty where we have none. */
  ownAddresses(config: ClusterConfig | null): readonly string[] {
    const own = this.#known.get(this.#self)?.addresses ?? [];
    return own.map((address) => {
      const pair = pairWith(address, config, this.#self);
      return pair.length === 0 ? address : (pair.find((a) => this.#hostAddresses().has(a)) ?? '');
    });
  }
}

/** The two addresses of the `replace` group that this one is of, the identity first; empty when there is none. */
function pairWith(address: string, config: ClusterConfig | null, self: MemberId): readonly string[] {
  const own = canonical(address);
  for (const group of config?.groups.values() ?? []) {
    const pair = group.servers.includes(self) ? pairOf(group.identity) : [];
    if (pair.includes(own)) return pair;
  }
  return [];
}

function pairOf(identity: Identity): readonly string[] {
  switch (identity.mode) {
    case 'add':
      return [];
    case 'replace':
      return [identity.primaryAddress, identity.standbyAddress].flatMap((cidr) =>
        cidr === null ? [] : [canonical(hostOf(cidr))],
      );
  }
}

export function hostOf(cidr: string): string {
  return cidr.split('/', 1)[0] ?? cidr;
}

export function canonical(address: string): string {
  const known = canonicals.get(address);
  if (known !== undefined) return known;
  const text = canonicalAddress(address);
  if (canonicals.size >= canonicalsMax) canonicals.clear();
  canonicals.set(address, text);
  return text;
}

/** The same few are asked for at every heartbeat. */
const canonicals = new Map<string, string>();
const canonicalsMax = 256;

/** The membership for core. */
export function toMembers(known: readonly KnownMember[]): readonly Member[] {
  return known.flatMap(({ id, role, addresses, voter, ports }) =>
    role === 'server' || role === 'witness' ? [{ id, role, addresses, voter, mirrorPort: ports.mirror }] : [],
  );
}
