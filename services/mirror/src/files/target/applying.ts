/**
 * Carries out one committed batch on the tree, and can be called again after anything: an error of the disk, or a crash
 * followed by a start from the marker. The steps are those of the wire contract: moves into slots and removals, what
 * is placed and put, attributes of folders.
 *
 * Invariants:
 * A1  Doing a step again gives what doing it once gives. A slot that is filled proves that its move was done; in the
 *     third step a slot that is empty proves that it was placed. Everything else replaces what is there.
 * A2  A later step begins after the marker of the former one was set (Staging, S1), because it makes names that doing the
 *     former one again would take away.
 * A3  What gets a name in the tree is whole and has its attributes before, by a rename from the staging folder, or an exchange
 *     with what is there. Only while the copy is not consistent anyway, new small files are written in place.
 * A4  A file that has names which are no part of the mirror is never written in place: its own copy takes its name.
 * A5  A tree that others changed never stops a batch: what can't be done there is counted, and the copy is compared.
 * A6  What is written to in place is looked at once more when it is open: its name may have gone to another file, or to a
 *     link, since it was looked at before.
 * A7  What this file system has no place for, a name or what a link says, is left out with all that is in it, and told. It
 *     stops no batch, and is no reason to compare.
 */

import { closeSync, ftruncateSync, openSync } from 'node:fs';
import { setImmediate } from 'node:timers/promises';
import { OpenEntry } from '../../os/open-entry.ts';
import { statOpen } from '../../os/stat.ts';
import type { Stat } from '../../os/types.ts';
import { writeWhole } from '../../os/whole-write.ts';
import type { Attributes } from '../../transport/types.ts';
import { type Batch, type Redo, nameOf } from './redo.ts';
import { hasRoomFor } from './room-for-names.ts';
import { type Names, Sharing } from './sharing.ts';
import { stagedName } from './staging.ts';
import { changedBlocks } from './stream.ts';
import { clearTemporary, giveTemporary, makeTemporary, temporary } from './temporary.ts';
import type { TemporaryGround } from './temporary.ts';
import { codeOf, isMisfit, isRefusedName } from './trouble.ts';

/** Between turns of the event loop. */
const sliceMs = 8;
const canOwn = process.getuid?.() === 0;
const stepOf = { move: 0, remove: 0, place: 2, put: 2, 'hard-link': 2, patch: 2, set: 3 } as const;
const steps = [0, 1, 2, 3] as const;

export type Ground = Names & TemporaryGround;

export class Applying {
  /** In the log; null: nothing of it is ever done again, and no marker is set. */
  readonly number: number | null;
  readonly batch: Batch;
  readonly #ground: Ground;
  readonly #sharing: Sharing;
  readonly #byStep: readonly (readonly Redo[])[];
  #step: number;
  #index = 0;
  /** Where the tree did not fit (A5). */
  readonly misfits: Buffer[] = [];
  /** What was left out, in words: attributes and devices that this host does not permit, and A7. */
  readonly skipped: string[] = [];
  /** What files became that have their name for good, by the operation that made them. */
  readonly stats = new Map<Redo, Stat>();

  /** `step`: from the marker, when a crash came in the middle. */
  constructor(ground: Ground, number: number | null, batch: Batch, step: number) {
    this.#ground = ground;
    this.#sharing = new Sharing(ground, batch);
    this.number = number;
    this.batch = batch;
    this.#step = step;
    const byStep: Redo[][] = [[], [], [], []];
    for (const operation of batch.operations) byStep[stepOf[operation.kind]]?.push(operation);
    this.#byStep = byStep;
  }

  /** Throws what the file system says; run again, it goes on where it was. */
  async run(): Promise<void> {
    const { staging, failPoint } = this.#ground;
    let sliceEnd = performance.now() + sliceMs;
    for (const step of steps) {
      if (step < this.#step) continue;
      const operations = this.#byStep[step] ?? [];
      for (; this.#index < operations.length; this.#index += 1) {
        const operation = operations[this.#index];
        if (operation === undefined) break;
        if (operation.kind === 'patch') await this.#guarded(operation);
        else this.#guardedNow(operation);
        failPoint(`apply:${operation.kind}`);
        if (performance.now() > sliceEnd) {
          await setImmediate();
          sliceEnd = performance.now() + sliceMs;
        }
      }
      // A2. Without moves and removals there is nothing that doing it again could take away.
      const structural = (this.#byStep[0]?.length ?? 0) + (this.#byStep[1]?.length ?? 0) > 0;
      if (structural && step < 2 && this.number !== null)
        staging.mark({ number: this.number - 1, step: step + 1 });
      this.#step = step + 1;
      this.#index = 0;
      failPoint(`apply:step-${String(step)}`);
    }
  }

  #guardedNow(operation: Exclude<Redo, { kind: 'patch' }>): void {
    const name = nameOf(operation);
    for (const mended of [false, true]) {
      try {
        this.#do(operation);
        return;
      } catch (error) {
        if (!isRefusedName(error) && !isMisfit(error)) throw error;
        if (isRefusedName(error) || !this.#hasRoomFor(operation)) {
          this.#leaveOut(operation);
          return;
        }
        if (mended || !this.#mendFolders(name)) {
          this.misfits.push(name);
          return;
        }
      }
    }
  }

  async #guarded(operation: Extract<Redo, { kind: 'patch' }>): Promise<void> {
    try {
      await this.#patch(operation.path, operation.attributes, operation.staged);
    } catch (error) {
      if (!isMisfit(error)) throw error;
      this.#misfit(operation.path);
    }
  }

  /** A5, unless it could not be here (A7). */
  #misfit(path: Buffer): void {
    const { tree, stage } = this.#ground;
    if (hasRoomFor(tree, stage, path)) this.misfits.push(path);
  }

  #hasRoomFor(operation: Redo): boolean {
    const { tree, stage } = this.#ground;
    const other = operation.kind === 'hard-link' ? operation.to : null;
    return hasRoomFor(tree, stage, nameOf(operation)) && (other === null || hasRoomFor(tree, stage, other));
  }

  /** A7. */
  #leaveOut(operation: Exclude<Redo, { kind: 'patch' }>): void {
    switch (operation.kind) {
      case 'move':
        // It was left out before, and its new name may be one that has a place.
        this.misfits.push(operation.from);
        return;
      case 'remove':
      case 'set':
        return;
      case 'place':
        this.#emptySlot(operation.slot);
        break;
      case 'put':
      case 'hard-link':
    }
    this.#tellLeftOut(nameOf(operation));
  }

  #emptySlot(slot: number): void {
    const { stage, staging } = this.#ground;
    const name = slotName(slot);
    if (stage.stat(name) !== null) stage.rename(name, staging.goneName());
  }

  #tellLeftOut(path: Buffer): void {
    this.skipped.push(`${JSON.stringify(path.toString())}, for which this file system has no place`);
  }

  #do(operation: Exclude<Redo, { kind: 'patch' }>): void {
    switch (operation.kind) {
      case 'move':
        this.#move(operation.from, operation.slot);
        return;
      case 'remove':
        this.#clear(operation.path, true);
        return;
      case 'place':
        this.#place(operation.slot, operation.to);
        return;
      case 'put':
        this.#put(operation);
        return;
      case 'hard-link':
        this.#link(operation.path, operation.to);
        return;
      case 'set':
        this.#set(operation.path, operation.attributes);
    }
  }

  #move(from: Buffer, slot: number): void {
    const { tree, stage } = this.#ground;
    const place = slotName(slot);
    if (stage.stat(place) !== null) return;
    if (tree.stat(from) === null) this.misfits.push(from);
    else tree.rename(from, place, { toTree: stage });
  }

  #place(slot: number, to: Buffer): void {
    const { tree, stage } = this.#ground;
    const moved = stage.stat(slotName(slot));
    if (moved === null) return;
    this.#clear(to, moved.kind === 'folder');
    stage.rename(slotName(slot), to, { toTree: tree });
  }

  /** Takes away what has the name, where a rename could not replace it: folders at once as a whole. */
  #clear(path: Buffer, all: boolean): void {
    const { tree, stage, staging } = this.#ground;
    const there = tree.stat(path);
    if (there === null) return;
    if (there.kind === 'folder') tree.rename(path, staging.goneName(), { toTree: stage });
    else if (all) tree.remove(path);
  }

  #put(operation: Extract<Redo, { kind: 'put' }>): void {
    const { path, attributes, staged } = operation;
    switch (attributes.kind) {
      case 'file':
        if (staged === 0) this.#putSmall(operation);
        else this.#putStaged(path, attributes, staged);
        return;
      case 'folder':
        this.#putFolder(path, attributes);
        return;
      case 'link':
      case 'fifo':
      case 'block':
      case 'char':
        this.#putSpecial(path, attributes);
    }
  }

  #putSmall(operation: Extract<Redo, { kind: 'put' }>): void {
    const { failPoint } = this.#ground;
    const { path, attributes, contents } = operation;
    if (!this.batch.consistent) {
      const fd = this.#newFile(path);
      if (fd !== null) {
        this.stats.set(operation, this.#fill(fd, attributes, contents));
        return;
      }
    }
    this.#fill(makeTemporary(this.#ground), attributes, contents);
    failPoint('apply:written');
    const stat = giveTemporary(this.#ground, path);
    if (stat !== null) this.stats.set(operation, stat);
  }

  /** Null: something has that name. */
  #newFile(path: Buffer): number | null {
    try {
      return this.#ground.tree.createFile(path, 0o600);
    } catch (error) {
      if (codeOf(error) !== 'EEXIST') throw error;
      return null;
    }
  }

  #fill(fd: number, attributes: Attributes, contents: Buffer): Stat {
    try {
      writeWhole(fd, contents, 0);
      this.#finish(new OpenEntry(fd, null), attributes);
      return statOpen(fd, null);
    } finally {
      closeSync(fd);
    }
  }

  #putStaged(path: Buffer, attributes: Attributes, staged: number): void {
    const { tree, stage, staging } = this.#ground;
    const name = Buffer.from(stagedName(staged));
    if (stage.stat(name) === null) return;
    const fd = openSync(staging.pathOf(staged), 'r+');
    try {
      this.#finish(new OpenEntry(fd, null), attributes);
    } finally {
      closeSync(fd);
    }
    this.#clear(path, false);
    stage.rename(name, path, { toTree: tree });
  }

  #putFolder(path: Buffer, attributes: Attributes): void {
    const { tree } = this.#ground;
    const there = tree.stat(path);
    if (there?.kind !== 'folder') {
      if (there !== null) tree.remove(path);
      tree.makeFolder(path, 0o700);
    }
    this.#finishNamed(path, canOwn ? attributes : { ...attributes, mode: attributes.mode | 0o700 });
  }

  #putSpecial(path: Buffer, attributes: Attributes): void {
    const { tree, stage } = this.#ground;
    clearTemporary(this.#ground);
    const { kind, mode, deviceMajor, deviceMinor } = attributes;
    if (kind === 'link') stage.makeLink(temporary, attributes.link);
    else if (kind === 'fifo') stage.makeFifo(temporary, mode);
    else if (kind === 'block' || kind === 'char') {
      if (!canOwn) {
        this.skipped.push(`a device node (${path.toString()})`);
        return;
      }
      stage.makeDevice(temporary, kind, mode, deviceMajor, deviceMinor);
    }
    const { uid, gid, mtimeS, mtimeNs } = attributes;
    const owner = canOwn ? { uid, gid } : {};
    if (attributes.extended.length > 0) {
      this.#note(stage.setExtended(temporary, attributes.extended).map((skipped) => skipped.name));
    }
    stage.setAttributes(temporary, { ...owner, ...(kind === 'link' ? {} : { mode }), mtimeS, mtimeNs });
    this.#clear(path, false);
    stage.rename(temporary, path, { toTree: tree });
  }

  #link(path: Buffer, to: Buffer): void {
    const { tree, stage } = this.#ground;
    // Before it has one more name for a moment, which would show as a change of it.
    if (!this.#hasRoomFor({ kind: 'hard-link', path, to })) {
      this.#tellLeftOut(path);
      return;
    }
    const from = tree.stat(to);
    if (from === null || from.kind === 'folder') {
      this.misfits.push(path);
      return;
    }
    const there = tree.stat(path);
    if (there?.inode === from.inode && there.dev === from.dev) return;
    clearTemporary(this.#ground);
    tree.hardLink(to, temporary, { toTree: stage });
    this.#clear(path, false);
    stage.rename(temporary, path, { toTree: tree });
    this.#sharing.named(path, from);
  }

  async #patch(path: Buffer, attributes: Attributes, staged: number): Promise<void> {
    const { tree, stage, staging, failPoint } = this.#ground;
    const there = tree.stat(path);
    if (there?.kind !== 'file') {
      this.#misfit(path);
      return;
    }
    if (stage.stat(Buffer.from(stagedName(staged))) === null) return;
    this.#isolate(path, there);
    const fd = tree.openWrite(path);
    const list = openSync(staging.pathOf(staged), 'r');
    try {
      if (this.#sharing.isShared(statOpen(fd, path))) {
        this.misfits.push(path); // A6
        return;
      }
      ftruncateSync(fd, attributes.size);
      let sliceEnd = performance.now() + sliceMs;
      for (const block of changedBlocks(list)) {
        if (block.contents === null) tree.punch(fd, block.offset, block.length);
        else writeWhole(fd, block.contents, block.offset);
        failPoint('apply:block');
        if (performance.now() < sliceEnd) continue;
        await setImmediate();
        sliceEnd = performance.now() + sliceMs;
      }
      this.#finish(new OpenEntry(fd, null), attributes);
    } finally {
      closeSync(list);
      closeSync(fd);
    }
  }

  #set(path: Buffer, attributes: Attributes): void {
    const there = this.#ground.tree.stat(path);
    if (there?.kind !== attributes.kind) {
      this.#misfit(path);
      return;
    }
    if (there.kind !== 'folder') this.#isolate(path, there);
    this.#finishNamed(path, attributes);
  }

  /** A6. Without effect, and counted, where something else got that name since it was looked at. */
  #finishNamed(path: Buffer, attributes: Attributes): void {
    this.#ground.tree.inOpen(path, (entry) => {
      const { stat } = entry;
      if (stat.kind !== attributes.kind || this.#sharing.isShared(stat)) this.misfits.push(path);
      else this.#finish(entry, attributes);
    });
  }

  /** A4. */
  #isolate(path: Buffer, there: Stat): void {
    const { tree, stage } = this.#ground;
    if (!this.#sharing.isShared(there)) return;
    const from = tree.openRead(path);
    try {
      const to = makeTemporary(this.#ground);
      try {
        tree.cloneOrCopy(from, to);
      } finally {
        closeSync(to);
      }
    } finally {
      closeSync(from);
    }
    stage.rename(temporary, path, { toTree: tree });
    this.#sharing.left(path);
  }

  /** Owner before extended attributes before mode, because each of them changes the next; times at last. */
  #finish(of: OpenEntry, attributes: Attributes): void {
    const { uid, gid, mode, mtimeS, mtimeNs, extended, kind } = attributes;
    const owner = canOwn ? { uid, gid } : {};
    const rest = kind === 'link' ? { mtimeS, mtimeNs } : { mode, mtimeS, mtimeNs };
    if (extended.length === 0 && of.extended().length === 0) {
      of.setAttributes({ ...owner, ...rest });
      return;
    }
    if (canOwn) of.setAttributes(owner);
    this.#note(of.setExtended(extended).map((skipped) => skipped.name));
    of.setAttributes(rest);
  }

  #note(names: readonly Buffer[]): void {
    for (const name of names) this.skipped.push(`the attribute ${name.toString()}`);
  }

  /** Folders of the path that somebody removed or replaced come back; true when the operation may be tried again. */
  #mendFolders(path: Buffer): boolean {
    try {
      const { tree } = this.#ground;
      let mended = false;
      for (let at = path.indexOf(0x2f); at !== -1; at = path.indexOf(0x2f, at + 1)) {
        const folder = path.subarray(0, at);
        const there = tree.stat(folder);
        if (there?.kind === 'folder') continue;
        if (there !== null) tree.remove(folder);
        tree.makeFolder(folder, 0o700);
        this.misfits.push(Buffer.from(folder));
        mended = true;
      }
      return mended;
    } catch (error) {
      // Somebody is at it just now.
      if (!isMisfit(error)) throw error;
      return false;
    }
  }
}

function slotName(slot: number): Buffer {
  return Buffer.from(`slots/${String(slot)}`);
}
