/**
 * What only one group may have at a time. Two groups that claim one thing are refused in one configuration (conflict.ts, and
 * overlap.ts for mirrors), and between two configurations the second group waits for the first (quorum/leaving.ts).
 */

import type { MemberId } from '../names.ts';
import { placeOf } from './dataset.ts';
import { isInside } from './folder.ts';
import { quote } from './quantity.ts';
import type { GroupConfig, Identity } from './types.ts';

export interface Claim {
  /** mirror: a folder, or a volume's device or image. */
  readonly kind: 'address' | 'host name' | 'unit' | 'mount point' | 'mirror';
  /** Equal for equal things of a kind. */
  readonly what: string;
  /** Null: there is one of it in the whole network. */
  readonly on: MemberId | null;
  /** As a person would say it. */
  readonly words: string;
  /** Where the group's part of the file says so. */
  readonly at: readonly string[];
}

/** In the order of the file. */
export function claimsOf(config: GroupConfig): readonly Claim[] {
  const { identity, servers, resources, mirrors } = config;
  const local: Omit<Claim, 'on'>[] = [
    ...resources.flatMap(({ runs }): Omit<Claim, 'on'>[] => {
      const at = ['resources'];
      // A unit exists once on a server, and nothing is mounted over what another resource mounted.
      if (runs.kind === 'systemd')
        return [{ kind: 'unit', what: runs.unit, words: `the unit ${quote(runs.unit)}`, at }];
      if (runs.kind === 'mount')
        return [{ kind: 'mount point', what: runs.at, words: `the folder ${quote(runs.at)}`, at }];
      return [];
    }),
    ...mirrors.flatMap(({ name, dataset }): Omit<Claim, 'on'>[] => {
      const what = placeOf(dataset);
      return what === '' ? [] : [{ kind: 'mirror', what, words: what, at: ['mirrors', name] }];
    }),
  ];
  return [
    ...hostnameClaims(identity),
    ...addressClaims(identity, servers),
    ...local.flatMap((claim) => servers.map((on) => ({ ...claim, on }))),
  ];
}

/** Whether two groups can't have both. */
export function isSame(a: Claim, b: Claim): boolean {
  if (a.kind !== b.kind || a.on !== b.on) return false;
  // What is written into one folder is seen in the one around it.
  return a.kind === 'mirror' ? isInside(a.what, b.what) || isInside(b.what, a.what) : a.what === b.what;
}

export interface Shared {
  /** In words. */
  readonly thing: string;
  /** Null: everywhere. */
  readonly on: readonly MemberId[] | null;
}

/** What both claim. `except`: a group whose claims don't count. */
export function shared(a: GroupConfig, b: GroupConfig, except?: GroupConfig): readonly Shared[] {
  const theirs = claimsOf(b);
  const old = new Set(except === undefined ? [] : claimsOf(except).map(keyOf));
  const things = new Map<string, MemberId[] | null>();
  for (const claim of claimsOf(a)) {
    if (old.has(keyOf(claim)) || !theirs.some((other) => isSame(claim, other))) continue;
    const thing = briefly(claim);
    things.set(thing, claim.on === null ? null : [...(things.get(thing) ?? []), claim.on]);
  }
  return [...things].map(([thing, on]) => ({ thing, on }));
}

/** Whether all that `before` claims is claimed by `after`, too. */
export function keepsAll(before: GroupConfig, after: GroupConfig): boolean {
  const next = new Set(claimsOf(after).map(keyOf));
  return claimsOf(before).every((claim) => next.has(keyOf(claim)));
}

/** Equal for equal claims. */
export function keyOf({ kind, what, on }: Claim): string {
  return JSON.stringify([kind, what, on]);
}

/** Addresses and paths speak for themselves. */
function briefly({ kind, what, words }: Claim): string {
  return kind === 'address' ? what : words;
}

function hostnameClaims({ hostname }: Identity): readonly Claim[] {
  if (hostname === null) return [];
  const what = hostname.toLowerCase();
  const at = ['identity', 'hostname'];
  return [{ kind: 'host name', what, on: null, words: `the host name ${quote(what)}`, at }];
}

function addressClaims(identity: Identity, servers: readonly MemberId[]): readonly Claim[] {
  switch (identity.mode) {
    case 'add':
      return identity.addresses.map((cidr) => {
        const what = addressIn(cidr);
        const at = ['identity', 'addresses'];
        return { kind: 'address', what, on: null, words: `the address ${quote(what)}`, at };
      });
    case 'replace': {
      // The owner holds the first server's address and the other one the second's, so both belong to the group.
      const own = [identity.primaryAddress, identity.standbyAddress];
      return servers.map((server, index) => {
        const words = `the own address of ${server}`;
        const cidr = own[index] ?? null;
        const what = cidr === null ? words : addressIn(cidr);
        return { kind: 'address', what, on: null, words, at: ['identity'] };
      });
    }
  }
}

/** Without the prefix length. */
const addressIn = (cidr: string): string => cidr.slice(0, cidr.indexOf('/'));
