/**
 * After a loss of power: names are as the marker says, because the file system's journal keeps their order, but contents
 * that were written since the last checkpoint may be missing. They are in the log, or in the staging folder, until that
 * checkpoint; so each file that has them still is compared with them, and written again where it differs.
 *
 * W1  Which names a file has in the end follows from the operations in the log alone.
 * W2  Names that were linked are names of the same contents, also of those that come later: what one of them got is there
 *     by the others when that one is gone or was replaced.
 */

import { closeSync, ftruncateSync, openSync, readSync } from 'node:fs';
import { setImmediate } from 'node:timers/promises';
import { writeWhole } from '../../os/whole-write.ts';
import type { Ground } from './applying.ts';
import type { Batch, Redo } from './redo.ts';
import { changedBlocks } from './stream.ts';
import { isMisfit } from './trouble.ts';

type Content = Extract<Redo, { kind: 'put' | 'patch' }>;
/** Of one file, oldest first; shared by its names (W2). */
type Contents = Content[];

/**
 * Oldest first: every batch since the last checkpoint. Answers the names at which files may have been written. Throws what
 * the disk says; can be repeated.
 */
export async function mend(ground: Ground, batches: readonly Batch[]): Promise<Buffer[]> {
  const mended: Buffer[] = [];
  for (const [name, contents] of finalNames(batches)) {
    const path = Buffer.from(name, 'latin1');
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

/** W1. */
function finalNames(batches: readonly Batch[]): Map<string, Contents> {
  const names = new Map<string, Contents>();
  for (const { operations } of batches) for (const operation of operations) follow(names, operation);
  return names;
}

function follow(names: Map<string, Contents>, operation: Redo): void {
  switch (operation.kind) {
    case 'move':
      rename(names, operation.from.toString('latin1'), slotName(operation.slot));
      return;
    case 'place':
      drop(names, operation.to.toString('latin1'));
      rename(names, slotName(operation.slot), operation.to.toString('latin1'));
      return;
    case 'remove':
      drop(names, operation.path.toString('latin1'));
      return;
    case 'hard-link': {
      const contents = contentsAt(names, operation.to.toString('latin1'));
      const path = operation.path.toString('latin1');
      drop(names, path);
      names.set(path, contents);
      return;
    }
    case 'put': {
      const path = operation.path.toString('latin1');
      if (operation.attributes.kind !== 'folder') drop(names, path);
      // What was staged was durable before the commit.
      if (operation.attributes.kind === 'file' && operation.staged === 0) names.set(path, [operation]);
      return;
    }
    case 'patch':
      contentsAt(names, operation.path.toString('latin1')).push(operation);
      return;
    case 'set':
  }
}

/** Of a file that was durable before, and may get more: none so far. */
function contentsAt(names: Map<string, Contents>, path: string): Contents {
  const known = names.get(path);
  if (known !== undefined) return known;
  const none: Contents = [];
  names.set(path, none);
  return none;
}

/** No path begins with a slash. */
function slotName(slot: number): string {
  return `/${String(slot)}`;
}

function drop(names: Map<string, Contents>, path: string): void {
  for (const name of beneath(names, path)) names.delete(name);
}

function rename(names: Map<string, Contents>, from: string, to: string): void {
  for (const name of beneath(names, from)) {
    const contents = names.get(name) ?? [];
    names.delete(name);
    names.set(to + name.slice(from.length), contents);
  }
}

function beneath(names: Map<string, Contents>, path: string): string[] {
  return [...names.keys()].filter((name) => name === path || name.startsWith(`${path}/`));
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
