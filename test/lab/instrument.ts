/** A program of ours on a host, which tells what it sees in lines of JSON. It goes with the host's power. */
import type { ChildProcess } from 'node:child_process';
import { join } from 'node:path';
import type { Host } from '@holdfast/lab';

export interface Instrument {
  pid(): number | undefined;
  isRunning(): boolean;
  stop(): void;
}

export function startInstrument(
  host: Host,
  program: string,
  args: readonly string[],
  take: (line: unknown) => void,
  ended: () => void = () => undefined,
): Instrument {
  const child: ChildProcess = host.spawn(
    [process.execPath, join(import.meta.dirname, 'programs', program), ...args],
    { stdio: ['pipe', 'pipe', 'inherit'] },
  );
  child.on('error', (error) => process.stderr.write(`${program}: ${error.message}\n`));
  child.on('exit', ended);
  child.stdin?.on('error', () => undefined); // it has gone with its host's power
  let rest = '';
  child.stdout?.setEncoding('utf8');
  child.stdout?.on('data', (text: string) => {
    const lines = (rest + text).split('\n');
    rest = lines.pop() ?? '';
    for (const line of lines) take(JSON.parse(line));
  });
  const isRunning = (): boolean => child.exitCode === null && child.signalCode === null;
  return { pid: () => (isRunning() ? child.pid : undefined), isRunning, stop: () => child.kill('SIGKILL') };
}
