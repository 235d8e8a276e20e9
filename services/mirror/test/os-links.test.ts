import { spawn } from 'node:child_process';
import {
  closeSync,
  existsSync,
  mkdirSync,
  readFileSync,
  readdirSync,
  statSync,
  symlinkSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { type Place, code, path, place } from './os-fixture.ts';

let here: Place;
beforeEach(() => {
  here = place();
});
afterEach(() => {
  here.close();
});

const write = (name: Buffer, text = 'contents'): void => {
  const fd = here.tree.createFile(name, 0o644);
  writeSync(fd, text);
  closeSync(fd);
};
describe('symbolic links', () => {
  it('are refused in every folder of a path', () => {
    mkdirSync(join(here.dir, 'outside/inner'), { recursive: true });
    writeFileSync(join(here.dir, 'outside/inner/file'), 'secret');
    mkdirSync(here.at('real/inner'), { recursive: true });
    symlinkSync('../outside', here.at('relative'));
    symlinkSync(join(here.dir, 'outside'), here.at('absolute'));
    symlinkSync('real', here.at('within'));
    symlinkSync('../../outside/inner', here.at('real/deep'));
    symlinkSync('/proc/self/cwd', here.at('magic'));
    write(path('mine'));
    for (const folder of ['relative/inner', 'absolute/inner', 'within/inner', 'real/deep', 'magic/x']) {
      const file = path(`${folder}/file`);
      const calls = [
        () => here.tree.readFolder(path(folder)),
        () => here.tree.openRead(file),
        () => here.tree.openWrite(file),
        () => here.tree.createFile(file, 0o644),
        () => {
          here.tree.makeFolder(file, 0o755);
        },
        () => {
          here.tree.rename(path('mine'), file);
        },
        () => {
          here.tree.hardLink(path('mine'), file);
        },
        () => {
          here.tree.hardLink(file, path('stolen'));
        },
        () => {
          here.tree.rename(file, path('stolen'));
        },
        () => {
          here.tree.remove(file);
        },
        () => here.tree.removeAll(file),
        () => {
          here.tree.setAttributes(file, { mode: 0 });
        },
        () => here.tree.extended(file),
      ];
      expect([folder, ...new Set(calls.map(code))]).toEqual([folder, 'ELOOP']);
      expect(here.tree.stat(file)).toBeNull();
    }
    expect(readFileSync(join(here.dir, 'outside/inner/file'), 'utf8')).toBe('secret');
    expect(statSync(join(here.dir, 'outside/inner/file')).mode & 0o777).toBe(0o644);
  });

  it('are never followed as the last name', () => {
    writeFileSync(join(here.dir, 'outside'), 'outside');
    here.tree.makeLink(path('link'), path('../outside'));
    expect(code(() => here.tree.openRead(path('link')))).toBe('ELOOP');
    expect(code(() => here.tree.openWrite(path('link')))).toBe('ELOOP');
    expect(code(() => here.tree.createFile(path('link'), 0o644))).toBe('EEXIST');
    here.tree.setAttributes(path('link'), { uid: 7, gid: 8, mode: 0o600, mtimeS: 5, mtimeNs: 6 });
    expect(here.tree.stat(path('link'))).toMatchObject({
      kind: 'link',
      uid: 7,
      gid: 8,
      mtimeS: 5,
      mtimeNs: 6,
    });
    here.tree.hardLink(path('link'), path('second'));
    expect(here.tree.stat(path('second'))?.kind).toBe('link');
    expect(here.tree.removeAll(path('link'))).toBe(true);
    const outside = statSync(join(here.dir, 'outside'));
    expect([outside.uid, outside.mode & 0o777, existsSync(join(here.dir, 'outside'))]).toEqual([
      0,
      0o644,
      true,
    ]);
  });

  it('that are swapped in while files are made lead nowhere', async () => {
    const outside = join(here.dir, 'outside');
    mkdirSync(outside);
    mkdirSync(here.at('a/b'), { recursive: true });
    // Another process swaps the folder a for a link to the outside, and back, as fast as it can.
    const script = `
      const { renameSync, symlinkSync, unlinkSync } = require('node:fs');
      symlinkSync(${JSON.stringify(outside)}, 'l');
      require('node:fs').mkdirSync(${JSON.stringify(join(outside, 'b'))});
      for (const until = Date.now() + 1500; Date.now() < until; ) {
        renameSync('a', 'kept'); renameSync('l', 'a'); renameSync('a', 'l'); renameSync('kept', 'a');
      }`;
    const swapping = spawn(process.execPath, ['-e', script], { cwd: here.root, stdio: 'inherit' });
    const ended = new Promise<number | null>((resolve) => swapping.once('exit', resolve));
    const swaps = { running: true };
    void ended.then(() => (swaps.running = false));
    const seen = new Map<string, number>();
    for (let n = 0; swaps.running; n += 1) {
      const file = path(`a/b/${String(n)}`);
      for (const call of [
        () => {
          closeSync(here.tree.createFile(file, 0o644));
        },
        () => {
          here.tree.rename(file, path(`a/b/moved${String(n)}`));
        },
        () => {
          here.tree.makeFolder(path(`a/b/folder${String(n)}`), 0o755);
        },
        () => {
          here.tree.remove(path(`a/b/folder${String(n)}`));
        },
      ]) {
        const result = code(call);
        seen.set(result, (seen.get(result) ?? 0) + 1);
      }
      if (n % 50 === 0) await new Promise((resolve) => setImmediate(resolve));
    }
    expect(await ended).toBe(0);
    expect(readdirSync(join(outside, 'b'))).toEqual([]);
    expect([...seen.keys()].filter((c) => !['done', 'ELOOP', 'ENOENT', 'ENOTDIR'].includes(c))).toEqual([]);
    expect(seen.get('done')).toBeGreaterThan(0);
    expect((seen.get('ELOOP') ?? 0) + (seen.get('ENOENT') ?? 0)).toBeGreaterThan(0);
  }, 20_000);
});
