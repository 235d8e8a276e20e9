/**
 * The files of an LMDB environment before it is opened. LMDB maps them into memory, where the kernel ends the process for what
 * can't be read or has no room; so that is found here first, and is an error like any other.
 *
 *   F1  the lock file has its room on disk before it is mapped
 *   F2  both heads of the data file are those of a database of this version
 *   F3  the data file is as long as its heads say: what is missing is read as zeros, which LMDB tells from a page
 *
 * Source: struct MDB_page_header and MDB_meta in liblmdb/mdb.c of lmdb 3.5.
 */

import { closeSync, fstatSync, ftruncateSync, openSync, readSync } from 'node:fs';
import { join } from 'node:path';
import { errorCode } from '@holdfast/wire/directory';
import { writeWhole } from '../os/whole-write.ts';
import { damaged } from './trouble.ts';

/** At least that of 126 readers, which is what lmdb asks for. */
const lockBytes = 16_384;
const flagsAt = 18;
const magicAt = 24;
const versionAt = 28;
const pageBytesAt = 48;
const lastPageAt = 144;
const headBytes = 160;
const isHead = 0x8;
const magic = 0xbeef_c0de;
const version = 2;

/** While nobody has it open. Throws CatalogError, and what the file system says. */
export function prepareFiles(dir: string): void {
  reserveLock(join(dir, 'lock.mdb'));
  checkData(dir);
}

/** F1. What a lock file holds is of no use to whoever opens it first. */
function reserveLock(file: string): void {
  const fd = openSync(file, 'a', 0o600);
  try {
    const { size } = fstatSync(fd);
    if (size < lockBytes) writeWhole(fd, Buffer.alloc(lockBytes - size), size);
  } finally {
    closeSync(fd);
  }
}

function checkData(dir: string): void {
  const fd = openExisting(join(dir, 'data.mdb'));
  if (fd === null) return;
  try {
    const { size } = fstatSync(fd);
    // LMDB begins such a one anew.
    if (size === 0) return;
    const first = headAt(dir, fd, 0);
    const second = headAt(dir, fd, first.pageBytes);
    const bytes = (Math.max(first.lastPage, second.lastPage) + 1) * first.pageBytes;
    if (bytes > size) ftruncateSync(fd, bytes); // F3
  } finally {
    closeSync(fd);
  }
}

interface Head {
  readonly pageBytes: number;
  readonly lastPage: number;
}

/** F2. */
function headAt(dir: string, fd: number, offset: number): Head {
  const head = Buffer.alloc(headBytes);
  const read = readSync(fd, head, 0, headBytes, offset);
  const isOurs =
    read === headBytes &&
    (head.readUInt16LE(flagsAt) & isHead) !== 0 &&
    head.readUInt32LE(magicAt) === magic &&
    (head.readUInt32LE(versionAt) & 0xffff) === version;
  if (!isOurs) throw damaged(dir, 'it does not begin like a database');
  return {
    pageBytes: head.readUInt32LE(pageBytesAt),
    lastPage: Number(head.readBigUInt64LE(lastPageAt)),
  };
}

function openExisting(file: string): number | null {
  try {
    return openSync(file, 'r+');
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return null;
    throw error;
  }
}
