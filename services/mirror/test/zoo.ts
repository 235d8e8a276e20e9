/** Everything that a file can be, in a folder: for tests that copy it. */

import { execFileSync } from 'node:child_process';
import {
  chownSync,
  closeSync,
  linkSync,
  lutimesSync,
  mkdirSync,
  openSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { Tree } from '../src/os/tree.ts';

const MiB = 1 << 20;
const isRoot = process.getuid?.() === 0;

export function zoo(root: string): void {
  mkdirSync(`${root}/a/b/c`, { recursive: true });
  mkdirSync(`${root}/empty`, { mode: 0o1770 });
  writeFileSync(`${root}/a/one`, 'one', { mode: 0o4750 });
  writeFileSync(`${root}/a/nothing`, '');
  writeFileSync(`${root}/a/b/middle`, Buffer.alloc(200_000, 7));
  writeFileSync(`${root}/a/b/large`, Buffer.alloc(3 * MiB, 9));
  linkSync(`${root}/a/one`, `${root}/a/b/same`);
  linkSync(`${root}/a/b/large`, `${root}/a/b/c/large too`);
  symlinkSync('../no/where', `${root}/a/pointer`);
  writeFileSync(Buffer.concat([Buffer.from(`${root}/odd `), Buffer.from([0xff, 0x0a, 0x27])]), 'bytes');
  const hollow = openSync(`${root}/hollow`, 'w');
  writeSync(hollow, Buffer.alloc(4096, 1), 0, 4096, 64 * MiB);
  closeSync(hollow);
  truncateSync(`${root}/hollow`, 80 * MiB);
  execFileSync('mkfifo', [`${root}/pipe`]);
  const tree = Tree.open(root);
  tree.setExtended(Buffer.from('a/one'), [[Buffer.from('user.colour'), Buffer.from([0, 1, 255])]]);
  if (isRoot) {
    // A POSIX access list: owner, one user more, group, mask, others.
    const access = [
      '02000000',
      '01000700ffffffff',
      '020006002a000000',
      '04000500ffffffff',
      '10000700ffffffff',
      '20000000ffffffff',
    ].join('');
    tree.setExtended(Buffer.from('a/b/middle'), [
      [Buffer.from('system.posix_acl_access'), Buffer.from(access, 'hex')],
    ]);
    chownSync(`${root}/a/b/c`, 42, 43);
    tree.makeDevice(Buffer.from('null'), 'char', 0o666, 1, 3);
  }
  tree.setAttributes(Buffer.from('a/b'), { mtimeS: -5, mtimeNs: 123_456_789 });
  tree.close();
  lutimesSync(`${root}/a/pointer`, 1_000, 2_000.5);
}
