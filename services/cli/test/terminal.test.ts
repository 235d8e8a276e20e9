/** What becomes of a command whose words nobody takes any more. Real processes: it is about their streams. */
import { spawn, type ChildProcess } from 'node:child_process';
import { closeSync, openSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { compileSources } from '../../guard/test/compiled.ts';
import { exited } from '../../guard/test/client.ts';

let command: string;
let run: string;

beforeAll(() => {
  command = compileSources(join(import.meta.dirname, '../src'));
  run = compileSources(join(import.meta.dirname, '../src/run'));
});
afterAll(() => {
  for (const folder of [command, run]) rmSync(folder, { recursive: true, force: true });
});

/** Speaks a hundred times and ends with 9; with 7 when it hears that it is not read. */
const speaks = (preamble: string, words: string): string => `
const { processTerminal } = await import(process.argv[1]);
const { terminalOutput } = await import(process.argv[2]);
const terminal = processTerminal(() => process.exit(7));
${preamble}
let left = 100;
setInterval(() => { ${words} if (--left === 0) process.exit(9); }, 5);
`;
const commands = speaks('', "terminal.out('word\\n');");
const member = speaks('const output = terminalOutput();', "output.say('word'); output.warn('word');");

function start(script: string, stdout: 'pipe' | number, stderr: 'pipe' | number): ChildProcess {
  const modules = [join(command, 'terminal.js'), join(run, 'run-output.js')];
  const urls = modules.map((file) => pathToFileURL(file).href);
  const args = ['--input-type=module', '-e', script, ...urls];
  return spawn(process.execPath, args, { stdio: ['ignore', stdout, stderr], timeout: 20_000 });
}

describe('a reader that goes away', () => {
  it('ends a command that watches', async () => {
    const child = start(commands, 'pipe', 'pipe');
    child.stdout?.destroy();
    expect(await exited(child)).toBe('7');
  });

  it('does not end a member', async () => {
    const child = start(member, 'pipe', 'pipe');
    child.stdout?.destroy();
    child.stderr?.destroy();
    expect(await exited(child)).toBe('9');
  });
});

describe('a full disk beneath what is written', () => {
  let full: number;
  beforeEach(() => {
    full = openSync('/dev/full', 'w');
  });
  afterEach(() => {
    closeSync(full);
  });

  it('is a failure of a command, and is said', async () => {
    const child = start(commands, full, 'pipe');
    let said = '';
    child.stderr?.on('data', (chunk: Buffer) => (said += chunk.toString()));
    const closed = new Promise((resolve) => child.once('close', resolve));
    expect(await exited(child)).toBe('1');
    await closed;
    expect(said).toMatch(/^holdfast: the answer can't be written: ENOSPC/);
  });

  it('does not end a member', async () => {
    expect(await exited(start(member, full, full))).toBe('9');
  });
});
