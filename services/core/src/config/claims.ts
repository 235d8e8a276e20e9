/** What only one group may have at a time, on whatever server: its addresses; and the places of its mirrors on each of its servers. */

import { placeOf } from './dataset.ts';
import { isInside } from './folder.ts';
import type { GroupConfig } from './types.ts';

interface Claims {
  /** Without prefix lengths. */
  readonly addresses: ReadonlySet<string>;
  readonly places: readonly string[];
}

/** What both have, in words; null: nothing. `except`: a group whose claims don't count. */
export function shared(a: GroupConfig, b: GroupConfig, except?: GroupConfig): string | null {
  const [ours, theirs] = [claimsOf(a), claimsOf(b)];
  const old = except === undefined ? null : claimsOf(except);
  const address = [...ours.addresses].find(
    (one) => theirs.addresses.has(one) && old?.addresses.has(one) !== true,
  );
  if (address !== undefined) return address;
  if (!a.servers.some((server) => b.servers.includes(server))) return null;
  const place = ours.places.find(
    (one) =>
      old?.places.includes(one) !== true &&
      theirs.places.some((other) => isInside(one, other) || isInside(other, one)),
  );
  return place ?? null;
}

/** Whether all that `before` claims is claimed by `after`, too. */
export function keepsAll(before: GroupConfig, after: GroupConfig): boolean {
  const [old, next] = [claimsOf(before), claimsOf(after)];
  return (
    [...old.addresses].every((address) => next.addresses.has(address)) &&
    old.places.every((place) => next.places.includes(place))
  );
}

function claimsOf({ identity, mirrors }: GroupConfig): Claims {
  const addresses =
    identity.mode === 'add'
      ? identity.addresses
      : [identity.primaryAddress, identity.standbyAddress].filter((address) => address !== null);
  return {
    addresses: new Set(addresses.map((address) => address.slice(0, address.indexOf('/')))),
    places: mirrors.map(({ dataset }) => placeOf(dataset)).filter((place) => place !== ''),
  };
}
