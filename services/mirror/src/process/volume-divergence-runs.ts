/** What a person asks of the blocks that diverged: list, show, restore, discard; by offset. */

import { closeSync, ftruncateSync, openSync, unlinkSync } from 'node:fs';
import { join } from 'node:path';
import { setImmediate } from 'node:timers/promises';
import { errorCode, errorText } from '@holdfast/wire/directory';
import type { MirrorRunRow } from '@holdfast/wire/mirror';
import { syncOpen, syncPath } from '../os/contents.ts';
import { writtenWhole } from '../os/whole-write.ts';
import type { KeptBlocks } from '../volumes/divergence/kept-blocks.ts';
import type { Damaged, KeptRange } from '../volumes/divergence/kept-log.ts';
import type { OwnRange } from '../volumes/target/choice.ts';
import type { DivergenceRun } from './divergence-runs.ts';
import { progressOf, tellAll } from './rows.ts';
import type { Answered, RunPorts } from './side.ts';

/** More are not listed at once; the answer says how many there are. */
const rowsMax = 50_000;
/** More of what is damaged is counted, not named. */
const namedMax = 10;

/** `self`: this member, which keeps them. `store`: null when it never kept any. `apart`: what was not kept aside yet. */
export async function runBlocks(
  store: KeptBlocks | null,
  run: DivergenceRun,
  self: string,
  ports: RunPorts,
  apart: readonly OwnRange[] = [],
): Promise<Answered> {
  const all = store?.list() ?? [];
  if (run.kind === 'list') {
    await tellAll([...all, ...apart].slice(0, rowsMax), (range) => rowOf(range, self), ports);
    const more = all.length + apart.length - rowsMax;
    const says = [more > 0 ? `there are ${more} more on ${self}` : '', damagedSays(store, self)];
    return done(says.filter((sentence) => sentence !== '').join('; '));
  }
  if (run.kind === 'discard' && run.path === '') {
    await store?.discard(null);
    return done(`what was kept is discarded on ${self}`);
  }
  if (!/^\d{1,15}$/.test(run.path))
    return { kind: 'failed', as: 'invalid', says: `${run.path} is no offset; the list has them` };
  const meant = all.filter(({ offset }) => offset === Number(run.path));
  const lost = (store?.damaged ?? []).filter(({ range }) => range?.offset === Number(run.path));
  const unkept = apart.filter(({ offset }) => offset === Number(run.path));
  if (run.kind === 'show') for (const range of [...meant, ...unkept]) ports.row(rowOf(range, self));
  if (lost.length > 0 && run.kind === 'discard') await store?.discardDamaged(lost);
  else if (lost.length > 0 && meant.length === 0)
    return { kind: 'failed', as: 'failed', says: `${self}: ${lost.map(nameOf).join(', ')} is damaged` };
  if ((meant.length === 0 && lost.length === 0) || store === null) {
    if (unkept.length === 0)
      return { kind: 'failed', as: 'not-found', says: `${self} keeps nothing that begins at ${run.path}` };
    if (run.kind === 'show') return done('');
    const says = `the blocks at ${run.path} are in the copy on ${self} itself: pause it, and open that`;
    return { kind: 'failed', as: 'invalid', says };
  }
  switch (run.kind) {
    case 'show':
      return done('');
    case 'restore':
      return restore(store, meant, run.to, self, ports);
    case 'discard':
      for (const range of meant) await store.discard(range);
      return done(`the blocks at ${run.path} are discarded on ${self}`);
  }
}

/**
 * A file for each range: its blocks, and nothing before them. Nothing in the folder is overwritten, everything is durable in
 * the end, and others have their turn meanwhile.
 */
async function restore(
  store: KeptBlocks,
  ranges: readonly KeptRange[],
  folder: string,
  self: string,
  ports: RunPorts,
): Promise<Answered> {
  const files: string[] = [];
  const totalBytes = ranges.reduce((sum, { length }) => sum + length, 0);
  const progress = progressOf(self, ports);
  let doneBytes = 0;
  const copied = (bytes: number): boolean => {
    doneBytes += bytes;
    progress(doneBytes, totalBytes);
    return !ports.signal.aborted;
  };
  try {
    for (const range of ranges) {
      const { offset, length, epoch } = range;
      const file = join(folder, `${String(offset)}-${String(length)}-epoch-${epoch.toString()}`);
      if (!(await copyOut(store, range, file, copied)))
        return { kind: 'failed', as: 'failed', says: `${self}: whoever asked went away` };
      files.push(file);
    }
    await syncPath(folder);
  } catch (error) {
    const code = errorCode(error);
    if (code === '') throw error;
    const says = code === 'EBADF' ? 'the mirror was closed meanwhile: ask again' : errorText(error);
    return { kind: 'failed', as: 'failed', says: `${self}: ${says}` };
  }
  return done(`${files.join(', ')} on ${self}`);
}

/** False: nobody wants it any more. A file that is not whole does not stay. */
async function copyOut(
  store: KeptBlocks,
  range: KeptRange,
  file: string,
  copied: (bytes: number) => boolean,
): Promise<boolean> {
  const fd = openSync(file, 'wx', 0o600);
  let isWhole = false;
  try {
    ftruncateSync(fd, range.length);
    for (const { offset, length, contents } of store.contentsOf(range)) {
      if (contents === null) await setImmediate();
      else await writtenWhole(fd, contents, offset - range.offset);
      if (!copied(length)) return false;
    }
    await syncOpen(fd);
    isWhole = true;
    return true;
  } finally {
    closeSync(fd);
    if (!isWhole) unlinkSync(file);
  }
}

/** Empty: nothing is. */
function damagedSays(store: KeptBlocks | null, self: string): string {
  const all = store?.damaged ?? [];
  if (all.length === 0) return '';
  const more = all.length > namedMax ? `, and ${all.length - namedMax} more` : '';
  return `damaged on ${self}, and not to be had back: ${all.slice(0, namedMax).map(nameOf).join(', ')}${more}`;
}

const nameOf = ({ at, bytes, range }: Damaged): string =>
  range === null
    ? `what lies in ${String(bytes)} bytes from ${String(at)} of the file of it`
    : `${String(range.length)} bytes at ${String(range.offset)} of epoch ${range.epoch.toString()}`;

const done = (says: string): Answered => ({ kind: 'done', says });

function rowOf(range: KeptRange | OwnRange, from: string): MirrorRunRow {
  const { offset, length, epoch } = range;
  const kept = 'modifiedMs' in range;
  const modifiedMs = kept ? range.modifiedMs : 0;
  return {
    ...{ kind: 'kept', path: '', size: length, modifiedMs, change: 'written', from, epoch, kept },
    offset,
    length,
  };
}
