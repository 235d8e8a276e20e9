// Runs on the owner's host: clients of PostgreSQL that move money between accounts, one transaction after the other.
//
//   postgres-clients.js FOLDER CLIENTS
//
// Each transaction of client C adds entry (C, N), N counting up from the last one that is there. A line "C N" for each that
// the database said is committed. A client that is refused anything ends, and says so on standard error.
import { execFileSync, spawn } from 'node:child_process';
import { join } from 'node:path';
import { createInterface } from 'node:readline';

const [folder, clients] = process.argv.slice(2);
const accounts = 500;
const postgres = join(import.meta.dirname, 'postgres.sh');
const psql = ['run', folder, 'psql', '--no-psqlrc', '--quiet', '--tuples-only', '--no-align'];
const words = [postgres, ...psql, '--set', 'ON_ERROR_STOP=1'];

const ask = (sql) => execFileSync('sh', words, { input: sql, encoding: 'utf8' });

ask(`
  SET client_min_messages = warning;
  CREATE TABLE IF NOT EXISTS account (id int PRIMARY KEY, balance bigint NOT NULL);
  CREATE TABLE IF NOT EXISTS entry (client int, n int, says text, PRIMARY KEY (client, n));
  CREATE INDEX IF NOT EXISTS entry_says ON entry (says);
  INSERT INTO account SELECT id, 0 FROM generate_series(0, ${accounts - 1}) id ON CONFLICT DO NOTHING;
`);

for (let client = 0; client < Number(clients); client += 1) {
  let n = Number(ask(`SELECT coalesce(max(n), 0) FROM entry WHERE client = ${client};`));
  const child = spawn('sh', words, { stdio: ['pipe', 'pipe', 'inherit'] });
  child.stdin.on('error', () => undefined);
  const next = () => {
    n += 1;
    const [low, high] = [Math.floor(Math.random() * (accounts - 1)), accounts - 1];
    const other = low + 1 + Math.floor(Math.random() * (high - low));
    // In the order of their numbers, so that nobody waits in a circle.
    child.stdin.write(`
      BEGIN;
      UPDATE account SET balance = balance - ${n} WHERE id = ${low};
      UPDATE account SET balance = balance + ${n} WHERE id = ${other};
      INSERT INTO entry VALUES (${client}, ${n}, repeat(md5('${client} ${n}'), 8));
      COMMIT;
      \\echo ${client} ${n}
    `);
  };
  createInterface({ input: child.stdout }).on('line', (line) => {
    process.stdout.write(`${line}\n`);
    next();
  });
  next();
}
