/**
 * The talk between plan and first batch: the target names paths of which it may hold something else than the source, the
 * source offers what it has there, and the target answers with what it wants.
 *
 *   plan continue: the target names what it changed by itself above the common position, what differs from the
 *                  catalog when its last stop was unclean, and what its host may have lost with its power.
 *   plan compare:  the target names every path that it holds, or has on record, so that the source can offer "it does not
 *                  exist" for those that it lacks; the source offers everything that it has, too.
 *   plan verify:   the same of what it holds, to be told of only: nothing is recorded or kept, and no batch follows.
 *
 * A wanted entry: whole, for what is not here, is of another kind, or has to go (the offer said "does not exist");
 * blocks, for a file of which these differ; neither, for attributes that differ.
 *
 * Invariants:
 * M1  What differs and is this copy's own (above the common position: what it wrote as an owner, or has of one that is
 *     lost) is kept aside before it is wanted, so that nothing is overwritten unkept. So is what is of unknown origin
 *     (unknown.ts), where everything is compared: files that were here before the first copy, or that others put here; and what
 *     is excluded, wherever a folder of this copy's own has to go.
 * M2  What is equal is recorded as replicated and not wanted.
 * M3  Where the store is full, no answer is given until there is room: the source sends nothing for these paths.
 * M4  What is on record, and neither here nor at the source, is taken off the record: nothing that comes later would do that.
 * M5  Where everything is compared, what is missing counts as deleted by this copy only where its record says so: a disk that
 *     was replaced lacks what nobody deleted.
 */

import { closeSync, readSync } from 'node:fs';
import { setImmediate, setTimeout as delay } from 'node:timers/promises';
import { xxh3 } from '@node-rs/xxhash';
import type { Epoch, History } from '@holdfast/core';
import { rootId, type Entry } from '../../catalog/types.ts';
import type { Tree } from '../../os/tree.ts';
import type { Stat } from '../../os/types.ts';
import type {
  Attributes,
  Connection,
  Offer,
  OfferedEntry,
  Plan,
  WantedEntry,
} from '../../transport/types.ts';
import type { KeptStore } from '../divergence/kept-store.ts';
import { attributesAt, type OwnVersion } from '../divergence/own-version.ts';
import type { Records } from './records.ts';
import { namesThere, statThere } from './there.ts';
import type { TargetSelection } from './types.ts';
import { excludedVersions, losesContents, unknownVersions } from './unknown.ts';

const sliceMs = 8;
const candidatesPerFrame = 2_000;
const roomPollMs = 1_000;
const blockBytesMin = 4_096;
const blockBytesMax = 1 << 20;

export interface ComparingGround {
  readonly tree: Tree;
  readonly records: Records;
  readonly kept: KeptStore;
  readonly selection: TargetSelection;
  readonly connection: Connection;
  /** The source's sequence at its hello: what is equal is recorded at it. */
  readonly sourceSequence: number;
  /** What the source held of each epoch, at its hello. */
  readonly sourceHistory: History;
  /** Paths that differ from the catalog, when that has to be known; null: the last stop was clean. */
  readonly unclean: (() => Promise<readonly Buffer[]>) | null;
  /** Paths of which a former owner may have lost the contents with its power (settled.ts). */
  readonly unsettled: () => readonly Buffer[];
  readonly waiting: (reason: string) => void;
}

export class Comparing {
  readonly #ground: ComparingGround;
  readonly #plan: Plan;
  /** Own changes above the common position, by path. */
  readonly #own = new Map<string, 'written' | 'created' | 'deleted'>();
  /** Its own as well, where they differ. */
  readonly #unsettled = new Set<string>();
  #named = false;
  #ended = false;

  constructor(ground: ComparingGround, plan: Plan) {
    this.#ground = ground;
    this.#plan = plan;
  }

  end(): void {
    this.#ended = true;
  }

  /** Nothing follows that overwrites anything. */
  get onlyTells(): boolean {
    return this.#plan.mode === 'verify';
  }

  /** Whether it names changes of this copy itself; null: that is not known yet. */
  get hasOwn(): boolean | null {
    return this.#named && this.#keeps ? this.#own.size > 0 : null;
  }

  /** Names the candidates. */
  async begin(): Promise<void> {
    const { records, selection, unclean } = this.#ground;
    const { mode, from } = this.#plan;
    if (this.#keeps) {
      const above = mode === 'continue' ? from : records.compareWith(this.#ground.sourceHistory);
      for (const { path, change } of above === null ? [] : records.ownChanges(above)) {
        this.#own.set(path.toString('latin1'), change);
      }
    }
    for (const path of unclean === null || !this.#keeps ? [] : await unclean()) {
      if (!selection.includes(path)) continue;
      const here = statThere(this.#ground.tree, path) !== null;
      if (!here && mode === 'compare') continue; // M5
      const change = !here ? 'deleted' : records.knows(path) ? 'written' : 'created';
      this.#own.set(path.toString('latin1'), change);
    }
    for (const path of this.#keeps ? this.#ground.unsettled() : [])
      this.#unsettled.add(path.toString('latin1'));
    this.#named = true;
    if (this.#plan.mode !== 'continue') await this.#nameAll();
    else
      await this.#name(
        [...new Set([...this.#own.keys(), ...this.#unsettled])].map((path) => Buffer.from(path, 'latin1')),
        true,
      );
  }

  /** Answers one offer. Throws what the disk says, also of what is changed by others meanwhile; can be repeated. */
  async answer(offer: Offer): Promise<void> {
    const wants: WantedEntry[] = [];
    const equal: { path: Buffer; attributes: Attributes | null }[] = [];
    const keep: OwnVersion[] = [];
    for (const entry of offer.entries) {
      if (!this.#ground.selection.includes(entry.path)) continue;
      const want = await this.#compare(entry);
      if (this.#ended) return;
      if (want === null) {
        equal.push({ path: entry.path, attributes: entry.attributes });
        continue;
      }
      wants.push(want);
      if (this.#keeps) keep.push(...(await this.#versions(entry, want)));
    }
    if (!(await this.#keep(keep)) || this.#ended) return;
    if (this.#keeps) this.#ground.records.adopt(equal, this.#ground.sourceSequence);
    this.#ground.connection.send({ kind: 'wants', number: offer.number, entries: wants });
  }

  /** M1, M3. False: the connection ended meanwhile. */
  async #keep(versions: readonly OwnVersion[]): Promise<boolean> {
    const { kept, tree, waiting } = this.#ground;
    if (versions.length === 0) return true;
    while (!this.#ended) {
      const keeping = await kept.keep(tree, versions);
      if (keeping.kind === 'kept') {
        waiting('');
        return true;
      }
      waiting(keeping.says);
      await delay(roomPollMs);
    }
    return false;
  }

  get #keeps(): boolean {
    return this.#plan.mode !== 'verify';
  }

  /** M1. */
  async #versions(entry: OfferedEntry, want: WantedEntry): Promise<readonly OwnVersion[]> {
    const own = this.#ownVersion(entry.path);
    if (own !== null) return [own, ...(await excludedVersions(this.#ground, entry))];
    if (this.#plan.mode === 'continue' || !losesContents(this.#ground.tree, entry, want)) return [];
    return unknownVersions(this.#ground, entry);
  }

  #ownVersion(path: Buffer): OwnVersion | null {
    const { tree, records } = this.#ground;
    const key = path.toString('latin1');
    const change = this.#own.get(key) ?? (this.#unsettled.has(key) ? 'written' : undefined);
    if (change === undefined) return null;
    const epoch: Epoch = records.ownerEpoch;
    const stat = statThere(tree, path);
    if (stat === null || stat.kind === 'socket') {
      const isLacking = this.#plan.mode === 'compare' && change !== 'deleted'; // M5
      return isLacking ? null : { path, attributes: null, change: 'deleted', epoch };
    }
    const attributes = attributesAt(tree, path, stat);
    return { path, attributes, change: change === 'deleted' ? 'created' : change, epoch };
  }

  async #compare(entry: OfferedEntry): Promise<WantedEntry | null> {
    const { path, attributes } = entry;
    const { tree } = this.#ground;
    const stat = statThere(tree, path);
    if (attributes === null) return stat === null ? null : { path, whole: true, blocks: [] };
    if (stat?.kind !== attributes.kind) return { path, whole: true, blocks: [] };
    if (attributes.kind === 'link' && !tree.readLink(path).equals(attributes.link))
      return { path, whole: true, blocks: [] };
    if (attributes.kind === 'file') {
      const blocks = await this.#differingBlocks(entry, stat);
      if (blocks === null) return { path, whole: true, blocks: [] };
      if (blocks.length > 0) return { path, whole: false, blocks };
      // Cut off, or longer by what the source does not have: its last block tells so.
      if (attributes.size !== stat.size)
        return { path, whole: attributes.size === 0, blocks: lastBlock(entry) };
    }
    return sameAttributes(tree, path, stat, attributes) ? null : { path, whole: false, blocks: [] };
  }

  /** Null: the hashes are of no use, the whole is needed. */
  async #differingBlocks(entry: OfferedEntry, stat: Stat): Promise<number[] | null> {
    const { blockBytes, hashes, attributes } = entry;
    const size = attributes?.size ?? 0;
    if (size === 0) return [];
    const count = Math.ceil(size / blockBytes);
    if (blockBytes < blockBytesMin || blockBytes > blockBytesMax || hashes.length !== count * 16) return null;
    const differing: number[] = [];
    const fd = this.#ground.tree.openRead(entry.path);
    try {
      const space = Buffer.allocUnsafe(blockBytes);
      let sliceEnd = performance.now() + sliceMs;
      for (let block = 0; block < count; block += 1) {
        const offset = block * blockBytes;
        const length = Math.min(blockBytes, size - offset);
        const read = offset >= stat.size ? 0 : readWhole(fd, space, length, offset);
        const same =
          read === length &&
          hashOf(space.subarray(0, length)).equals(hashes.subarray(block * 16, block * 16 + 16));
        if (!same) differing.push(block);
        if (performance.now() < sliceEnd) continue;
        await setImmediate();
        if (this.#ended) return [];
        sliceEnd = performance.now() + sliceMs;
      }
    } finally {
      closeSync(fd);
    }
    return differing;
  }

  async #nameAll(): Promise<void> {
    const { tree, selection } = this.#ground;
    let paths: Buffer[] = [];
    const folders: Named[] = [{ path: Buffer.alloc(0), recorded: rootId }];
    for (let folder = folders.pop(); folder !== undefined && !this.#ended; folder = folders.pop()) {
      const missing = this.#recordedIn(folder);
      for (const { name, kind } of namesThere(tree, folder.path)) {
        const path = within(folder.path, name);
        const entry = missing.get(name.toString('latin1'));
        missing.delete(name.toString('latin1'));
        const known = kind ?? statThere(tree, path)?.kind ?? 'socket';
        if (known === 'socket' || !selection.includes(path)) continue;
        paths.push(path);
        if (known === 'folder') folders.push({ path, recorded: entry?.id ?? null });
      }
      // M4
      for (const { name, id, attributes } of missing.values()) {
        const path = within(folder.path, name);
        if (!selection.includes(path)) continue;
        paths.push(path);
        if (attributes.kind === 'folder') folders.push({ path, recorded: id });
      }
      if (paths.length < candidatesPerFrame) continue;
      await this.#name(paths, false);
      paths = [];
    }
    await this.#name(paths, true);
  }

  /** By name (latin1). A verify is of what is there. */
  #recordedIn({ recorded }: Named): Map<string, Entry> {
    if (recorded === null || !this.#keeps) return new Map<string, Entry>();
    return this.#ground.records.childrenOf(recorded);
  }

  async #name(paths: readonly Buffer[], last: boolean): Promise<void> {
    const { connection } = this.#ground;
    for (let at = 0; at < paths.length || (last && at === 0); at += candidatesPerFrame) {
      const some = piece(paths, at);
      const room = connection.send({
        kind: 'candidates',
        paths: some,
        last: last && at + some.length >= paths.length,
      });
      at += some.length - candidatesPerFrame;
      if (!room) await connection.writable();
      if (this.#ended) return;
      if (some.length === 0) return;
    }
  }
}

/** A folder whose names are told. */
interface Named {
  readonly path: Buffer;
  /** Its number in the catalog; null: it is not in there. */
  readonly recorded: number | null;
}

const slash = Buffer.from('/');

const within = (folder: Buffer, name: Buffer): Buffer =>
  folder.length === 0 ? name : Buffer.concat([folder, slash, name]);

/** Of names in one frame. */
const pieceBytesMax = 512 << 10;

function piece(paths: readonly Buffer[], from: number): Buffer[] {
  const some: Buffer[] = [];
  let bytes = 0;
  for (const path of paths.slice(from, from + candidatesPerFrame)) {
    bytes += path.length + 8;
    if (bytes > pieceBytesMax) break;
    some.push(path);
  }
  return some;
}

function lastBlock({ attributes, blockBytes }: OfferedEntry): number[] {
  const size = attributes?.size ?? 0;
  return size === 0 ? [] : [Math.ceil(size / blockBytes) - 1];
}

function sameAttributes(tree: Tree, path: Buffer, stat: Stat, wanted: Attributes): boolean {
  const { kind } = wanted;
  if (stat.uid !== wanted.uid || stat.gid !== wanted.gid) return false;
  if (kind !== 'link' && stat.mode !== wanted.mode) return false;
  if (stat.mtimeS !== wanted.mtimeS || stat.mtimeNs !== wanted.mtimeNs) return false;
  if (
    (kind === 'block' || kind === 'char') &&
    (stat.deviceMajor !== wanted.deviceMajor || stat.deviceMinor !== wanted.deviceMinor)
  ) {
    return false;
  }
  if (kind === 'link') return true;
  const own = tree.extended(path);
  return (
    own.length === wanted.extended.length &&
    wanted.extended.every(([name, value]) => own.some(([n, v]) => n.equals(name) && v.equals(value)))
  );
}

function readWhole(fd: number, space: Buffer, length: number, offset: number): number {
  let done = 0;
  while (done < length) {
    const read = readSync(fd, space, done, length - done, offset + done);
    if (read === 0) break;
    done += read;
  }
  return done;
}

/** 16 bytes, big endian, as files/source/reading.ts has them. */
function hashOf(block: Buffer): Buffer {
  const hash = xxh3.xxh128(block);
  const bytes = Buffer.allocUnsafe(16);
  bytes.writeBigUInt64BE(hash >> 64n, 0);
  bytes.writeBigUInt64BE(hash & 0xffff_ffff_ffff_ffffn, 8);
  return bytes;
}
