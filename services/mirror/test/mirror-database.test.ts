/**
 * A database of several files that is written all the time: SQLite in WAL mode. What docs/mirrors.md says of it: a copy in
 * which nothing was hot is what a power cut would leave, and opens whole; one of hot files may not, and they are named.
 */
import { execFileSync, spawn, type ChildProcess } from 'node:child_process';
import { cpSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { afterEach, describe, expect, jest, test } from '@jest/globals';
import { makePair, type MirrorPair } from './mirror-pair.ts';

jest.setTimeout(60_000);

let pair: MirrorPair;
let writer: ChildProcess | null = null;

afterEach(async () => {
  writer?.kill('SIGKILL');
  await pair.close();
});

/** Commits a row every so often, and makes a checkpoint every 20 pages, so that both files change. */
function write(folder: string, everyMs: number): ChildProcess {
  const sqlite = spawn('sqlite3', [join(folder, 'orders.db')], { stdio: ['pipe', 'ignore', 'inherit'] });
  sqlite.stdin.on('error', () => undefined); // it was killed
  sqlite.stdin.write('PRAGMA journal_mode=WAL; PRAGMA wal_autocheckpoint=20;\n');
  sqlite.stdin.write(
    'CREATE TABLE orders(id INTEGER PRIMARY KEY, what TEXT); CREATE INDEX i ON orders(what);\n',
  );
  const timer = setInterval(() => {
    sqlite.stdin.write('INSERT INTO orders(what) VALUES(hex(randomblob(300)));\n');
  }, everyMs);
  sqlite.on('exit', () => clearInterval(timer));
  return sqlite;
}

/** What an owner would find there, on a copy of the copy. */
function opened(root: string): { readonly whole: boolean; readonly rows: number } {
  const scratch = mkdtempSync(join(tmpdir(), 'holdfast-database-'));
  try {
    cpSync(root, scratch, { recursive: true, preserveTimestamps: true });
    const query = (sql: string): string =>
      execFileSync('sqlite3', [join(scratch, 'orders.db'), sql], { encoding: 'utf8', stdio: 'pipe' }).trim();
    return {
      whole: query('PRAGMA integrity_check') === 'ok',
      rows: Number(query('SELECT count(*) FROM orders')),
    };
  } catch {
    // The database says that it is malformed.
    return { whole: false, rows: 0 };
  } finally {
    rmSync(scratch, { recursive: true, force: true });
  }
}

const isHot = (): boolean => pair.source.state().targets[0]?.hot !== undefined;

describe('a database that is written all the time', () => {
  test('opens whole on a copy whenever none of its files was hot', async () => {
    pair = await makePair({ settleMs: 500 });
    await pair.settle();
    writer = write(pair.sourceRoot, 25);
    let rows = 0;
    await pair.until(() => opened(pair.targetRoot).rows > 0, 'the first rows are there');
    for (let round = 0; round < 20; round += 1) {
      await delay(60 + round * 7);
      await pair.until(
        () => pair.source.state().targets[0]?.consistent === true && !isHot(),
        'nothing is hot',
      );
      pair.cut();
      await pair.until(() => pair.target.state().unappliedBytes === 0, 'everything is applied');
      const wasHot = isHot();
      const found = opened(pair.targetRoot);
      if (!wasHot) expect(found.whole).toBe(true);
      expect(found.rows).toBeGreaterThanOrEqual(rows);
      rows = found.rows;
      pair.heal();
    }
    expect(rows).toBeGreaterThan(0);
  });

  test('is named while its files never rest', async () => {
    pair = await makePair({ settleMs: 100 });
    await pair.settle();
    writer = write(pair.sourceRoot, 1);
    const named = (): readonly string[] => pair.source.state().targets[0]?.hot?.named ?? [];
    await pair.until(() => named().some((name) => name.startsWith('orders.db')), 'it is named');
  });
});
