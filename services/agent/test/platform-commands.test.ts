import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { getPriority, setPriority, tmpdir } from 'node:os';
import { join } from 'node:path';
import { createCommands } from '../src/platform/linux/commands.ts';
import { canMakeNamespaces as isRoot, eventually } from './platform-namespace.ts';

describe('commands', () => {
  const commands = createCommands();
  const shell = (script: string, timeoutMs: number, env?: Readonly<Record<string, string>>) =>
    commands.run(['/bin/sh', '-c', script], timeoutMs, env);
  let folder: string;
  const note = (): string => join(folder, 'pid');

  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'hfplat-'));
  });
  afterEach(() => {
    if (existsSync(note())) for (const pid of noted()) if (runs(pid)) process.kill(pid, 'SIGKILL');
    rmSync(folder, { recursive: true });
  });

  const noted = (): readonly number[] => readFileSync(note(), 'utf8').trim().split(/\s+/).map(Number);
  const runs = (pid: number): boolean => {
    const stat = existsSync(`/proc/${pid}/stat`) ? readFileSync(`/proc/${pid}/stat`, 'utf8') : '';
    return stat !== '' && !/\) [ZX] /.test(stat);
  };

  it('reports how a command ended and the end of what it printed', async () => {
    const result = await shell('echo out; echo err >&2; echo "$ROLE"; exit 3', 5000, { ROLE: 'owner' });
    expect(result).toMatchObject({ kind: 'exited', status: 3, signal: null });
    expect(result.output.split('\n').toSorted()).toEqual(['', 'err', 'out', 'owner']);
  });

  (isRoot ? it : it.skip)(
    'runs what people configured with the usual priority, not with our own',
    async () => {
      const before = getPriority();
      setPriority(-5);
      try {
        expect((await shell('sleep 0.1; nice', 5000)).output.trim()).toBe('0');
      } finally {
        setPriority(before);
      }
    },
  );

  it('keeps at most 4 KiB, the last ones', async () => {
    const result = await shell('seq 1 200000', 5000);
    expect(result.output.length).toBeLessThanOrEqual(4096);
    expect(result.output.endsWith('199999\n200000\n')).toBe(true);
  });

  it('says clearly what could not be started', async () => {
    const plain = join(folder, 'plain');
    writeFileSync(plain, 'not a program', { mode: 0o644 });
    expect(await commands.run(['/nowhere/hook'], 1000)).toMatchObject({
      kind: 'not-started',
      output: expect.stringContaining('/nowhere/hook does not exist') as string,
    });
    expect(await commands.run([plain], 1000)).toMatchObject({
      kind: 'not-started',
      output: expect.stringContaining('execute permission') as string,
    });
    expect(await commands.run([], 1000)).toMatchObject({ kind: 'not-started' });
    expect(await commands.run(['/bin/echo', 'a\0b'], 1000)).toMatchObject({ kind: 'not-started' });
  });

  it('does not wait for a daemon that a command leaves behind, nor kill it', async () => {
    const result = await shell(
      `setsid sh -c 'echo $$ > ${note()}; echo started; sleep 30' & while [ ! -s ${note()} ]; do sleep 0.01; done; echo ready`,
      5000,
    );
    expect(result).toMatchObject({ kind: 'exited', status: 0 });
    expect(result.output).toContain('ready');
    expect(result.ms).toBeLessThan(3000);
    expect(noted().every(runs)).toBe(true);
  });

  it('kills a command that hangs together with its children, however they hid', async () => {
    // A child, one in a session of its own, and an orphan in a session of its own.
    const script = `
      sh -c 'echo $$ >> ${note()}; sleep 60' &
      setsid sh -c 'echo $$ >> ${note()}; trap "" TERM INT HUP; sleep 60' &
      (setsid sh -c 'echo $$ >> ${note()}; sleep 60' &)
      trap "" TERM; echo hanging; sleep 60`;
    const result = await shell(script, 500);
    expect(result).toMatchObject({ kind: 'timed-out', status: null, signal: 'SIGKILL' });
    expect(result.output).toContain('hanging');
    expect(result.ms).toBeLessThan(2500);
    const pids = noted();
    expect(pids).toHaveLength(3);
    await eventually('all of them are gone', 1000, () => !pids.some(runs));
  });
});
