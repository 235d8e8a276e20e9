/**
 * After a loss of power: names are as the marker says, because the file system's journal keeps their order, but contents
 * that were written since the last checkpoint may be missing. They are in the log, or in the staging folder, until that
 * checkpoint; so each file that has them still is compared with them, and written again where it differs.
 *
 * W1  Which names a file has in the end follows from the operations in the log alone (final-names.ts).
 */

import { closeSync, ftruncateSync, openSync, readSync } from 'node:fs';
import { setImmediate } from 'node:timers/promises';
import { writeWhole } from '../../os/whole-write.ts';
import type { Ground } from './applying.ts';
import { finalNames, type Content } from './final-names.ts';
import type { Batch } from './redo.ts';
import { changedBlocks } from './stream.ts';
import { isMisfit } from './trouble.ts';

/**
 * Oldest first: every batch since the last checkpoint. Answers the names at which files may have been written. Throws what
 * the disk says; can be repeated.
 */
export async function mend(ground: Ground, batches: readonly Batch[]): Promise<Buffer[]> {
  const mended: Buffer[] = [];
  for (const { path, contents } of await finalNames(batches)) {
    mended.push(path);
    for (const content of contents) {
      try {
        mendOne(ground, path, content);
      } catch (error) {
        // Changed by somebody else since: found as a foreign change.
        if (!isMisfit(error)) throw error;
      }
    }
    await setImmediate();
  }
  return mended;
}

function mendOne(ground: Ground, path: Buffer, content: Content): void {
  const { tree, stage, staging } = ground;
  const there = tree.stat(path);
  if (there?.kind !== 'file') return;
  const fd = tree.openWrite(path);
  try {
    if (content.kind === 'put') {
      if (holds(fd, content.contents)) return;
      writeWhole(fd, content.contents, 0);
      ftruncateSync(fd, content.contents.length);
    } else {
      if (stage.stat(Buffer.from(`s-${String(content.staged)}`)) === null) return;
      const list = openSync(staging.pathOf(content.staged), 'r');
      try {
        ftruncateSync(fd, content.attributes.size);
        for (const block of changedBlocks(list)) {
          if (block.contents === null) tree.punch(fd, block.offset, block.length);
          else writeWhole(fd, block.contents, block.offset);
        }
      } finally {
        closeSync(list);
      }
    }
    tree.setAttributes(fd, { mode: there.mode, mtimeS: there.mtimeS, mtimeNs: there.mtimeNs });
  } finally {
    closeSync(fd);
  }
}

function holds(fd: number, contents: Buffer): boolean {
  const space = Buffer.allocUnsafe(contents.length + 1);
  const read = readSync(fd, space, 0, space.length, 0);
  return read === contents.length && space.subarray(0, read).equals(contents);
}
