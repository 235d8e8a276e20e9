/** The way back of an image on file systems with reflinks, and on one without. */
import { randomBytes } from 'node:crypto';
import {
  closeSync,
  existsSync,
  openSync,
  readdirSync,
  readFileSync,
  readSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { KeptBlocks } from '../src/volumes/divergence/kept-blocks.ts';
import { VolumeGround } from '../src/volumes/ground.ts';
import { FileStore, FolderDisk } from '../src/volumes/store/file-store.ts';
import { ImageSnapshot } from '../src/volumes/store/image-snapshot.ts';
import { isNoRoom } from '../src/volumes/store/store.ts';
import { settleWayBack } from '../src/volumes/target/found-way-back.ts';
import { Overwriting } from '../src/volumes/target/overwriting.ts';
import { ImageDisk, type FileSystem } from './image-disk.ts';

const mib = 1_048_576;
const sizeBytes = 12 * mib;
const holeAt = 8 * mib;

let disk: ImageDisk;
let image: string;
let before: Buffer;
let said: string[];
afterEach(() => disk.close());

function begin(kind: FileSystem): void {
  disk = new ImageDisk(kind);
  image = join(disk.path, 'disk.img');
  before = Buffer.concat([randomBytes(holeAt), Buffer.alloc(sizeBytes - holeAt)]);
  writeFileSync(image, before.subarray(0, holeAt));
  said = [];
}

/** A life of its target. */
async function opened() {
  const store = FileStore.open(image, false);
  store.resize(before.length);
  await store.sync();
  const folder = new FolderDisk(join(disk.path, 'records'));
  const ground = await VolumeGround.open(folder, store, before.length, 65_536);
  if (ground.record.history.length === 0)
    await ground.save({ consistent: true, history: [{ epoch: 1n, sequence: 7 }] });
  const snapshots = ImageSnapshot.of(store, image);
  said.push(await settleWayBack(ground, snapshots));
  const says = (sentence: string): unknown => said.push(sentence);
  const ports = { ground, store, snapshots, undoBytesMax: () => Infinity, nowMs: () => 0, says };
  const overwriting = await Overwriting.open({ ...ports, kept: new KeptBlocks(folder, 1 << 30) });
  const close = (): void => {
    overwriting.close();
    ground.close();
    store.close();
  };
  return { store, ground, overwriting, close };
}

type Life = Awaited<ReturnType<typeof opened>>;

async function overwrite({ store, overwriting }: Life, offset: number, length: number): Promise<void> {
  expect(await overwriting.save([{ offset, length }])).toBe('');
  const contents = randomBytes(length);
  try {
    store.write(contents, offset);
  } catch (error) {
    if (!isNoRoom(error) || !(await overwriting.makeRoom())) throw error;
    store.write(contents, offset);
  }
}

/** Blocks of data, a single one, of the hole, and over the border of both. */
async function resync(life: Life): Promise<void> {
  await life.overwriting.begin(await life.ground.peer('anna'), 7);
  await overwrite(life, 0, 2 * mib);
  await overwrite(life, 5 * mib + 4_096, 4_096);
  await overwrite(life, 10 * mib, mib);
  await overwrite(life, holeAt - 8_192, 16_384);
  await life.store.sync();
}

const clones = (): string[] => readdirSync(disk.path).filter((name) => name.endsWith('.before-resync'));

describe.each([
  ['xfs', /is a snapshot of the image/],
  ['btrfs', /is a snapshot of the image/],
  ['ext4', /an undo log \(no snapshot of the image: .*ENOTSUP/],
] as const)('on %s', (kind, how) => {
  const hasSnapshots = kind !== 'ext4';

  it('an image goes back in its next life, for everybody who has it open', async () => {
    begin(kind);
    const reader = openSync(image, 'r');
    const life = await opened();
    await resync(life);
    expect(said.join('; ')).toMatch(how);
    expect(clones()).toHaveLength(hasSnapshots ? 1 : 0);
    expect(readFileSync(image).equals(before)).toBe(false);
    life.close();
    const next = await opened();
    expect(next.ground.record).toMatchObject({ consistent: true, undoTo: { epoch: 1n, sequence: 7 } });
    await next.overwriting.rollBack();
    const contents = Buffer.alloc(sizeBytes);
    readSync(reader, contents, 0, sizeBytes, 0);
    closeSync(reader);
    expect(contents.equals(before)).toBe(true);
    if (hasSnapshots) expect(next.store.segments(0, sizeBytes)).toEqual([{ offset: 0, length: holeAt }]);
    expect(clones()).toEqual([]);
    expect(next.ground.record.undoTo).toBeNull();
    next.close();
  });

  it('one that is in step keeps nothing of it', async () => {
    begin(kind);
    const life = await opened();
    await resync(life);
    await life.overwriting.finish({});
    expect(clones()).toEqual([]);
    expect(existsSync(join(disk.path, 'records', 'overwritten'))).toBe(false);
    life.close();
  });
});

it('what a process left that was killed while it made one is removed', async () => {
  begin('xfs');
  writeFileSync(join(disk.path, '.disk.img.before-resync'), 'half');
  const life = await opened();
  expect(clones()).toEqual([]);
  life.close();
});

it('a snapshot that is another file is not gone back by', async () => {
  begin('xfs');
  const life = await opened();
  await resync(life);
  life.close();
  const [clone = ''] = clones();
  unlinkSync(join(disk.path, clone));
  writeFileSync(join(disk.path, clone), randomBytes(sizeBytes));
  const next = await opened();
  expect(said.join('; ')).toMatch(/the snapshot of before the resync is gone/);
  expect(next.ground.record).toMatchObject({ consistent: false, undoTo: null });
  next.close();
});

it.each(['xfs', 'btrfs'] as const)('on %s a snapshot is given up where its room is needed', async (kind) => {
  begin(kind);
  // Of 320 MiB: not enough is left for all of it twice.
  before = Buffer.alloc(120 * mib, randomBytes(mib));
  writeFileSync(image, before);
  const life = await opened();
  await life.overwriting.begin(await life.ground.peer('anna'), 7);
  for (let at = 0; at < before.length; at += 8 * mib) await overwrite(life, at, 8 * mib);
  await life.store.sync();
  expect(said.join('; ')).toMatch(/a snapshot of the image; .*the way back is given up/);
  expect(life.ground.record).toMatchObject({ consistent: false, undoTo: null });
  expect(clones()).toEqual([]);
  life.close();
});
