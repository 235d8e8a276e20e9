import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { BlockRecords } from '../src/catalog/blocks.ts';
import { openCatalog } from '../src/catalog/catalog.ts';
import type { Catalog } from '../src/catalog/types.ts';
import { createFeed } from '../src/feed/feed.ts';
import type { Feed, FeedListener } from '../src/feed/types.ts';
import { Selection, type SelectionOptions } from '../src/files/selection.ts';
import { FileSource } from '../src/files/source/file-source.ts';
import { FileTarget } from '../src/files/target/file-target.ts';
import { Tree } from '../src/os/tree.ts';
import { OsError } from '../src/os/types.ts';
import type { Connection, Dialed, LineOptions } from '../src/transport/types.ts';
import { compareTrees } from './compare-trees.ts';
import { connectionPair, type ConnectionPair } from './connection-pair.ts';

export interface PairOptions {
  /** Where both live. Default: the folder for temporary files. */
  readonly base?: string;
  /** What a pair left that was killed. Default: both begin anew. */
  readonly folder?: string;
  readonly selection?: SelectionOptions;
  /** none: everything is looked at, once a second. Default: fanotify, read in this thread. */
  readonly feed?: 'here' | 'none';
  /** Another one in its place. */
  readonly makeFeed?: (listener: FeedListener) => Feed;
  readonly scanEveryMs?: number;
  readonly settleMs?: number;
  readonly slowAfterMs?: number;
  readonly line?: LineOptions;
  /** Of what a former owner wrote. */
  readonly keepMaxBytes?: number;
  /** Of both sides, by name. */
  readonly failPoint?: (name: string) => void;
  /** After everything ended, before the folders go. */
  readonly closed?: () => void;
  /** Before anything starts. */
  readonly prepare?: (sourceRoot: string, targetRoot: string) => void;
}

const everything: SelectionOptions = { include: [], exclude: [], devices: true };
const limitMs = 15_000;
const deathMsMax = 300;
/** Where an error of the disk does not come: what was done there is told, and nothing follows that changes anything. */
const told: ReadonlySet<string> = new Set(['copy:synced', 'commit:acknowledged', 'checkpoint:freed']);

/** A member with a copy of the mirror, in a folder of its own. */
class Host {
  readonly name: string;
  readonly root: string;
  readonly dir: string;
  catalog: Catalog;

  constructor(base: string, name: string) {
    this.name = name;
    this.root = join(base, name, 'root');
    this.dir = join(base, name, 'state');
    mkdirSync(this.root, { recursive: true });
    mkdirSync(this.dir, { recursive: true });
    this.catalog = this.open();
  }

  at(path: string): string {
    return join(this.root, path);
  }

  open(): Catalog {
    return openCatalog(join(this.dir, 'catalog'));
  }
}

/** The end of a target, at one of its fail points. */
class Death {
  #left = Infinity;
  #come: () => void = () => undefined;

  /** As a fail point. */
  pass(name: string): void {
    if (told.has(name)) return;
    this.#left -= 1;
    if (this.#left > 0) return;
    this.#come();
    throw new OsError('EIO', 'write', Buffer.from('what nobody does any more'));
  }

  async come(after: number, limitMs: number): Promise<void> {
    this.#left = after;
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, limitMs);
      this.#come = () => {
        clearTimeout(timer);
        resolve();
      };
    });
    this.#left = 0;
  }
}

/** A source and a target in one process, joined in memory. Close it, or the test does not end. */
export class MirrorPair {
  readonly #base: string;
  readonly #options: PairOptions;
  readonly #selection: Selection;
  #sourceHost: Host;
  #targetHost: Host;
  #source: FileSource | null = null;
  #sourceTree: Tree | null = null;
  #blocks: BlockRecords | null = null;
  #target: FileTarget | null = null;
  #line: ConnectionPair | null = null;
  #isCut = false;
  #epoch = 1n;
  #wireBytes = 0;
  #markers: string | null = null;
  #targetDeath = new Death();
  readonly said: string[] = [];

  constructor(options: PairOptions) {
    this.#base = options.folder ?? mkdtempSync(join(options.base ?? tmpdir(), 'holdfast-pair-'));
    this.#options = options;
    this.#selection = new Selection(options.selection ?? everything);
    this.#sourceHost = new Host(this.#base, 'anna');
    this.#targetHost = new Host(this.#base, 'bert');
  }

  /** Of the source's root. */
  at(path: string): string {
    return this.#sourceHost.at(path);
  }

  get sourceRoot(): string {
    return this.#sourceHost.root;
  }

  get targetRoot(): string {
    return this.#targetHost.root;
  }

  get sourceCatalog(): Catalog {
    return this.#sourceHost.catalog;
  }

  get targetCatalog(): Catalog {
    return this.#targetHost.catalog;
  }

  get source(): FileSource {
    if (this.#source === null) throw new Error('there is no source now');
    return this.#source;
  }

  get target(): FileTarget {
    if (this.#target === null) throw new Error('there is no target now');
    return this.#target;
  }

  /** Bytes that went from source to target so far, of all connections. */
  get wireBytes(): number {
    return this.#wireBytes + (this.#line?.source.counters().sentWireBytes ?? 0);
  }

  /** Where the feed's markers are from now on. */
  markersIn(folder: string): void {
    this.#markers = folder;
  }

  async start(): Promise<void> {
    this.#options.prepare?.(this.sourceRoot, this.targetRoot);
    await this.startTarget();
    await this.startSource();
  }

  async startSource(): Promise<void> {
    const host = this.#sourceHost;
    this.#sourceTree = Tree.open(host.root);
    this.#blocks = new BlockRecords(join(host.dir, 'blocks'));
    const { scanEveryMs, settleMs, slowAfterMs } = this.#options;
    const source = new FileSource(
      {
        dir: host.dir,
        root: host.root,
        name: 'd3/data',
        cluster: 'acme',
        self: host.name,
        epoch: this.#epoch,
        grantUntil: () => null,
        bootMs: () => performance.now(),
        selection: this.#selection,
        devices: true,
        makeFeed: (listener) => this.#makeFeed(host, listener),
        targets: [{ member: this.#targetHost.name, dial: () => this.#dial(), paused: null }],
        says: (sentence) => this.said.push(`${host.name}: ${sentence}`),
        ...(scanEveryMs === undefined ? {} : { scanEveryMs }),
        ...(settleMs === undefined ? {} : { settleMs }),
        ...(slowAfterMs === undefined ? {} : { slowAfterMs }),
        ...(this.#options.failPoint === undefined ? {} : { failPoint: this.#options.failPoint }),
      },
      { tree: this.#sourceTree, catalog: host.catalog, blocks: this.#blocks },
    );
    this.#source = source;
    const started = await source.start();
    if (started.kind === 'failed') throw new Error(started.says);
  }

  async startTarget(): Promise<void> {
    const host = this.#targetHost;
    const death = new Death();
    this.#targetDeath = death;
    const opened = await FileTarget.open({
      dir: host.dir,
      root: host.root,
      name: 'd3/data',
      cluster: 'acme',
      self: host.name,
      selection: this.#selection,
      otherRoots: [],
      keepMaxBytes: this.#options.keepMaxBytes ?? null,
      catalog: host.catalog,
      covered: false,
      foreignPeriodMs: 0,
      says: (sentence) => this.said.push(`${host.name}: ${sentence}`),
      failPoint: (name) => {
        this.#options.failPoint?.(name);
        death.pass(name);
      },
    });
    if (opened.kind === 'failed') throw new Error(opened.says);
    this.#target = opened.target;
  }

  async stopSource(): Promise<void> {
    await this.#source?.close();
    await this.#blocks?.close();
    this.#sourceTree?.close();
    this.#source = null;
    await this.#reopen(this.#sourceHost);
  }

  async stopTarget(): Promise<void> {
    await this.#target?.close();
    this.#target = null;
    await this.#reopen(this.#targetHost);
  }

  /** The line breaks, and nobody gets through until heal(). */
  cut(): void {
    this.#isCut = true;
    this.#line?.cut();
  }

  heal(): void {
    this.#isCut = false;
  }

  /** `clean`: in order. Else as if it were killed now. `meanwhile`: while there is no source. */
  async restartSource({ clean, meanwhile }: { clean: boolean; meanwhile?: () => void }): Promise<void> {
    if (clean) await this.stopSource();
    else await this.killSource();
    meanwhile?.();
    await this.startSource();
  }

  /** Of a host that stands still, and whose catalog is closed. */
  reopen(member: string): void {
    const host = [this.#sourceHost, this.#targetHost].find(({ name }) => name === member);
    if (host !== undefined) host.catalog = host.open();
  }

  /** A source writes to its own folder only: that stays as it is now, whatever it still notes when it is closed. */
  async killSource(): Promise<void> {
    const { dir } = this.#sourceHost;
    const left = `${dir}.left`;
    // Marks are of no use to the next life, and their folder may be a mount.
    const names = (): string[] => readdirSync(dir).filter((name) => name !== 'markers');
    const before = names();
    for (const name of before)
      cpSync(join(dir, name), join(left, name), { recursive: true, preserveTimestamps: true });
    this.#line?.cut();
    await this.#source?.close();
    await this.#blocks?.close();
    this.#sourceTree?.close();
    this.#source = null;
    await this.#sourceHost.catalog.close();
    for (const name of names()) rmSync(join(dir, name), { recursive: true });
    for (const name of before) renameSync(join(left, name), join(dir, name));
    rmSync(left, { recursive: true, force: true });
    this.#sourceHost.catalog = this.#sourceHost.open();
  }

  /**
   * At its fail point after so many others, or soon where it does not get there: from then on whatever it is about to do
   * fails, and is not tried again, because it is closed.
   */
  async killTarget(after: number): Promise<void> {
    await this.#targetDeath.come(after, deathMsMax);
    this.#line?.cut();
    await this.stopTarget();
  }

  async restartTarget(meanwhile?: () => void): Promise<void> {
    await this.stopTarget();
    meanwhile?.();
    await this.startTarget();
  }

  /** While there is no source: it is one again at the next epoch. */
  nextEpoch(): void {
    this.#epoch += 1n;
  }

  /** Null: it goes on. */
  pause(reason: string | null): void {
    this.source.setTargets([{ member: this.#targetHost.name, dial: () => this.#dial(), paused: reason }]);
  }

  /** The target takes over, at the next epoch; the former source is its target. `meanwhile`: before it comes back. */
  async reverse(meanwhile?: () => void): Promise<void> {
    await this.stopSource();
    await this.#open();
    await this.stopTarget();
    [this.#sourceHost, this.#targetHost] = [this.#targetHost, this.#sourceHost];
    this.#epoch += 1n;
    await this.startSource();
    meanwhile?.();
    await this.startTarget();
  }

  /** As a seat does it: what was opened at an epoch is never promoted for it again. */
  async #open(): Promise<void> {
    const mark = join(this.#targetHost.dir, `opened-${String(this.#epoch + 1n)}`);
    if (existsSync(mark)) return;
    if (this.#target === null) await this.startTarget();
    await this.target.promote();
    writeFileSync(mark, '');
  }

  /** Until the target holds and applied everything that happened before this call. Throws with what is known when it does not. */
  async settle(withinMs = limitMs): Promise<void> {
    const [drained] = await this.source.drain(null, withinMs);
    if (drained?.kind !== 'in-step') throw new Error(this.story(`not in step: ${JSON.stringify(drained)}`));
    await this.until(() => this.target.state().unappliedBytes === 0, 'everything is applied', withinMs);
  }

  /** Throws when it does not come true. */
  async until(condition: () => boolean, what: string, withinMs = limitMs): Promise<void> {
    const end = performance.now() + withinMs;
    while (!condition()) {
      if (performance.now() > end) throw new Error(this.story(`it did not come true that ${what}`));
      await delay(2);
    }
  }

  /** One line for each difference between the two roots. */
  differences(): string[] {
    return compareTrees(this.sourceRoot, this.targetRoot);
  }

  story(says: string): string {
    const state = [this.#source?.state(), this.#target?.state()];
    const text = JSON.stringify(
      state,
      (_, value: unknown) => (typeof value === 'bigint' ? value.toString() : value),
      1,
    );
    return [says, ...this.said.slice(-20), text].join('\n');
  }

  async close(): Promise<void> {
    this.#isCut = true;
    if (this.#source !== null) await this.stopSource();
    if (this.#target !== null) await this.stopTarget();
    await this.#sourceHost.catalog.close();
    await this.#targetHost.catalog.close();
    this.#options.closed?.();
    rmSync(this.#base, { recursive: true, force: true });
  }

  async #reopen(host: Host): Promise<void> {
    await host.catalog.close();
    host.catalog = host.open();
  }

  #makeFeed(host: Host, listener: FeedListener): Feed {
    if (this.#options.makeFeed !== undefined) return this.#options.makeFeed(listener);
    if (this.#options.feed === 'none') {
      return {
        start: () => Promise.resolve({ kind: 'none', says: 'the test wants none' }),
        barrier: () => Promise.resolve(false),
        close: () => Promise.resolve(),
      };
    }
    return createFeed({
      root: host.root,
      markers: join(this.#markers ?? host.dir, 'markers'),
      excluded: [Buffer.from('.holdfast-d3-data')],
      where: 'here',
      listener,
    });
  }

  #dial(): Promise<Dialed> {
    const target = this.#target;
    if (this.#isCut || target === null) {
      return Promise.resolve({ kind: 'failed', failure: { kind: 'unreachable', says: 'the line is cut' } });
    }
    this.#wireBytes = this.wireBytes;
    const line = connectionPair({
      ...this.#options.line,
      source: this.#sourceHost.name,
      target: this.#targetHost.name,
    });
    this.#line = line;
    return Promise.resolve({ kind: 'connected', connection: answered(line, target) });
  }
}

/** The hello goes to the target itself, as a listener hands it over. */
function answered(line: ConnectionPair, target: FileTarget): Connection {
  const { source } = line;
  const send = source.send.bind(source);
  source.send = (frame) => {
    if (frame.kind !== 'hello') return send(frame);
    void target.accept(line.target, frame);
    return true;
  };
  return source;
}

/** What a reversal left that was killed: it is gone on with, as the agents of both members order it. */
export async function resumeReversal(options: PairOptions, meanwhile: () => void): Promise<MirrorPair> {
  const pair = new MirrorPair(options);
  await pair.reverse(meanwhile);
  return pair;
}

/** Started. */
export async function makePair(options: PairOptions = {}): Promise<MirrorPair> {
  const pair = new MirrorPair(options);
  await pair.start();
  return pair;
}
