import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Tree } from '../src/os/tree.ts';
import { OsError } from '../src/os/types.ts';

export const path = (text: string): Buffer => Buffer.from(text);

/** A folder of its own, and a tree on the folder `root` in it; what is beside `root` is outside. */
export interface Place {
  readonly dir: string;
  readonly root: string;
  readonly tree: Tree;
  at(text: string): string;
  close(): void;
}

export function place(): Place {
  const dir = mkdtempSync(join(tmpdir(), 'holdfast-os-'));
  const root = join(dir, 'root');
  const outer = Tree.open(dir);
  outer.makeFolder(path('root'), 0o755);
  outer.close();
  const tree = Tree.open(root);
  return {
    dir,
    root,
    tree,
    at: (text) => join(root, text),
    close() {
      tree.close();
      rmSync(dir, { recursive: true, force: true });
    },
  };
}

/** The code of the refusal, or 'done'. */
export function code(call: () => unknown): string {
  try {
    call();
    return 'done';
  } catch (error) {
    if (error instanceof OsError) return error.code;
    throw error;
  }
}
