/** A database on a group's volume: what it is made of, who uses it, and what of it has to be there after a takeover. */
import type { ChildProcess } from 'node:child_process';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { expect } from '@jest/globals';
import { argv } from './config.ts';
import { until } from './until.ts';
import { disk } from './volumes.ts';
import type { World } from './world.ts';

const folder = '/srv/db';
const postgres = join(import.meta.dirname, 'programs/postgres.sh');
const clients = join(import.meta.dirname, 'programs/postgres-clients.js');
const clientsMax = 3;
const checkMs = 60_000;

/** ext4 that is clean once its journal is replayed, or the group does not start; PostgreSQL on it. */
export function databaseResources(points: string): string {
  const device = `${points}/../hosts/$HOLDFAST_SERVER/holdfast/volumes/${disk}`;
  const look = `e2fsck -y -E journal_only ${device} && e2fsck -fn ${device}`;
  const clean = argv(['sh', '-ec', `blkid -p ${device} || mkfs.ext4 -q ${device}; ${look} >&2`]);
  const command = (verb: string): string => argv(['sh', postgres, verb, folder]);
  return `      - name: clean
        command: { start: ${clean}, stop: ["true"] }
        startTimeout: 20s
      - name: fs
        mount: { mirror: disk, at: ${folder}, type: ext4 }
        startTimeout: 20s
        stopTimeout: 5s
      - name: postgres
        command: { start: ${command('start')}, stop: ${command('stop')}, status: ${command('status')} }
        startTimeout: 90s
        stopTimeout: 20s
`;
}

/** Transactions, of several clients at once, until the host has no power. */
export class Clients {
  /** The last that was told to be committed, of each client. */
  readonly committed = new Map<number, number>();
  #child: ChildProcess | null = null;

  get count(): number {
    return [...this.committed.values()].reduce((sum, n) => sum + n, 0);
  }

  begin(world: World, host: string): void {
    const words = [process.execPath, clients, folder, String(clientsMax)];
    this.#child = world.lab.host(host).spawn(words, { stdio: ['ignore', 'pipe', 'inherit'] });
    if (this.#child.stdout === null) throw new Error('the clients have no output');
    createInterface({ input: this.#child.stdout }).on('line', (line) => {
      const [client = 0, n = 0] = line.split(' ').map(Number);
      this.committed.set(client, n);
    });
  }

  async commit(more: number, limitMs: number): Promise<void> {
    const wanted = this.count + more;
    const seen = (): string => `${String(this.count)} of ${String(wanted)}`;
    await until('enough is committed', limitMs, () => this.count >= wanted, seen);
  }

  stop(): void {
    this.#child?.kill('SIGKILL');
  }
}

/**
 * Every transaction that was told to be committed is there, each as a whole; tables and indexes fit together, and every page
 * has its checksum.
 */
export async function expectSound(
  world: World,
  host: string,
  told: ReadonlyMap<number, number>,
): Promise<void> {
  const run = async (words: string): Promise<string> => {
    const script = `sh ${postgres} run ${folder} ${words}`;
    const done = await world.lab.host(host).exec(['sh', '-ec', script], { timeoutMs: checkMs });
    if (done.status !== 0) throw new Error(`${words}: ${done.stdout}${done.stderr}`);
    return done.stdout;
  };
  const ask = (sql: string): Promise<string> => run(`psql -XAt --command '${sql}'`);
  const rows = await ask('SELECT client, max(n), count(*) FROM entry GROUP BY client');
  const found = new Map(
    rows
      .trim()
      .split('\n')
      .map((row) => row.split('|').map(Number))
      .map(([client = 0, last = 0, count = 0]) => [client, { last, count }]),
  );
  for (const [client, n] of told) {
    const { last, count } = found.get(client) ?? { last: 0, count: 0 };
    // The one that was under way may be there.
    expect({ client, last, count }).toEqual({ client, last: last === n + 1 ? last : n, count: last });
  }
  expect((await ask('SELECT sum(balance) FROM account')).trim()).toBe('0');
  await run('pg_amcheck --install-missing --heapallindexed --rootdescend --parent-check --database postgres');
  // It verifies the checksum of every page that it reads.
  await run('pg_basebackup --checkpoint fast --format tar --wal-method none --pgdata - >/dev/null');
}
