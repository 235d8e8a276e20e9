/** Paths as bytes, relative to the root, and as keys of maps. */

const slash = Buffer.from('/');
const root = Buffer.alloc(0);

/** Each byte a character: equal bytes, equal keys, and in the same order. */
export function keyOf(path: Buffer): string {
  return path.toString('latin1');
}

export function pathOfKey(key: string): Buffer {
  return Buffer.from(key, 'latin1');
}

export function folderOf(path: Buffer): Buffer {
  const at = path.lastIndexOf(0x2f);
  return at === -1 ? root : path.subarray(0, at);
}

export function joined(folder: Buffer, name: Buffer): Buffer {
  return folder.length === 0 ? name : Buffer.concat([folder, slash, name]);
}

/** The folder itself, or something beneath it; everything is beneath the root. */
export function isBeneath(path: Buffer, folder: Buffer): boolean {
  if (path.equals(folder) || folder.length === 0) return true;
  return (
    path.length > folder.length &&
    path[folder.length] === 0x2f &&
    path.subarray(0, folder.length).equals(folder)
  );
}

/** Names in a path; 0 for the root. */
export function depthOf(path: Buffer): number {
  if (path.length === 0) return 0;
  let depth = 1;
  for (let at = path.indexOf(0x2f); at !== -1; at = path.indexOf(0x2f, at + 1)) depth += 1;
  return depth;
}
