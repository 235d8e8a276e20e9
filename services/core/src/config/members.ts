/** The members as the configuration needs them: their addresses parsed once, however many groups ask. */

import type { Member, MemberId } from '../names.ts';
import type { Address } from './address.ts';
import { parseAddress } from './address.ts';

export interface Members {
  readonly byId: ReadonlyMap<MemberId, Member>;
  /** Addresses in the order of the paths; null for one that is not an IP address. */
  readonly paths: ReadonlyMap<MemberId, readonly (Address | null)[]>;
  /** Who has an address, by its canonical text. */
  readonly holders: ReadonlyMap<string, MemberId>;
}

export function indexMembers(members: readonly Member[]): Members {
  const paths = new Map(members.map((member) => [member.id, member.addresses.map(ownAddress)]));
  const holders = new Map<string, MemberId>();
  for (const [id, addresses] of paths) {
    for (const address of addresses) if (address !== null) holders.set(address.text, id);
  }
  return { byId: new Map(members.map((member) => [member.id, member])), paths, holders };
}

/** Members give plain addresses; a prefix length is tolerated. */
function ownAddress(text: string): Address | null {
  const parsed = parseAddress(text.split('/', 1)[0] ?? '');
  return parsed.kind === 'ok' ? parsed.value : null;
}
