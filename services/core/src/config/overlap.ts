/**
 * Where the folders of mirrors meet on one server. A target's folder belongs to its mirror alone: what another one
 * writes there would be a foreign change, and a copy that is the source of a copy could go round in a circle.
 */

import type { MemberId } from '../names.ts';
import { claimsOf } from './claims.ts';
import type { ReadGroup } from './conflict.ts';
import type { ReadCopy } from './copy.ts';
import { placeOf } from './dataset.ts';
import { isInside } from './folder.ts';
import type { Place } from './place.ts';
import { within, wrong } from './place.ts';
import { quote } from './quantity.ts';

/** A mirror's folder on one server. */
interface Folder {
  readonly mirror: string;
  readonly place: Place;
  readonly root: string;
  /** It is written to by the mirror, now or after a takeover. */
  readonly target: boolean;
}

export function reportOverlaps(groups: readonly ReadGroup[], copies: readonly ReadCopy[]): void {
  const taken = new Map<MemberId, Folder[]>();
  const reported = new Set<string>();
  const add = (server: MemberId, folder: Folder): void => {
    const others = taken.get(server) ?? [];
    const other = others.find((o) => meet(o, folder));
    taken.set(server, [...others, folder]);
    if (other === undefined) return;
    // One error for each pair, however many servers it concerns.
    const pair = `${other.mirror} ${folder.mirror}`;
    if (reported.has(pair)) return;
    reported.add(pair);
    wrong(folder.place, message(server, folder, other));
  };
  for (const { config, place } of groups) {
    for (const { kind, what, on, at } of claimsOf(config)) {
      if (kind !== 'mirror' || on === null) continue;
      const [section = '', name = ''] = at;
      const mirror = `${config.name}/${name}`;
      add(on, { mirror, place: within(within(place, section, null), name, null), root: what, target: true });
    }
  }
  for (const { config, place } of copies) {
    const { name, from, root } = config;
    if (from.kind === 'server')
      add(from.server, { mirror: name, place, root: placeOf(from.dataset), target: false });
    for (const server of config.to) add(server, { mirror: name, place, root, target: true });
  }
}

function meet(a: Folder, b: Folder): boolean {
  if (a.root === '' || b.root === '' || !(a.target || b.target)) return false;
  return isInside(a.root, b.root) || isInside(b.root, a.root);
}

function message(server: MemberId, folder: Folder, other: Folder): string {
  const where =
    folder.root === other.root
      ? `${quote(folder.root)} on ${server} already belongs to ${other.mirror}`
      : `${quote(folder.root)} on ${server} and ${quote(other.root)} of ${other.mirror} lie one inside the other`;
  const advice =
    folder.target && other.target
      ? 'give each mirror a place of its own'
      : "a copy can't be copied on, except that of a group: write from: { group: ..., mirror: ... }";
  return `${where}; ${advice}`;
}
