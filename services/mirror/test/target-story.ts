import { createHash } from 'node:crypto';
import { lstatSync, readFileSync, readdirSync, readlinkSync } from 'node:fs';
import { join } from 'node:path';
import type { FileOperation } from '../src/transport/types.ts';
import type { Contents } from './target-fixture.ts';
import {
  big,
  fileOf,
  folder,
  folderOf,
  hardLink,
  link,
  move,
  patch,
  placed,
  put,
  removal,
  set,
} from './target-fixture.ts';

export interface StoryBatch {
  readonly operations: readonly FileOperation[];
  readonly contents?: readonly Contents[];
}

const piece = (stream: number, offset: number, size: number, letter: string): Contents => ({
  stream,
  pieces: [{ offset, contents: Buffer.alloc(size, letter) }],
  bytes: size,
});

/** Batches that do everything that a batch can do. Batch i leads to sequence i + 1. Made anew for each sender. */
export function story(): readonly StoryBatch[] {
  return [
    {
      operations: [
        folder('a'),
        put('a/one', 'one'),
        put('a/two', 'two'),
        folder('b'),
        big('b/large', 70_000, 1),
        link('b/link', 'large'),
        hardLink('b/three', 'a/one'),
        set('a', folderOf({ mtimeS: 1_500_000_000 })),
      ],
      contents: [piece(1, 0, 70_000, 'l')],
    },
    {
      // Two folders change places, a file goes from one to the other, and something new takes its name.
      operations: [
        move('b/large', 1),
        move('a', 2),
        move('b', 3),
        placed(2, 'b'),
        placed(3, 'a'),
        placed(1, 'b/large'),
        put('a/large', 'small now'),
        set('b', folderOf({ mode: 0o750, mtimeS: 1_500_000_001 })),
      ],
    },
    {
      operations: [removal('b/two'), removal('a'), put('a', 'a file'), patch('b/large', 65_000, 1)],
      contents: [piece(1, 8_192, 4_096, 'P')],
    },
    {
      // What was in the log only, and what was in the staging folder only, both move on.
      operations: [move('a', 1), move('b/large', 2), folder('c'), placed(1, 'c/was-a'), placed(2, 'a')],
    },
    {
      operations: [
        removal('c'),
        big('c', 66_000, 4),
        put('b/one', 'one again'),
        set('a', fileOf(65_000, { mode: 0o600 })),
      ],
      contents: [piece(4, 0, 66_000, 'c')],
    },
  ];
}

/** A first copy, of which only the last batch is consistent; each can be sent again. Batch i leads to sequence i + 1. */
export function copyStory(): readonly StoryBatch[] {
  return [
    {
      operations: [
        folder('a'),
        put('a/one', 'one', { mode: 0o4755 }),
        big('a/large', 70_000, 1, 'v1'),
        link('a/link', 'large'),
        set('a', folderOf({ mtimeS: 1_500_000_000 })),
      ],
      contents: [piece(1, 0, 70_000, 'l')],
    },
    {
      operations: [
        put('b', 'a file'),
        put('a/two', 'two'),
        hardLink('a/three', 'a/one'),
        set('a', folderOf()),
      ],
    },
    {
      operations: [
        removal('b'),
        put('a/two', 'two again'),
        folder('b'),
        put('b/one', 'one'),
        patch('a/large', 65_000, 3),
      ],
      contents: [piece(3, 8_192, 4_096, 'P')],
    },
    {
      operations: [move('b', 1), placed(1, 'c'), put('c/last', 'last')],
    },
  ];
}

/** Everything that a mirror keeps of a tree, as text. */
export function snapshot(root: string): string {
  const lines: string[] = [];
  const links = new Map<number, string>();
  const walk = (path: string): void => {
    for (const name of readdirSync(join(root, path)).sort()) {
      if (name.startsWith('.holdfast-')) continue;
      const inner = join(path, name);
      const full = join(root, inner);
      const stat = lstatSync(full, { bigint: true });
      const first = links.get(Number(stat.ino)) ?? inner;
      links.set(Number(stat.ino), first);
      const what = stat.isSymbolicLink()
        ? readlinkSync(full)
        : stat.isFile()
          ? createHash('sha256').update(readFileSync(full)).digest('hex').slice(0, 16)
          : '-';
      // Times of folders are the source's to tell, with the last operation of a batch.
      const time = stat.isDirectory() ? '' : String(stat.mtimeNs);
      lines.push(`${inner} ${stat.mode.toString(8)} ${time} ${what} ${stat.isDirectory() ? '' : first}`);
      if (stat.isDirectory()) walk(inner);
    }
  };
  walk('');
  return lines.join('\n');
}
