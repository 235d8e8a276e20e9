import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { xxh3 } from '@node-rs/xxhash';
import { unknownChecksum, type History } from '@holdfast/core';
import { openCatalog } from '../src/catalog/catalog.ts';
import type { Catalog } from '../src/catalog/types.ts';
import { FileTarget } from '../src/files/target/file-target.ts';
import { unprotect } from '../src/os/read-only.ts';
import type { TargetOptions } from '../src/files/target/types.ts';
import type {
  Attributes,
  Connection,
  FileOperation,
  Frame,
  Hello,
  OfferedEntry,
} from '../src/transport/types.ts';
import { connectionPair } from './connection-pair.ts';

export const bytes = (text: string): Buffer => Buffer.from(text);
const empty = Buffer.alloc(0);
const digest = Buffer.from('selection');

export const fileOf = (size: number, more: Partial<Attributes> = {}): Attributes => ({
  kind: 'file',
  mode: 0o644,
  uid: process.getuid?.() ?? 0,
  gid: process.getgid?.() ?? 0,
  size,
  mtimeS: 1_700_000_000,
  mtimeNs: 123_456_789,
  link: empty,
  deviceMajor: 0,
  deviceMinor: 0,
  extended: [],
  ...more,
});

export const folderOf = (more: Partial<Attributes> = {}): Attributes =>
  fileOf(0, { kind: 'folder', mode: 0o755, ...more });

/** Operations as a source writes them. */
export const put = (
  path: string,
  contents: string | Buffer,
  more: Partial<Attributes> = {},
): FileOperation => {
  const content = Buffer.from(contents);
  const attributes = fileOf(content.length, more);
  return { kind: 'put', path: bytes(path), attributes, contents: content, stream: 0, version: empty };
};
export const folder = (path: string): FileOperation => ({
  kind: 'put',
  path: bytes(path),
  attributes: folderOf(),
  contents: empty,
  stream: 0,
  version: empty,
});
export const big = (path: string, size: number, stream: number, version = ''): FileOperation => ({
  kind: 'put',
  path: bytes(path),
  attributes: fileOf(size),
  contents: empty,
  stream,
  version: bytes(version),
});
export const link = (path: string, to: string): FileOperation => ({
  kind: 'put',
  path: bytes(path),
  attributes: fileOf(0, { kind: 'link', mode: 0o777, link: bytes(to) }),
  contents: empty,
  stream: 0,
  version: empty,
});
export const hardLink = (path: string, to: string): FileOperation => ({
  kind: 'hard-link',
  path: bytes(path),
  to: bytes(to),
});
export const move = (from: string, slot: number): FileOperation => ({
  kind: 'move',
  from: bytes(from),
  slot,
});
export const placed = (slot: number, to: string): FileOperation => ({ kind: 'place', slot, to: bytes(to) });
export const removal = (path: string): FileOperation => ({ kind: 'remove', path: bytes(path) });
export const patch = (path: string, size: number, stream: number): FileOperation => ({
  kind: 'patch',
  path: bytes(path),
  attributes: fileOf(size),
  stream,
});
export const set = (path: string, attributes: Attributes): FileOperation => ({
  kind: 'set',
  path: bytes(path),
  attributes,
});

/** As the source has it: contents in one block. */
export function offered(path: string, contents: string | null): OfferedEntry {
  if (contents === null)
    return { path: bytes(path), attributes: null, blockBytes: 0, hashes: Buffer.alloc(0) };
  const hash = xxh3.xxh128(bytes(contents)).toString(16).padStart(32, '0');
  const attributes = fileOf(contents.length);
  return { path: bytes(path), attributes, blockBytes: 4_096, hashes: Buffer.from(hash, 'hex') };
}

/** What travels in a batch besides its operations. */
export interface Contents {
  readonly stream: number;
  readonly pieces: readonly { readonly offset: number; readonly contents: Buffer }[];
  readonly bytes: number;
}

interface BatchTerms {
  readonly contents?: readonly Contents[];
  readonly consistent?: boolean;
  readonly history?: History;
  /** The source's sum after it. Default: it tells none. */
  readonly checksum?: string;
}

/** A source that a test leads by the hand. */
export class HandSource {
  readonly connection: Connection;
  readonly #frames: Frame[] = [];
  #wake: (() => void) | null = null;
  #number = 0;
  epoch: bigint;

  constructor(connection: Connection, epoch: bigint) {
    this.connection = connection;
    this.epoch = epoch;
    connection.onFrame((frame) => {
      if (frame.kind !== 'beat') this.#frames.push(frame);
      this.#wake?.();
    });
    connection.onEnd(() => this.#wake?.());
  }

  /** The next frame of this kind; others are dropped. Throws when there is none within the limit. */
  async next<K extends Frame['kind']>(kind: K, limitMs = 30_000): Promise<Extract<Frame, { kind: K }>> {
    const until = Date.now() + limitMs;
    for (;;) {
      for (let frame = this.#frames.shift(); frame !== undefined; frame = this.#frames.shift()) {
        if (frame.kind === kind) return frame as Extract<Frame, { kind: K }>;
        if (frame.kind === 'refuse') throw new Error(`refused: ${frame.code}: ${frame.says}`);
      }
      if (this.connection.ended !== null) throw new Error(`ended: ${this.connection.ended.says}`);
      if (Date.now() > until) throw new Error(`no ${kind} came`);
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, 100);
        this.#wake = () => {
          clearTimeout(timer);
          resolve();
        };
      });
    }
  }

  plan(from = 0, mode: 'continue' | 'compare' | 'verify' = 'continue'): void {
    this.connection.send({ kind: 'plan', mode, from, entries: 0, bytes: 0 });
  }

  /** Sends a batch and does not wait. Answers its number. */
  async send(
    sequence: number,
    operations: readonly FileOperation[],
    {
      contents = [],
      consistent = true,
      history = [{ epoch: this.epoch, sequence }],
      checksum = unknownChecksum,
    }: BatchTerms = {},
  ): Promise<number> {
    this.#number += 1;
    const number = this.#number;
    await this.#send({ kind: 'begin', number, consistent });
    for (let at = 0; at < operations.length; at += 100) {
      await this.#send({ kind: 'operations', operations: operations.slice(at, at + 100) });
    }
    for (const { stream, pieces, bytes: total } of contents) {
      for (const piece of pieces) await this.#send({ kind: 'data', stream, ...piece });
      await this.#send({ kind: 'stream-end', stream, bytes: total });
    }
    await this.#send({ kind: 'commit', number, sequence, checksum, consistent, hot: [], history });
    return number;
  }

  async batch(sequence: number, operations: readonly FileOperation[], more: BatchTerms = {}): Promise<void> {
    const number = await this.send(sequence, operations, more);
    while ((await this.next('ack')).number < number);
  }

  async #send(frame: Frame): Promise<void> {
    if (!this.connection.send(frame)) await this.connection.writable();
  }
}

export interface Stage {
  readonly dir: string;
  readonly root: string;
  readonly catalog: Catalog;
  readonly target: FileTarget;
  at(path: string): string;
  /** A source that was accepted and answered; with a plan sent when `from` is a number. */
  dial(
    epoch?: bigint,
    from?: number | null,
    sequence?: number,
    history?: History,
  ): Promise<{ source: HandSource; hello: Hello }>;
  hello(more?: Partial<Hello>): Hello;
  /** `meanwhile`: while nothing is open. */
  reopen(more?: Partial<TargetOptions>, meanwhile?: () => void | Promise<void>): Promise<Stage>;
  close(): Promise<void>;
}

export async function openStage(dir = newFolder(), more: Partial<TargetOptions> = {}): Promise<Stage> {
  const root = join(dir, 'root');
  mkdirSync(root, { recursive: true });
  const catalog = openCatalog(join(dir, 'state', 'catalog'));
  const opened = await FileTarget.open({
    dir: join(dir, 'state'),
    root,
    name: 'd3/data',
    cluster: 'acme',
    self: 'bert',
    selection: { digest, includes: (path) => !path.toString('latin1').startsWith('.holdfast-') },
    otherRoots: [],
    keepMaxBytes: null,
    catalog,
    covered: false,
    foreignPeriodMs: 0,
    ...more,
  });
  if (opened.kind === 'failed') throw new Error(opened.says);
  const { target } = opened;
  const ends: (() => void)[] = [];
  const hello = (given: Partial<Hello> = {}): Hello => ({
    kind: 'hello',
    protocol: 1,
    cluster: 'acme',
    member: 'anna',
    mirror: 'd3/data',
    role: 'source',
    epoch: 7n,
    position: { epoch: 7n, sequence: 0, checksum: '0000000000000000' },
    history: [],
    selection: digest,
    consistent: true,
    parts: [],
    foreign: false,
    compareRanges: 0,
    ...given,
  });
  const close = async (): Promise<void> => {
    for (const end of ends) end();
    await target.close();
    await catalog.close();
  };
  return {
    dir,
    root,
    catalog,
    target,
    at: (path) => join(root, path),
    hello,
    async dial(epoch = 7n, from = 0, sequence = 0, history = []) {
      const pair = connectionPair();
      ends.push(() => {
        pair.cut();
      });
      const source = new HandSource(pair.source, epoch);
      const position = { epoch, sequence, checksum: '0000000000000000' };
      await target.accept(pair.target, hello({ epoch, position, history }));
      const answer = await source.next('hello');
      if (from !== null) source.plan(from);
      return { source, hello: answer };
    },
    reopen: async (given = {}, meanwhile) => {
      await close();
      await meanwhile?.();
      return openStage(dir, { ...more, ...given });
    },
    close: async () => {
      await close();
      if (more.covered === true) unprotect(root);
      rmSync(dir, { recursive: true, force: true });
    },
  };
}

export function newFolder(within = tmpdir()): string {
  return mkdtempSync(join(within, 'holdfast-target-'));
}
