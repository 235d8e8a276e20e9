/** Looks at one path after another beneath a root, and leaves the folder of the last one open meanwhile. */
import { inParent, openBeneath } from './beneath.ts';
import { O_DIRECTORY, O_PATH, libc } from './libc.ts';
import { statIn } from './stat.ts';
import type { Stat } from './types.ts';

const slash = 0x2f;

export class NearFolder {
  readonly #root: number;
  #open: { readonly path: Buffer; readonly fd: number } | null = null;

  constructor(root: number) {
    this.#root = root;
  }

  /** Null: not there. Throws OsError, also where a folder of the path is none. */
  stat(path: Buffer): Stat | null {
    const cut = path.lastIndexOf(slash);
    const folder = cut < 0 ? null : this.#folder(path.subarray(0, cut));
    return inParent(this.#root, path, 'stat', (fd, name) => statIn(fd, name, path), { folder });
  }

  close(): void {
    if (this.#open !== null) libc.close(this.#open.fd);
    this.#open = null;
  }

  #folder(path: Buffer): number {
    if (this.#open?.path.equals(path) === true) return this.#open.fd;
    this.close();
    const fd = openBeneath(this.#root, path, O_PATH | O_DIRECTORY, 0, 'stat');
    this.#open = { path: Buffer.from(path), fd };
    return fd;
  }
}
