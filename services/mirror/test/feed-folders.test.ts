/** Which folder a handle means, while others make and remove folders. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, rmSync, rmdirSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Folders, handleOf } from '../src/feed/folders.ts';

const asRoot = process.getuid?.() === 0 ? it : it.skip;
const racingMs = 4_000;

asRoot(
  'a folder is gone, also while its number is being given to a new one',
  async () => {
    const root = mkdtempSync(join(tmpdir(), 'holdfast-folders-'));
    const folders = new Folders(root, []);
    try {
      const folder = join(root, 'again');
      mkdirSync(folder);
      const handle = Buffer.from(handleOf(folder));
      rmdirSync(folder);
      const others = spawn(process.execPath, [
        '-e',
        `const { mkdirSync, rmdirSync } = require('fs');
       for (const end = Date.now() + ${String(racingMs)}; Date.now() < end;) {
         mkdirSync(process.argv[1]);
         rmdirSync(process.argv[1]);
       }`,
        folder,
      ]);
      const ended = once(others, 'exit');
      // The race is met about once a second.
      for (const end = performance.now() + racingMs; performance.now() < end;)
        expect(folders.find(handle)).toBeNull();
      expect(await ended).toEqual([0, null]);
    } finally {
      folders.close();
      rmSync(root, { recursive: true, force: true });
    }
  },
  30_000,
);
