/** What travels when a copy is brought into step, with images on a real file system: what differs, and nothing else. */
import { randomBytes } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Connection, Dialed } from '../src/transport/types.ts';
import { KeptBlocks } from '../src/volumes/divergence/kept-blocks.ts';
import { VolumeGround } from '../src/volumes/ground.ts';
import { VolumeSource } from '../src/volumes/source/volume-source.ts';
import { FileStore, FolderDisk } from '../src/volumes/store/file-store.ts';
import { VolumeTarget } from '../src/volumes/target/volume-target.ts';
import { connectionPair } from './connection-pair.ts';
import { until } from './volume-hosts.ts';

const sizeBytes = 8_388_608;
const chunkBytes = 65_536;
const blockBytes = 4_096;

let folder: string;
let anna: Member;
let bert: Member;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'holdfast-lines-'));
  anna = new Member('anna');
  bert = new Member('bert');
});
afterEach(async () => {
  await anna.close();
  await bert.close();
  rmSync(folder, { recursive: true, force: true });
});

class Member {
  readonly name: string;
  readonly image: string;
  source: VolumeSource | null = null;
  target: VolumeTarget | null = null;
  /** Of the source, to its target. */
  #line: Connection | null = null;

  constructor(name: string) {
    this.name = name;
    this.image = join(folder, `${name}.image`);
  }

  async #place(): Promise<{ readonly store: FileStore; readonly disk: FolderDisk; ground: VolumeGround }> {
    const store = FileStore.open(this.image, true);
    if (store.sizeBytes < sizeBytes) store.resize(sizeBytes);
    const disk = new FolderDisk(join(folder, this.name));
    return { store, disk, ground: await VolumeGround.open(disk, store, sizeBytes, chunkBytes) };
  }

  async openTarget(): Promise<void> {
    const { store, disk, ground } = await this.#place();
    this.target = await VolumeTarget.open({
      ...{ name: 'd3/disk', cluster: 'acme', self: this.name, store, ground, undoBytesMax: 1 << 30 },
      ordered: () => ({ epoch: 1_000n }),
      kept: new KeptBlocks(disk, 1 << 30),
      nowMs: Date.now,
      says: () => undefined,
    });
  }

  async openSource(epoch: bigint, to: Member): Promise<void> {
    const { store, ground } = await this.#place();
    this.source = await VolumeSource.open(store, ground, {
      ...{
        name: 'd3/disk',
        cluster: 'acme',
        self: this.name,
        epoch,
        mode: 'async',
        onTargetLoss: 'continue',
      },
      ...{ targetLossMs: 0, grantUntilMs: Infinity, nowMs: () => 0, wakeExport: () => undefined },
      targets: [{ member: to.name, paused: null, dial: () => Promise.resolve(this.#dial(to)) }],
      says: () => undefined,
    });
  }

  #dial(to: Member): Dialed {
    const { target } = to;
    if (target === null)
      return { kind: 'failed', failure: { kind: 'refused', says: `${to.name} does not answer` } };
    const line = connectionPair({ source: this.name, target: to.name, chunkBytes: 65_536 });
    line.target.onFrame((frame) => {
      if (frame.kind !== 'hello') return;
      line.target.hold();
      void target.accept(line.target, frame);
    });
    this.#line = line.source;
    return { kind: 'connected', connection: line.source };
  }

  /** Contents of blocks that were sent on the connection that is there now. */
  get sentBytes(): number {
    return this.#line?.counters().sentContentBytes ?? 0;
  }

  async close(): Promise<void> {
    await this.source?.close();
    await this.target?.close();
  }
}

const inStep = (): Promise<void> =>
  until('they are in step', () => anna.source?.rows()[0]?.state === 'replicating');

/** Room that it really takes. */
const allocated = ({ image }: Member): number => statSync(image).blocks * 512;
const isLike = (): boolean => readFileSync(anna.image).equals(readFileSync(bert.image));

/** Two pieces of data within nothing. */
function sparse(): Buffer {
  const contents = Buffer.alloc(sizeBytes);
  randomBytes(3 * blockBytes).copy(contents, 1_000_000);
  randomBytes(100).copy(contents, sizeBytes - 100);
  return contents;
}

function writeSparse(image: string, contents: Buffer): void {
  const store = FileStore.open(image, true);
  store.resize(contents.length);
  for (let at = 0; at < contents.length; at += blockBytes) {
    const block = contents.subarray(at, at + blockBytes);
    if (!block.equals(Buffer.alloc(blockBytes))) store.write(block, at);
  }
  store.close();
}

it('an initial copy has the holes of its source, and sends only what is in it', async () => {
  writeSparse(anna.image, sparse());
  await bert.openTarget();
  await anna.openSource(1n, bert);
  await inStep();
  expect(isLike()).toBe(true);
  expect(anna.sentBytes).toBeLessThanOrEqual(5 * blockBytes);
  expect(allocated(bert)).toBeLessThanOrEqual(allocated(anna) + chunkBytes);
});

it('a copy that was brought by hand gets what differs, holes as well', async () => {
  const contents = randomBytes(sizeBytes);
  contents.fill(0, 2_097_152, 4_194_304);
  writeSparse(anna.image, contents);
  const brought = Buffer.from(contents);
  randomBytes(10).copy(brought, 5_000_000);
  randomBytes(1_048_576).copy(brought, 2_097_152);
  writeFileSync(bert.image, brought);
  await bert.openTarget();
  await anna.openSource(1n, bert);
  await inStep();
  expect(isLike()).toBe(true);
  expect(anna.sentBytes).toBe(blockBytes);
  expect(allocated(bert)).toBeLessThan(sizeBytes - 1_000_000);
});
