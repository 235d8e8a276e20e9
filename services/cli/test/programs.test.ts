/** What the programs of a member are started with. */
import { execFileSync, spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { installedPrograms } from '../src/run/programs.ts';

const hungMirrors = 8;
const callsOfEach = 3;
const limitMs = 20_000;

/** Opens the FIFO so often, which waits for a writer who never comes, and then reads a file. */
const script = `
const { open, readFile } = require('node:fs/promises');
for (let i = 0; i < ${hungMirrors * callsOfEach}; i += 1) void open(process.argv[1], 'r');
void readFile('/proc/self/stat').then(() => { process.stdout.write('read'); process.kill(process.pid, 'SIGKILL'); });
`;

it('a mirror process goes on with its files while calls of eight mirrors hang', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'holdfast-programs-'));
  const fifo = join(folder, 'disk');
  execFileSync('mkfifo', [fifo]);
  const { env } = installedPrograms(folder, join(folder, 'journal')).mirror;
  const child = spawn(process.execPath, ['-e', script, fifo], {
    env: { ...env, ...process.env },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const timer = setTimeout(() => child.kill('SIGKILL'), limitMs);
  let said = '';
  child.stdout.on('data', (chunk: Buffer) => (said += chunk.toString()));
  await new Promise((ended) => child.once('close', ended));
  clearTimeout(timer);
  rmSync(folder, { recursive: true, force: true });
  expect(said).toBe('read');
}, 60_000);
