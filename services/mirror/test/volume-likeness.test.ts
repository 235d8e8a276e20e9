/** By what a store is told from another one. */
import { randomBytes } from 'node:crypto';
import {
  copyFileSync,
  mkdirSync,
  mkdtempSync,
  rmSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { FileStore } from '../src/volumes/store/file-store.ts';
import { likenessOf, strangerSays, type Likeness } from '../src/volumes/store/likeness.ts';
import { deviceName } from '../src/volumes/store/store-name.ts';
import type { Store } from '../src/volumes/store/store.ts';
import { PowerCutDisk } from './power-cut-disk.ts';

const sizeBytes = 1_048_576;

function storeOf(contents: Buffer): Store {
  const disk = new PowerCutDisk();
  disk.format('volume', contents.length);
  const store = disk.open('volume');
  store.write(contents, 0);
  return store;
}

describe('a store is', () => {
  const contents = randomBytes(sizeBytes);
  const noted = (name: string): Likeness => likenessOf(storeOf(contents), sizeBytes, name);
  const other = storeOf(randomBytes(sizeBytes));
  const blank = storeOf(Buffer.alloc(sizeBytes));
  const partly = Buffer.concat([randomBytes(sizeBytes - 65_536), contents.subarray(-65_536)]);

  it.each([
    ['the same by its name, whatever it holds', noted('x'), other, 'x', /^$/],
    ['another by its name, whatever it holds', noted('x'), storeOf(contents), 'y', /it is y, and was x/],
    ['another when it was emptied', noted('x'), blank, 'x', /every one is empty/],
    ['the same without a name while something is as it was', noted(''), storeOf(partly), '', /^$/],
    ['another without a name when nothing is as it was', noted(''), other, '', /none is as it was/],
    ['another without a name when it is empty', noted(''), blank, '', /none is as it was/],
    [
      'another when it is smaller and empty',
      noted(''),
      storeOf(Buffer.alloc(4_096)),
      '',
      /none is as it was/,
    ],
    ['the same when it has a name only now', noted(''), storeOf(contents), 'x', /^$/],
  ] as const)('%s', (_what, likeness, store, name, says) => {
    expect(strangerSays(likeness, store, name)).toMatch(says);
  });

  it('not judged by a block or two, or by zeros', () => {
    const few = Buffer.alloc(sizeBytes);
    few.fill(1, 0, 8_192);
    const likeness = likenessOf(storeOf(few), sizeBytes, '');
    expect(likeness.blocks).toHaveLength(2);
    expect(strangerSays(likeness, other, '')).toBe('');
  });
});

describe('in the words of the system', () => {
  let folder: string;
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'holdfast-likeness-'));
  });
  afterEach(() => rmSync(folder, { recursive: true, force: true }));

  const nameOf = (file: string): string => {
    const store = FileStore.open(file, false);
    try {
      return store.name;
    } finally {
      store.close();
    }
  };

  it('an image keeps its name while it is written to and grows, and its copy has another one', async () => {
    const file = join(folder, 'image');
    writeFileSync(file, 'one');
    await new Promise((next) => setTimeout(next, 20));
    truncateSync(file, 8_192);
    const name = nameOf(file);
    writeFileSync(file, 'another');
    truncateSync(file, 65_536);
    expect(nameOf(file)).toBe(name);
    copyFileSync(file, `${file}.copy`);
    truncateSync(`${file}.copy`, 4_096);
    expect(nameOf(`${file}.copy`)).not.toBe(name === '' ? null : name);
  });

  /** A device as sysfs tells of it. */
  function device(number: string, path: string, files: Readonly<Record<string, string>>): void {
    const real = join(folder, 'sys/devices', path);
    mkdirSync(join(folder, 'sys/dev/block'), { recursive: true });
    for (const [name, text] of Object.entries(files)) {
      mkdirSync(join(real, name, '..'), { recursive: true });
      writeFileSync(join(real, name), text);
    }
    symlinkSync(real, join(folder, 'sys/dev/block', number));
  }

  it('a device is what its driver calls it for good, and has no name where that is nothing', () => {
    const folders = { sys: join(folder, 'sys'), dev: join(folder, 'dev') };
    device('253:0', 'virtual/dm-0', { 'dm/uuid': 'LVM-abc\n' });
    device('253:1', 'virtual/dm-1', { 'dm/uuid': '\n' });
    device('259:0', 'nvme0n1', { wwid: 'eui.0025\n' });
    device('8:0', 'sda', { 'device/wwid': 't10.ATA x\n' });
    device('8:1', 'sda/sda1', { partition: '1\n' });
    device('8:2', 'sda/sda2', { partition: '2\n' });
    device('252:0', 'vda', { serial: '' });
    mkdirSync(join(folder, 'dev/disk/by-partuuid'), { recursive: true });
    writeFileSync(join(folder, 'dev/sda1'), '');
    symlinkSync('../../sda1', join(folder, 'dev/disk/by-partuuid/0a-01'));
    const names = [
      ...[[253, 0] as const, [253, 1] as const, [259, 0] as const],
      ...[[8, 0] as const, [8, 1] as const, [8, 2] as const, [252, 0] as const, [7, 7] as const],
    ].map(([major, minor]) => deviceName(major, minor, folders));
    expect(names).toEqual([
      ...['dm LVM-abc', '', 'device eui.0025', 'device t10.ATA x', 'partition 0a-01', '', '', ''],
    ]);
  });
});
