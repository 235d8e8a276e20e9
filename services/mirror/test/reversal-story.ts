/**
 * A reversal in which both sides have what the other has not: what the tests that end it with SIGKILL live through, and
 * what has to be there in the end.
 */

import {
  closeSync,
  existsSync,
  mkdirSync,
  openSync,
  renameSync,
  rmSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';

const largeBytes = 3 << 20;

/** What both have, and what was acknowledged. */
export function begin(root: string): void {
  mkdirSync(join(root, 'folder/inner'), { recursive: true });
  writeFileSync(join(root, 'both'), 'of the beginning');
  writeFileSync(join(root, 'gone'), 'of the beginning');
  writeFileSync(join(root, 'large'), Buffer.alloc(largeBytes, 1));
  for (let i = 0; i < 12; i += 1) writeFileSync(join(root, `folder/inner/${String(i)}`), `file ${String(i)}`);
  mkdirSync(join(root, 'quiet'));
  writeFileSync(join(root, 'acknowledged'), 'acknowledged');
}

/** By the former owner, after nobody heard it any more. */
export function diverge(root: string): void {
  writeFileSync(join(root, 'both'), 'of the former owner');
  writeFileSync(join(root, 'own'), 'of the former owner');
  rmSync(join(root, 'gone'));
  renameSync(join(root, 'folder/inner'), join(root, 'folder/moved'));
  change(join(root, 'large'), 'of the former owner', 1 << 20);
}

/** By the new one. The same again does no harm. */
export function goOn(root: string): void {
  writeFileSync(join(root, 'both'), 'of the new owner');
  writeFileSync(join(root, 'new'), 'of the new owner');
  if (existsSync(join(root, 'quiet'))) renameSync(join(root, 'quiet'), join(root, 'quieter'));
  change(join(root, 'large'), 'of the new owner', 2 << 20);
}

function change(path: string, text: string, at: number): void {
  const fd = openSync(path, 'r+');
  writeSync(fd, text, at);
  closeSync(fd);
}

/** What has to be kept aside of the former owner, each by its path. */
export const kept: readonly { readonly path: string; readonly holds: string }[] = [
  { path: 'both', holds: 'of the former owner' },
  { path: 'own', holds: 'of the former owner' },
  { path: 'large', holds: 'of the former owner' },
];
