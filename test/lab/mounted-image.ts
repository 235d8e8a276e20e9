/**
 * A file system of its own for labs and benchmarks: ext4 on a loop device, in an image whose name is gone once it is mounted, so
 * that nothing of it is left when nobody uses it any more.
 */
import { execFileSync } from 'node:child_process';
import { closeSync, ftruncateSync, openSync, rmSync } from 'node:fs';

const limitMs = 60_000;

export interface Image {
  /** Not there yet. */
  readonly path: string;
  readonly bytes: number;
  /** Its room is taken at once, and what is written passes by the machine's cache: a disk. Otherwise it grows: memory. */
  readonly isDisk: boolean;
  /** Of mkfs.ext4(8). */
  readonly make: readonly string[];
  /** Of mount(8); empty: none. */
  readonly mount: string;
}

/** `place`: a folder. Throws where that can't be. */
export function mountImage(place: string, { path, bytes, isDisk, make, mount }: Image): void {
  try {
    if (isDisk) run('fallocate', '--length', String(bytes), path);
    else makeSparse(path, bytes);
    run('mkfs.ext4', '-q', '-F', '-m', '0', ...make, path);
    const loop = ['--find', '--show', ...(isDisk ? ['--direct-io=on'] : []), path];
    const device = run('losetup', ...loop).trim();
    try {
      run('mount', ...(mount === '' ? [] : ['-o', mount]), device, place);
    } finally {
      // From now on it goes when nobody uses it any more.
      run('losetup', '--detach', device);
    }
  } finally {
    // It lives on for as long as it is mounted.
    rmSync(path, { force: true });
  }
}

/** Whoever still has files open there keeps it. */
export function unmount(place: string): void {
  run('umount', '--lazy', place);
}

function makeSparse(path: string, bytes: number): void {
  const file = openSync(path, 'wx', 0o600);
  ftruncateSync(file, bytes);
  closeSync(file);
}

function run(program: string, ...argv: readonly string[]): string {
  return execFileSync(program, argv, {
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'pipe'],
    timeout: limitMs,
  });
}
