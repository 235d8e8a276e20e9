/**
 * Files of unknown origin in a target's folder: neither the source nor this copy as an owner wrote them, as far as the
 * catalog knows. They were there before the first copy, or others put them there. What of them would be lost is kept aside.
 *
 * Invariants:
 * U1  Known is what the catalog has at this path, untouched since a batch or a comparison recorded it. All else is unknown.
 * U2  A folder that goes takes what is excluded from the mirror with it: that is kept aside, too, also where the folder itself is
 *     this copy's own.
 */

import { setImmediate } from 'node:timers/promises';
import type { Tree } from '../../os/tree.ts';
import type { Stat } from '../../os/types.ts';
import type { OfferedEntry, WantedEntry } from '../../transport/types.ts';
import { attributesAt, type OwnVersion } from '../divergence/own-version.ts';
import { isOurs } from './own-root.ts';
import type { Records } from './records.ts';
import { childrenThere, statThere } from './there.ts';
import type { TargetSelection } from './types.ts';

export interface UnknownGround {
  readonly tree: Tree;
  readonly records: Records;
  readonly selection: TargetSelection;
}

const sliceMs = 8;
const slash = Buffer.from('/');

/** Whether more than owner, mode and times would be other than before: those alone are not worth a copy. */
export function losesContents(tree: Tree, { path, attributes }: OfferedEntry, want: WantedEntry): boolean {
  if (want.whole || want.blocks.length > 0 || attributes === null) return true;
  if (attributes.kind === 'link') return false;
  return tree.extended(path).some(([name, value]) => {
    const theirs = attributes.extended.find((one) => one[0].equals(name));
    return name.toString('latin1').startsWith('user.') && theirs?.[1].equals(value) !== true;
  });
}

/** What is at the path, as far as it is unknown (U1), with what goes with it (U2). Throws what the disk says. */
export async function unknownVersions(
  ground: UnknownGround,
  { path, attributes }: OfferedEntry,
): Promise<OwnVersion[]> {
  const { tree, records } = ground;
  const stat = statThere(tree, path);
  if (stat === null || stat.kind === 'socket' || path.length === 0) return [];
  const change = attributes === null ? 'created' : 'written';
  const versions = records.isUntouched(path, stat) ? [] : [versionAt(ground, path, stat, change)];
  return [...versions, ...(await excludedVersions(ground, { path, attributes }))];
}

/** U2. Throws what the disk says. */
export async function excludedVersions(
  ground: UnknownGround,
  { path, attributes }: Pick<OfferedEntry, 'path' | 'attributes'>,
): Promise<OwnVersion[]> {
  const isGoing = statThere(ground.tree, path)?.kind === 'folder' && attributes?.kind !== 'folder';
  const versions: OwnVersion[] = [];
  if (isGoing && path.length > 0)
    for await (const version of excludedBeneath(ground, path)) versions.push(version);
  return versions;
}

function versionAt(
  { tree, records }: UnknownGround,
  path: Buffer,
  stat: Stat,
  change: 'written' | 'created',
): OwnVersion {
  return { path, attributes: attributesAt(tree, path, stat), change, epoch: records.ownerEpoch };
}

/** U2. Selected folders are offered by themselves, and are looked beneath then. */
async function* excludedBeneath(ground: UnknownGround, folder: Buffer): AsyncGenerator<OwnVersion> {
  const { tree, selection } = ground;
  const folders = [folder];
  let sliceEnd = performance.now() + sliceMs;
  for (let one = folders.pop(); one !== undefined; one = folders.pop()) {
    for (const { name, stat } of childrenThere(tree, one)) {
      const path = Buffer.concat([one, slash, name]);
      const selected = one === folder && selection.includes(path);
      if (selected || isOurs(name) || stat.kind === 'socket') continue;
      yield versionAt(ground, path, stat, 'created');
      if (stat.kind === 'folder') folders.push(path);
    }
    if (performance.now() < sliceEnd) continue;
    await setImmediate();
    sliceEnd = performance.now() + sliceMs;
  }
}
