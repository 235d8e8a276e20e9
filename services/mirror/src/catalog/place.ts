/** Where an entry is: in which folder, by which name; and its path, from where each folder above it is. */
import { rootId } from './types.ts';

export interface Place {
  readonly parent: number;
  readonly name: Buffer;
}

/**
 * Folders in each other: half of the 4,096 bytes that a path may have, and as many again of a folder that moved, until what has no
 * place beneath it any more is taken out.
 */
const depthMax = 4_096;
const slash = Buffer.from('/');
const slashByte = 0x2f;

/** The path of what a folder has by this name. */
export function pathIn(folder: Buffer, name: Buffer): Buffer {
  if (folder.length === 0) return name;
  const path = Buffer.allocUnsafe(folder.length + 1 + name.length);
  folder.copy(path);
  path[folder.length] = slashByte;
  name.copy(path, folder.length + 1);
  return path;
}

/** The path of an id; null when a folder above it is nowhere. */
export function pathBy(id: number, placeOf: (id: number) => Place | null): Buffer | null {
  const parts: Buffer[] = [];
  for (let at = id, depth = 0; at !== rootId; depth += 1) {
    if (depth > depthMax) throw new Error('the catalog is damaged: a folder lies within itself');
    const place = placeOf(at);
    if (place === null) return null;
    parts.push(place.name, slash);
    at = place.parent;
  }
  parts.pop();
  return Buffer.concat(parts.reverse());
}
