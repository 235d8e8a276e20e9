/**
 * What others changed in a target's folder is found before a batch replaces it, moves it or takes it away: each entry that the
 * batch speaks of is compared with what was recorded of it. Contents that others wrote are kept aside whole.
 *
 * Invariants:
 * W1  Nothing of a batch is done before what it would destroy is durable aside. Where the store has no room it waits.
 * W2  A takeover does not wait for that: it keeps beyond the bound, and where the disk refuses it goes on, and says so.
 * W3  What others wrote and the batch does not replace as a whole is not what the source takes it for, and is recorded as if it
 *     were: everything is compared. That is on record before anything is done.
 * W4  What a batch did itself is never taken for others': the marker says that it was begun, and then nothing is looked at.
 * W5  It is looked at only where the record is that of the disk: not while this copy has writes of its own, nor before a first
 *     copy or a comparison is complete. A comparison keeps aside what it finds (comparing.ts, M1).
 * W6  Written is what has another time of change, which nobody can set, and another size, time of modification or number. Owner
 *     and mode alone are not worth a copy.
 */

import { setImmediate, setTimeout as delay } from 'node:timers/promises';
import type { Catalog, Entry } from '../../catalog/types.ts';
import type { Tree } from '../../os/tree.ts';
import type { Stat } from '../../os/types.ts';
import type { KeptStore } from '../divergence/kept-store.ts';
import { attributesAt, type OwnVersion } from '../divergence/own-version.ts';
import { childrenOf, isWritten } from './foreign.ts';
import { FormerNames } from './former-names.ts';
import type { Records } from './records.ts';
import type { Batch, Redo } from './redo.ts';
import type { Staging } from './staging.ts';
import { childrenThere, statThere } from './there.ts';
import { isMisfit } from './trouble.ts';
import type { TargetSelection } from './types.ts';

const sliceMs = 8;
const roomPollMs = 500;
const slash = Buffer.from('/');

export interface OverwritingGround {
  readonly tree: Tree;
  readonly staging: Staging;
  readonly catalog: Catalog;
  readonly records: Records;
  readonly kept: KeptStore;
  readonly selection: TargetSelection;
  readonly failPoint: (name: string) => void;
}

export interface OverwritingPorts {
  /** Nobody waits for it any more. */
  readonly closed: () => boolean;
  /** Empty: no longer. What it throws ends the wait. */
  readonly waiting: (reason: string) => void;
  /** Whatever the bound of the store is. */
  readonly beyond: boolean;
}

/** What others had written, and a batch was about to replace. */
export interface Spared {
  readonly paths: readonly Buffer[];
  /** W3. */
  readonly stays: boolean;
  /** Why it could not be kept (W2); empty: it was. */
  readonly lost: string;
}

const shownMax = 3;

const shown = (paths: readonly Buffer[]): string =>
  paths
    .slice(0, shownMax)
    .map((path) => path.toString())
    .join(', ');

export function sparedSays({ paths, lost }: Pick<Spared, 'paths' | 'lost'>): string {
  const what = `what others had changed here (${shown(paths)}) was replaced`;
  return lost === '' ? `${what}, and is kept aside` : `${what}, and is lost: ${lost}`;
}

/** W3. */
export const staysSays = ({ paths }: Spared): string =>
  `${shown(paths)} was changed here by others, and a batch did not replace it`;

export const nothingSpared: Spared = { paths: [], stays: false, lost: '' };

export class Overwriting {
  readonly #ground: OverwritingGround;
  #hurried = false;

  constructor(ground: OverwritingGround) {
    this.#ground = ground;
  }

  /** W2, from now on. */
  hurry(): void {
    this.#hurried = true;
  }

  /**
   * Before anything of the batch of this number is done. Null: closed meanwhile, and it may not be done. Throws what the disk
   * says, and can be repeated.
   */
  async before(number: number, batch: Batch, ports: OverwritingPorts): Promise<Spared | null> {
    const { records, staging, failPoint } = this.#ground;
    if (!batch.consistent || !records.isOfDisk) return nothingSpared; // W5
    const kept = await this.#keep(batch, ports);
    if (kept === null) return null;
    failPoint('apply:spared');
    staging.mark({ number: number - 1, step: 0, begun: true }); // W4
    return kept;
  }

  /** W1. */
  async #keep(batch: Batch, { closed, waiting, beyond }: OverwritingPorts): Promise<Spared | null> {
    const { tree, kept, records } = this.#ground;
    for (let waited = false; ; waited = true) {
      if (waited) await delay(roomPollMs);
      if (closed()) return null;
      try {
        const look = new Look(this.#ground);
        await look.at(batch.operations);
        const { versions } = look;
        const isFree = beyond || this.#hurried;
        const keeping = versions.length === 0 ? null : await kept.keep(tree, versions, isFree);
        if (keeping?.kind === 'full' && !this.#hurried) {
          waiting(keeping.says);
          continue;
        }
        const { stays } = look;
        if (stays) records.distrust(); // W3
        if (waited) waiting('');
        const lost = keeping?.kind === 'full' ? keeping.says : '';
        return { paths: versions.map(({ path }) => path), stays, lost };
      } catch (error) {
        // What there is in the end decides.
        if (!isMisfit(error)) throw error;
        waiting('others change its folder meanwhile');
      }
    }
  }
}

/** One look at what a batch speaks of. */
class Look {
  readonly versions: OwnVersion[] = [];
  /** W3. */
  stays = false;
  readonly #ground: OverwritingGround;
  readonly #names = new FormerNames();
  readonly #seen = new Set<string>();
  /** Those that are there, or were looked at. */
  readonly #folders = new Set<string>();
  #sliceEnd = performance.now() + sliceMs;

  constructor(ground: OverwritingGround) {
    this.#ground = ground;
  }

  async at(operations: readonly Redo[]): Promise<void> {
    for (const operation of operations) {
      await this.#operation(operation);
      this.#names.note(operation);
      if (performance.now() >= this.#sliceEnd) await this.#turn();
    }
  }

  async #operation(operation: Redo): Promise<void> {
    switch (operation.kind) {
      case 'move':
        this.#left(operation.from);
        return;
      case 'remove':
        await this.#gone(operation.path);
        return;
      case 'place':
        await this.#replaced(operation.to);
        return;
      case 'put':
        await this.#replaced(operation.path, operation.attributes.kind === 'folder');
        return;
      case 'hard-link': {
        const to = this.#names.of(operation.to);
        if (to !== null) this.#left(to);
        await this.#replaced(operation.path);
        return;
      }
      case 'patch':
      case 'set': {
        const path = this.#names.of(operation.path);
        if (path !== null) this.#left(path);
      }
    }
  }

  /** W3: it is there afterwards as well. What is in a folder is not concerned. */
  #left(path: Buffer): void {
    const stat = this.#statOf(path);
    if (stat !== null && stat.kind !== 'folder' && this.#look(path, stat)) this.stays = true;
  }

  async #replaced(path: Buffer, byFolder = false): Promise<void> {
    const before = this.#names.of(path);
    if (before !== null) await this.#gone(before, byFolder);
  }

  /** With everything in it; a folder that is put keeps what is in it. */
  async #gone(path: Buffer, byFolder = false): Promise<void> {
    const stat = this.#statOf(path);
    if (stat === null || (byFolder && stat.kind === 'folder')) return;
    this.#look(path, stat);
    if (stat.kind === 'folder') await this.#beneath(path);
  }

  async #beneath(top: Buffer): Promise<void> {
    const { tree, catalog, selection } = this.#ground;
    const folders = [top];
    for (let folder = folders.pop(); folder !== undefined; folder = folders.pop()) {
      const entry = catalog.byPath(folder);
      const known = entry === null ? null : childrenOf(catalog, entry.id);
      for (const { name, stat } of childrenThere(tree, folder)) {
        const path = Buffer.concat([folder, slash, name]);
        // What is excluded goes with its folder.
        if (!selection.includes(path)) continue;
        this.#look(path, stat, known?.get(name.toString('latin1')) ?? null);
        if (stat.kind === 'folder') folders.push(path);
      }
      if (performance.now() >= this.#sliceEnd) await this.#turn();
    }
  }

  /** Null: nothing is there. What took the place of a folder above it is replaced by that again. */
  #statOf(path: Buffer): Stat | null {
    const stat = statThere(this.#ground.tree, path);
    if (stat !== null) return stat;
    for (let at = path.indexOf(slash); at !== -1; at = path.indexOf(slash, at + 1)) {
      const folder = path.subarray(0, at);
      const key = folder.toString('latin1');
      if (this.#folders.has(key)) continue;
      this.#folders.add(key);
      const above = statThere(this.#ground.tree, folder);
      if (above !== null && above.kind !== 'folder') this.#look(folder, above);
    }
    return null;
  }

  /** True: others wrote it. */
  #look(path: Buffer, stat: Stat, entry: Entry | null = this.#ground.catalog.byPath(path)): boolean {
    if (stat.kind === 'socket' || (entry !== null && !isWritten(entry, stat))) return false;
    const key = path.toString('latin1');
    if (this.#seen.has(key)) return true;
    this.#seen.add(key);
    const { tree, records } = this.#ground;
    const attributes = attributesAt(tree, path, stat);
    const change = entry === null ? 'created' : 'written';
    this.versions.push({ path, attributes, change, epoch: records.ownerEpoch });
    return true;
  }

  async #turn(): Promise<void> {
    await setImmediate();
    this.#sliceEnd = performance.now() + sliceMs;
  }
}
