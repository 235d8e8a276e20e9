/** One entry that was kept aside, or is to be: whether two are the same, and how one becomes again what it was. */

import { readSync } from 'node:fs';
import { setImmediate } from 'node:timers/promises';
import type { Tree } from '../../os/tree.ts';
import type { Attributes } from '../../transport/types.ts';

const compareBytes = 1 << 20;

/** As far as attributes tell; owner and mode alone are not worth a copy. */
export function isSame(a: Attributes, b: Attributes): boolean {
  return (
    a.kind === b.kind &&
    a.size === b.size &&
    a.mtimeS === b.mtimeS &&
    a.mtimeNs === b.mtimeNs &&
    a.link.equals(b.link) &&
    a.deviceMajor === b.deviceMajor &&
    a.deviceMinor === b.deviceMinor &&
    a.extended.length === b.extended.length &&
    a.extended.every(([name, value]) => b.extended.some(([n, v]) => n.equals(name) && v.equals(value)))
  );
}

/** Of two open files. False as well when `until` says that nobody wants to know any more. */
export async function sameContents(one: number, other: number, until: () => boolean): Promise<boolean> {
  const [a, b] = [Buffer.allocUnsafe(compareBytes), Buffer.allocUnsafe(compareBytes)];
  for (let at = 0; !until(); at += compareBytes) {
    const [read, of] = [readSync(one, a, 0, compareBytes, at), readSync(other, b, 0, compareBytes, at)];
    if (read !== of || !a.subarray(0, read).equals(b.subarray(0, of))) return false;
    if (read < compareBytes) return true;
    await setImmediate();
  }
  return false;
}

/** Where nothing is; `made` gets it, with what a folder that nobody knows is like. */
export function makeFolder(tree: Tree, path: Buffer, made: Map<string, Attributes | null>): void {
  if (tree.stat(path) !== null) return;
  tree.makeFolder(path, 0o700);
  made.set(path.toString('latin1'), null);
}

/** The owner first, because a new one loses capabilities; the mode last, because an access list changes it. */
export function settle(tree: Tree, of: Buffer | number, attributes: Attributes): void {
  const { kind, uid, gid, mode, mtimeS, mtimeNs, extended } = attributes;
  tree.setAttributes(of, { uid, gid });
  if (kind !== 'link') tree.setExtended(of, extended);
  tree.setAttributes(of, { ...(kind === 'link' ? {} : { mode }), mtimeS, mtimeNs });
}
