import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { compiled } from './compiled.ts';

let dir: string;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'holdfast-mount-'));
  mkdirSync(join(dir, 'root/sub'), { recursive: true });
});
afterEach(() => {
  rmSync(dir, { recursive: true, force: true });
});

/** Runs in a mount namespace of its own, that takes its mounts with it, and tells what went wrong. */
function within(script: string): string {
  const url = compiled(dir, 'os/tree', 'os/read-only');
  const program = `
    import assert from 'node:assert';
    import { execFileSync } from 'node:child_process';
    import { closeSync, openSync, readFileSync, writeFileSync } from 'node:fs';
    import { Tree } from '${url}/os/tree.js';
    import { protect, unprotect } from '${url}/os/read-only.js';
    const root = process.cwd() + '/root';
    const mounted = () => readFileSync('/proc/self/mountinfo', 'utf8').split('\\n').filter((line) => line.includes(process.cwd())).length;
    const write = (tree, name) => closeSync(tree.createFile(Buffer.from(name), 0o600));
    const code = (call) => { try { call(); return 'done'; } catch (error) { return error.code; } };
    ${script}`;
  const args = ['-m', process.execPath, '--input-type=module', '-e', program];
  const { status, stderr } = spawnSync('unshare', args, { cwd: dir, encoding: 'utf8', timeout: 20_000 });
  return status === 0 ? 'done' : stderr;
}

describe('a protected root', () => {
  it('is written by who opened it before and by nobody else, until it is let go', () => {
    const script = `
      const tree = Tree.open(root);
      assert.deepEqual(protect(root), { kind: 'read-only', says: '' });
      assert.equal(code(() => writeFileSync(root + '/theirs', 'x')), 'EROFS');
      write(tree, 'ours');
      writeFileSync(tree.reached + '/by its descriptor', 'x');
      assert.equal(readFileSync(root + '/ours', 'utf8'), '');
      assert.equal(mounted(), 1);
      unprotect(root);
      assert.equal(mounted(), 0);
      writeFileSync(root + '/theirs', 'x');
      write(tree, 'sub/still ours');
      unprotect(root);`;
    expect(within(script)).toBe('done');
  });

  it('is so for everybody who shares its mounts', () => {
    const script = `
      execFileSync('mount', ['--make-rshared', '/']);
      const tree = Tree.open(root);
      assert.equal(protect(root).kind, 'read-only');
      write(tree, 'ours');
      assert.equal(mounted(), 1);
      unprotect(root);
      assert.equal(mounted(), 0);`;
    expect(within(script)).toBe('done');
  });

  it('stays so when it is protected again', () => {
    const script = `
      for (let n = 0; n < 3; n += 1) assert.equal(protect(root).kind, 'read-only');
      assert.equal(mounted(), 1);
      execFileSync('umount', [root]);
      assert.equal(protect(root).kind, 'read-only');
      assert.equal(mounted(), 1);
      assert.equal(code(() => writeFileSync(root + '/theirs', 'x')), 'EROFS');`;
    expect(within(script)).toBe('done');
  });

  it('lets what is beside it be renamed into it by who opened both before', () => {
    const script = `
      execFileSync('mount', ['--make-rshared', '/']);
      const [tree, beside] = [Tree.open(root), Tree.open(process.cwd())];
      protect(root);
      write(beside, 'staged');
      beside.rename(Buffer.from('staged'), Buffer.from('placed'), { toTree: tree });
      assert.equal(readFileSync(root + '/placed', 'utf8'), '');`;
    expect(within(script)).toBe('done');
  });

  it('may be a file system of its own, and keeps its flags', () => {
    const script = `
      execFileSync('mount', ['-t', 'tmpfs', '-o', 'nosuid,noexec', 'none', root]);
      const tree = Tree.open(root);
      assert.equal(protect(root).kind, 'read-only');
      assert.match(readFileSync('/proc/self/mountinfo', 'utf8').split('\\n').findLast((line) => line.includes(root)), / ro,nosuid,noexec/);
      write(tree, 'ours');
      assert.equal(readFileSync(root + '/ours', 'utf8'), '');
      unprotect(root);
      assert.equal(mounted(), 1);`;
    expect(within(script)).toBe('done');
  });
});

describe('an unprotected root', () => {
  it('is said to be so where mounting is not permitted', () => {
    const script = `
      execFileSync('chown', ['-R', '65534', process.cwd()]);
      process.setuid(65534);
      assert.deepEqual(protect(root), { kind: 'unprotected', says: 'mounting needs CAP_SYS_ADMIN' });
      unprotect(root);
      writeFileSync(root + '/theirs', 'x');`;
    expect(within(script)).toBe('done');
  });

  it('is one with another file system beneath, that a cover would hide', () => {
    const script = `
      execFileSync('mount', ['-t', 'tmpfs', 'none', root + '/sub']);
      const { kind, says } = protect(root);
      assert.deepEqual([kind, says], ['unprotected', 'another file system is mounted beneath it, at ' + root + '/sub']);
      assert.equal(mounted(), 1);`;
    expect(within(script)).toBe('done');
  });
});
