/** The numbered records that the service of a story writes, as clients were told of them and as the disks have them. */
import { lateMsMax } from '../demo/verdict.ts';
import type { Answer, Client } from './client.ts';
import { web } from './config.ts';
import { mirrorsOf, sh } from './mirrored.ts';
import { until } from './until.ts';
import type { Status, World } from './world.ts';

/** The folder to which the service writes, and its mirror. */
export const recordsRoot = '/srv/records';
export const recordsMirror = 'd3/records';

const nearMs = 5_000;

/** Until the copy of the records takes every change. Under load nothing is ever behind by nothing. */
export async function recordsFlow(world: World, target: string, limitMs: number): Promise<void> {
  await world.until('w', `${target} takes every record`, limitMs, (status) => {
    const copy = mirrorsOf(status)['records']?.targets[target];
    const near = copy?.behindMs !== null && (copy?.behindMs ?? Infinity) < nearMs;
    return copy?.state === 'replicating' && copy.consistent && near;
  });
}

/** The number of the last record that a client was told of. */
export const told = (client: Client): number => Math.max(0, ...client.answers(web).map(({ last }) => last));

/** Until clients were told of so many more. */
export async function moreRecords(client: Client, count: number): Promise<void> {
  const from = told(client);
  await until(`${count} more records are written`, 20_000, () => told(client) >= from + count);
}

/** Those that clients were told of before the service began that gave this answer, and that it did not find. */
export function lostAt(client: Client, next: Answer): readonly number[] {
  const before = client
    .answers(web)
    .filter(({ epoch, sentMs }) => epoch !== next.epoch && sentMs < next.sentMs);
  const last = Math.max(0, ...before.map((answer) => answer.last));
  return Array.from({ length: Math.max(0, last - next.found) }, (_, index) => next.found + 1 + index);
}

/** When a server answered clients last, milliseconds of the monotonic clock. */
export const lastAnswerMs = (client: Client, server: string): number =>
  Math.max(
    ...client
      .answers(web)
      .filter((answer) => answer.server === server)
      .map(({ answeredMs }) => answeredMs),
  );

/** What status shows that a power cut takes, at most, on a host that carries a whole cluster. */
export const mostLostMs = (shown: Status['groups'][string]['objectives'] | undefined): number =>
  (shown?.lossMs ?? 0) + (shown?.lossAgeMs ?? 0) + lateMsMax;

interface Record {
  readonly number: number;
  readonly wallMs: number;
}

/** Whole records beneath a folder. */
async function recordsIn(world: World, host: string, folder: string): Promise<Record[]> {
  const text = await sh(world, host, `cat ${folder}/records-* 2>/dev/null || true`);
  return text
    .split('\n')
    .slice(0, -1)
    .map((line) => {
      const [number = '', wallMs = ''] = line.split(' ');
      return { number: Number(number), wallMs: Number(wallMs) };
    });
}

/** The numbers of whole records beneath a folder. */
export const numbersIn = async (world: World, host: string, folder: string): Promise<number[]> =>
  (await recordsIn(world, host, folder)).map(({ number }) => number);

/** From the first of these records to the last, as a folder has them; 0 for none. */
export async function spanMs(
  world: World,
  host: string,
  folder: string,
  numbers: readonly number[],
): Promise<number> {
  const times = (await recordsIn(world, host, folder))
    .filter(({ number }) => numbers.includes(number))
    .map(({ wallMs }) => wallMs);
  return times.length === 0 ? 0 : Math.max(...times) - Math.min(...times);
}

/** Where numbers do not rise by one. */
export const gapsIn = (numbers: readonly number[]): string[] =>
  numbers.flatMap((number, index) =>
    number === (numbers[index - 1] ?? 0) + 1 ? [] : [`${String(numbers[index - 1] ?? 0)} then ${number}`],
  );
