/** The copy of a target for other uses, while nothing is sent to it. */
import { randomBytes } from 'node:crypto';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { OffHost } from '../src/process/off-host.ts';
import { outcome } from '../src/volumes/nbd/protocol.ts';
import { OverlayVolume } from '../src/volumes/overlay.ts';
import { FileStore, FolderDisk } from '../src/volumes/store/file-store.ts';
import type { VolumeRequest } from '../src/volumes/volume.ts';
import { connectionPair } from './connection-pair.ts';
import { PowerCutDisk } from './power-cut-disk.ts';
import { Chance } from './random-files.ts';
import { VolumeClient } from './volume-client.ts';
import { program } from './volume-export.ts';

const sizeBytes = 262_144;

const failed = (says: RegExp): object => ({
  ...{ kind: 'failed', as: 'failed' },
  says: expect.stringMatching(says) as string,
});

describe('a volume under an overlay', () => {
  const below = randomBytes(sizeBytes);
  const disk = new PowerCutDisk();
  disk.format('volume', sizeBytes);
  disk.open('volume').write(below, 0);
  const submit = (volume: OverlayVolume, request: VolumeRequest): number => {
    let came = -1;
    volume.submit(request, (told) => (came = told));
    return came;
  };
  const read = (volume: OverlayVolume, offset: number, length: number): Buffer => {
    const into = Buffer.alloc(length);
    expect(submit(volume, { kind: 'read', offset, into })).toBe(outcome.done);
    return into;
  };

  it('is what was below, with what was written over it, and leaves that as it is', () => {
    const volume = new OverlayVolume(disk.open('volume'), disk.open('own'), sizeBytes, sizeBytes);
    const model = Buffer.from(below);
    const chance = new Chance(7);
    for (let i = 0; i < 300; i += 1) {
      const length = 1 + chance.below(20_000);
      const offset = chance.below(sizeBytes - length);
      if (chance.below(3) === 0) {
        submit(volume, { kind: 'zero', offset, length, hole: true, durable: false });
        model.fill(0, offset, offset + length);
      } else if (chance.below(2) === 0) {
        const contents = randomBytes(length);
        submit(volume, { kind: 'write', offset, contents, durable: false });
        contents.copy(model, offset);
      } else expect(read(volume, offset, length).equals(model.subarray(offset, offset + length))).toBe(true);
    }
    expect(read(volume, 0, sizeBytes).equals(model)).toBe(true);
    const left = Buffer.alloc(sizeBytes);
    disk.open('volume').read(left, 0);
    expect(left.equals(below)).toBe(true);
  });

  it('has no more room than it was given', () => {
    const volume = new OverlayVolume(disk.open('volume'), disk.open('small'), sizeBytes, 8_192);
    const write = (offset: number): number =>
      submit(volume, { kind: 'write', offset, contents: Buffer.alloc(100), durable: false });
    expect([write(0), write(100), write(40_960), write(81_920)]).toEqual([
      ...[outcome.done, outcome.done, outcome.done, outcome.noSpace],
    ]);
    expect(read(volume, 81_920, 100).equals(below.subarray(81_920, 82_020))).toBe(true);
  });
});

describe('the copy of a target that is paused', () => {
  let folder: string;
  let contents: Buffer;
  let store: FileStore;
  let offHost: OffHost;
  let why = '';
  const run = { mirror: 'd3/disk', target: '', repair: false, path: '', to: '' };
  const open = (writable: boolean) => offHost.run({ ...run, kind: 'open', writable });

  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'holdfast-off-host-'));
    contents = randomBytes(sizeBytes);
    writeFileSync(join(folder, 'image'), contents);
    store = FileStore.open(join(folder, 'image'), false);
    why = '';
    offHost = new OffHost({
      ...{ mirror: 'd3/disk', self: 'b', store, sizeBytes, overlayBytesMax: () => sizeBytes },
      disk: new FolderDisk(join(folder, 'records')),
      socketPath: join(folder, 'nbd.sock'),
      atRest: () => Promise.resolve(why),
      says: () => undefined,
    });
  });
  afterEach(async () => {
    await offHost.close();
    store.close();
    rmSync(folder, { recursive: true, force: true });
  });

  async function client(): Promise<VolumeClient> {
    const opened = await VolumeClient.open(join(folder, 'nbd.sock'), 'disk');
    if (opened === null) throw new Error('it is not exported');
    return opened;
  }

  it('can be read, and not written', async () => {
    const opened = await open(false);
    expect(opened).toEqual({ kind: 'done', says: `nbd+unix:///disk?socket=${join(folder, 'nbd.sock')}` });
    await program('nbdcopy', opened.kind === 'done' ? opened.says : '', join(folder, 'read'));
    expect(readFileSync(join(folder, 'read')).equals(contents)).toBe(true);
    const writer = await client();
    expect(await writer.write(0, Buffer.alloc(512), false)).toBe(outcome.notPermitted);
    writer.close();
    expect(await open(true)).toEqual(failed(/is open on b already/));
    expect(await offHost.run({ ...run, kind: 'close' })).toMatchObject({ kind: 'done' });
    expect(existsSync(join(folder, 'nbd.sock'))).toBe(false);
  });

  it('can be written under an overlay, of which nothing is left', async () => {
    await open(true);
    const writer = await client();
    expect(await writer.write(0, Buffer.alloc(4_096), true)).toBe(outcome.done);
    writer.close();
    await offHost.close();
    expect(readFileSync(join(folder, 'image')).equals(contents)).toBe(true);
    expect(existsSync(join(folder, 'records', 'overlay'))).toBe(false);
  });

  it('is its source again when that comes', async () => {
    await open(true);
    const writer = await client();
    const line = connectionPair({ source: 'a', target: 'b' });
    const arrived = offHost.arrived(line.target);
    await new Promise((next) => setImmediate(next));
    expect(await writer.write(0, Buffer.alloc(512), false)).toBe(outcome.shutdown);
    writer.close();
    await arrived;
    expect(existsSync(join(folder, 'nbd.sock'))).toBe(false);
    expect(await open(false)).toEqual(failed(/is connected; pause it/));
    line.cut();
    why = 'the copy is not complete';
    expect(await open(false)).toEqual(failed(/not complete/));
    why = '';
    expect(await open(false)).toMatchObject({ kind: 'done' });
  });
});
