// What the lab's service writes: numbered records, one a line, "NUMBER WALL-MS SERVER EPOCH", in files of some hundred
// records each. Whoever reads them later sees what is missing, who wrote each record, and when.
//
// J1. Numbers rise by one, across files and across servers: a start goes on after the last whole record that it finds.
// J2. `last` names a record only when it is synced to disk. What a power cut left half written is cut off at the next start.
import {
  closeSync,
  fdatasync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  truncateSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';

const everyMs = 5;
const recordsPerFile = 500;
const sync = promisify(fdatasync);

const none = { number: 0, atMs: 0 };

const nameOf = (number) => `records-${String(Math.floor((number - 1) / recordsPerFile)).padStart(6, '0')}`;

/** The last whole record of all files. J2. */
function found(folder) {
  const names = readdirSync(folder).filter((name) => /^records-\d{6}$/.test(name));
  for (const name of names.sort().reverse()) {
    const file = join(folder, name);
    const text = readFileSync(file, 'latin1');
    const end = text.lastIndexOf('\n') + 1;
    if (end < text.length) truncateSync(file, end);
    const [number, atMs] = text.slice(text.lastIndexOf('\n', end - 2) + 1, end).split(' ');
    if (end > 0) return { number: Number(number), atMs: Number(atMs) };
  }
  return none;
}

/** Writes for ever. `found`: the last record of before; `last`: the last one of now. A write that fails ends the process. */
export function startJournal(folder, server, epoch) {
  mkdirSync(folder, { recursive: true });
  const journal = { found: found(folder), last: none };
  let name = '';
  let fd = -1;
  let { number } = journal.found;
  const write = async () => {
    number += 1;
    if (nameOf(number) !== name) {
      if (fd !== -1) closeSync(fd);
      name = nameOf(number);
      fd = openSync(join(folder, name), 'a', 0o644);
    }
    const atMs = Date.now();
    writeSync(fd, `${number} ${atMs} ${server} ${epoch}\n`);
    await sync(fd);
    journal.last = { number, atMs };
    setTimeout(write, everyMs);
  };
  void write();
  return journal;
}
