/** A file system in a file, mounted for a test. */

import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** The smallest that mkfs.xfs(8) makes. */
const sizeBytes = 320 * 1024 ** 2;
const make = {
  xfs: ['mkfs.xfs', '-q', '-m', 'reflink=1'],
  btrfs: ['mkfs.btrfs', '-q'],
  ext4: ['mkfs.ext4', '-q'],
} as const;

export type FileSystem = keyof typeof make;

export class ImageDisk {
  readonly path: string;
  readonly #folder = mkdtempSync(join(tmpdir(), 'holdfast-image-disk-'));

  constructor(kind: FileSystem) {
    const image = join(this.#folder, 'image');
    this.path = join(this.#folder, 'mounted');
    mkdirSync(this.path);
    writeFileSync(image, '');
    truncateSync(image, sizeBytes);
    const [program, ...options] = make[kind];
    const env = { ...process.env, PATH: `${process.env['PATH'] ?? ''}:/usr/sbin:/sbin` };
    execFileSync(program, [...options, image], { env, stdio: 'pipe' });
    execFileSync('mount', ['-o', 'loop', image, this.path]);
  }

  close(): void {
    execFileSync('umount', ['--lazy', this.path]);
    rmSync(this.#folder, { recursive: true, force: true });
  }
}
