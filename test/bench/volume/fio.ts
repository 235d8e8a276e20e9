/** fio as a client of an NBD export: one job, and what it measured. */
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';

export interface Job {
  readonly name: string;
  readonly args: readonly string[];
}

export interface Measured {
  readonly bytesPerSecond: number;
  readonly perSecond: number;
  readonly medianUs: number;
}

interface Direction {
  readonly io_bytes: number;
  readonly bw_bytes: number;
  readonly iops: number;
  readonly clat_ns: { readonly percentile?: Readonly<Record<string, number>> };
}

const run = promisify(execFile);

export async function fio(uri: string, job: Job, sizeBytes: number, seconds: number): Promise<Measured> {
  const { stdout } = await run(
    'fio',
    [
      ...['--name=job', '--ioengine=nbd', `--uri=${uri}`, '--output-format=json', '--time_based'],
      ...[`--size=${sizeBytes}`, `--runtime=${seconds}`, ...job.args],
    ],
    { timeout: (seconds + 60) * 1_000, maxBuffer: 1 << 24 },
  );
  const parsed = JSON.parse(stdout.slice(stdout.indexOf('{'))) as { jobs: { write: Direction }[] };
  const write = parsed.jobs[0]?.write;
  if (write === undefined || write.io_bytes === 0) throw new Error('fio wrote nothing');
  const median = write.clat_ns.percentile?.['50.000000'] ?? 0;
  return { bytesPerSecond: write.bw_bytes, perSecond: write.iops, medianUs: median / 1_000 };
}

/** Everything once, however long it takes: what is measured afterwards writes over what is there. */
export const fill: Job = {
  name: 'fill',
  args: ['--rw=write', '--bs=1M', '--iodepth=8', '--time_based=0'],
};
export const sequential: Job = {
  name: 'sequential write, 1 MiB, depth 8',
  args: ['--rw=write', '--bs=1M', '--iodepth=8'],
};
export const random: Job = {
  name: 'random write, 4 KiB, depth 32',
  args: ['--rw=randwrite', '--bs=4k', '--iodepth=32'],
};
export const single: Job = {
  name: 'random write, 4 KiB, depth 1',
  args: ['--rw=randwrite', '--bs=4k', '--iodepth=1'],
};
export const flushed: Job = {
  name: 'random write, 4 KiB, a flush after each',
  args: ['--rw=randwrite', '--bs=4k', '--iodepth=1', '--fsync=1'],
};
