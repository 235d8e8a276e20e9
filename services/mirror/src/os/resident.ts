/**
 * Takes the pages of a mapped file out of this process's memory. They stay in the kernel's page cache, and come back one by
 * one when they are touched: a database that is mapped as a whole does not fill the process with all that it ever read.
 *
 * Sources: madvise(2), proc_pid_maps(5).
 */
import { existsSync, readFileSync, realpathSync } from 'node:fs';
import koffi from 'koffi';

const MADV_DONTNEED = 4;
const madvise = koffi.load(null).func('int madvise(uintptr_t, size_t, int)') as (
  address: bigint,
  length: number,
  advice: number,
) => number;
const row = /^([0-9a-f]+)-([0-9a-f]+) \S{3}s \S+ \S+ \d+ +(.*)$/;

/** All shared mappings of this file, if it still has that name. Nothing is lost: what was changed in them belongs to the file. */
export function releaseResident(file: string): void {
  if (!existsSync(file)) return;
  const path = Buffer.from(realpathSync(file)).toString('latin1');
  for (const line of readFileSync('/proc/self/maps', 'latin1').split('\n')) {
    const [, start, end, of] = row.exec(line) ?? [];
    if (start === undefined || end === undefined || of !== path) continue;
    const from = BigInt(`0x${start}`);
    madvise(from, Number(BigInt(`0x${end}`) - from), MADV_DONTNEED);
  }
}
