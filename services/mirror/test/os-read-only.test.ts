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
  const url = compiled(dir);
  const program = `
    import assert from 'node:assert';
    import { execFileSync } from 'node:child_process';
    import { closeSync, openSync, readFileSync, writeFileSync } from 'node:fs';
    import { Tree } from '${url}/os/tree.js';
    import { protect, unprotect } from '${url}/os/read-only.js';
    const root = process.cwd() + '/root';
    const own = process.cwd() + '/own';
    const mounted = () => readFileSync('/proc/self/mountinfo', 'utf8').split('\\n').filter((line) => line.includes(process.cwd())).length;
    const write = (tree, name) => closeSync(tree.createFile(Buffer.from(name), 0o600));
    const code = (call) => { try { call(); return 'done'; } catch (error) { return error.code; } };
    ${script}`;
  const args = ['-m', process.execPath, '--input-type=module', '-e', program];
  const { status, stderr } = spawnSync('unshare', args, { cwd: dir, encoding: 'utf8', timeout: 20_000 });
  return status === 0 ? 'done' : stderr;
}

describe('a protected root', () => {
  it('is written by the mirror and by nobody else, until it is let go', () => {
    const script = `
      assert.deepEqual(protect(root, own, 'root'), { kind: 'read-only', says: '', writable: own, holder: null });
      assert.equal(code(() => writeFileSync(root + '/theirs', 'x')), 'EROFS');
      const tree = Tree.open(own);
      write(tree, 'ours');
      assert.equal(readFileSync(root + '/ours', 'utf8'), '');
      assert.equal(mounted(), 2);
      unprotect(root, own);
      assert.equal(mounted(), 0);
      writeFileSync(root + '/theirs', 'x');
      write(tree, 'sub/still ours');
      unprotect(root, own);`;
    expect(within(script)).toBe('done');
  });

  it('is so for everybody who shares its mounts, and not for the private one', () => {
    const script = `
      execFileSync('mount', ['--make-rshared', '/']);
      assert.equal(protect(root, own, 'root').kind, 'read-only');
      write(Tree.open(own), 'ours');
      assert.equal(mounted(), 2);
      unprotect(root, own);
      assert.equal(mounted(), 0);`;
    expect(within(script)).toBe('done');
  });

  it('stays so when it is protected again, also after half of it was taken away', () => {
    const script = `
      for (let n = 0; n < 3; n += 1) assert.equal(protect(root, own, 'root').kind, 'read-only');
      assert.equal(mounted(), 2);
      execFileSync('umount', [own]);
      assert.equal(protect(root, own, 'root').kind, 'read-only');
      write(Tree.open(own), 'one');
      execFileSync('umount', [root]);
      assert.equal(protect(root, own, 'root').kind, 'read-only');
      write(Tree.open(own), 'two');
      assert.equal(mounted(), 2);
      assert.equal(code(() => writeFileSync(root + '/theirs', 'x')), 'EROFS');`;
    expect(within(script)).toBe('done');
  });

  it('may be a file system of its own, and keeps its flags', () => {
    const script = `
      execFileSync('mount', ['-t', 'tmpfs', '-o', 'nosuid,noexec', 'none', root]);
      assert.equal(protect(root, own, 'root').kind, 'read-only');
      assert.match(readFileSync('/proc/self/mountinfo', 'utf8').split('\\n').findLast((line) => line.includes(root)), / ro,nosuid,noexec/);
      write(Tree.open(own), 'ours');
      assert.equal(readFileSync(root + '/ours', 'utf8'), '');
      unprotect(root, own);
      assert.equal(mounted(), 1);
      // Another one in its place: what is private has to follow.
      assert.equal(protect(root, own, 'root').kind, 'read-only');
      execFileSync('umount', [root]);
      execFileSync('umount', [root]);
      assert.equal(protect(root, own, 'root').kind, 'read-only');
      write(Tree.open(own), 'beneath');
      execFileSync('umount', [root]);
      assert.equal(readFileSync(root + '/beneath', 'utf8'), '');`;
    expect(within(script)).toBe('done');
  });
});

describe('a private mount of the folder that holds the root', () => {
  const rename = `
    const renamed = ({ writable, holder }) => {
      const [tree, beside] = [Tree.open(writable), Tree.open(holder)];
      write(beside, 'staged');
      beside.rename(Buffer.from('staged'), Buffer.from('placed'), { toTree: tree });
      tree.close();
      beside.close();
    };`;

  it('lets what is beside the root be renamed into it, also after a change from the other way', () => {
    const script = `${rename}
      execFileSync('mount', ['--make-rshared', '/']);
      protect(root, own, 'root');
      for (let n = 0; n < 2; n += 1) {
        const answer = protect(root, own, 'parent');
        assert.deepEqual(answer, { kind: 'read-only', says: '', writable: own + '/root', holder: own });
        assert.equal(mounted(), 2);
        renamed(answer);
      }
      assert.equal(code(() => writeFileSync(root + '/theirs', 'x')), 'EROFS');
      writeFileSync(process.cwd() + '/beside', 'x');
      assert.equal(protect(root, own, 'root').writable, own);
      unprotect(root, own);
      assert.equal(mounted(), 0);
      assert.equal(readFileSync(root + '/placed', 'utf8'), '');
      writeFileSync(root + '/theirs', 'x');`;
    expect(within(script)).toBe('done');
  });

  it('shows one file system, and serves two roots in one folder', () => {
    const script = `${rename}
      const [second, other, third] = ['second', 'other', 'third'].map((name) => process.cwd() + '/' + name);
      for (const folder of [second, third]) execFileSync('mkdir', [folder]);
      execFileSync('mount', ['-t', 'tmpfs', 'none', third]);
      writeFileSync(third + '/hidden', 'x');
      renamed(protect(root, own, 'parent'));
      renamed(protect(second, other, 'parent'));
      assert.equal(code(() => readFileSync(own + '/third/hidden')), 'ENOENT');
      unprotect(root, own);
      renamed(protect(second, other, 'parent'));
      assert.equal(code(() => writeFileSync(second + '/theirs', 'x')), 'EROFS');
      unprotect(second, other);
      assert.equal(mounted(), 1);`;
    expect(within(script)).toBe('done');
  });

  it('is one of the root where that is a mount of its own', () => {
    const script = `
      execFileSync('mount', ['-t', 'tmpfs', 'none', root]);
      const answer = { kind: 'read-only', says: '', writable: own, holder: null };
      assert.deepEqual(protect(root, own, 'parent'), answer);
      assert.deepEqual(protect(root, own, 'parent'), answer);
      write(Tree.open(own), 'ours');
      unprotect(root, own);`;
    expect(within(script)).toBe('done');
  });
});

describe('an unprotected root', () => {
  it('is said to be so where mounting is not permitted', () => {
    const script = `
      execFileSync('chown', ['-R', '65534', process.cwd()]);
      process.setuid(65534);
      assert.deepEqual(protect(root, own, 'root'), { kind: 'unprotected', says: 'mounting needs CAP_SYS_ADMIN', writable: root, holder: process.cwd() });
      unprotect(root, own);
      writeFileSync(root + '/theirs', 'x');`;
    expect(within(script)).toBe('done');
  });

  it('is one with another file system beneath, that a cover would hide', () => {
    const script = `
      execFileSync('mount', ['-t', 'tmpfs', 'none', root + '/sub']);
      const { kind, says } = protect(root, own, 'root');
      assert.deepEqual([kind, says], ['unprotected', 'another file system is mounted beneath it, at ' + root + '/sub']);
      assert.equal(mounted(), 1);`;
    expect(within(script)).toBe('done');
  });
});
