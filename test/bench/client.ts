/** The probe on the client's host, as the benchmark handles it. */
import { join } from 'node:path';
import type { Host } from '@holdfast/lab';
import type { Answer, Sight } from './answers.ts';
import { onLines } from './lines.ts';
import { until, within } from './until.ts';

export interface Client {
  /** Forgets what was seen, and asks every so many milliseconds from now on. Throws when the probe is gone. */
  begin(intervalMs: number): Promise<void>;
  /** All that was seen since the beginning. Throws when the probe is gone. */
  sight(): Promise<Sight>;
  /** Waits until a server has answered and nothing was heard of the other since. Resolves to all that was seen. */
  untilAnsweredBy(server: string, limitMs: number): Promise<Sight>;
  stop(): void;
}

interface Line {
  readonly answers: readonly (readonly [number, number, number, string])[];
  readonly stallMs: number;
}

export function startClient(host: Host, address: string, intervalMs: number): Client {
  const script = join(import.meta.dirname, 'probe.js');
  const child = host.spawn([process.execPath, script, address, `${intervalMs}`], {
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  const waiting: { resolve: (line: string) => void; reject: (why: Error) => void }[] = [];
  let gone: Error | undefined;
  const fail = (why: Error): void => {
    gone = why;
    for (const each of waiting.splice(0)) each.reject(why);
  };
  child.on('error', fail);
  child.on('exit', (code, signal) => fail(new Error(`the probe ended (${code ?? signal ?? ''})`)));
  child.stdin?.on('error', fail);
  if (child.stdout !== null) onLines(child.stdout, (line) => waiting.shift()?.resolve(line));
  const ask = async (command: string): Promise<Sight> => {
    if (gone !== undefined) throw gone;
    const answered = new Promise<string>((resolve, reject) => waiting.push({ resolve, reject }));
    child.stdin?.write(`${command}\n`);
    const line = JSON.parse(await within('the probe reports', 10_000, answered)) as Line;
    const answers = line.answers.map(([, sentMs, answeredMs, server]): Answer => ({
      sentMs,
      answeredMs,
      server,
    }));
    return { answers, stallMs: line.stallMs };
  };
  let seen: Sight = { answers: [], stallMs: 0 };
  const sight = async (): Promise<Sight> => {
    const more = await ask('take');
    seen = {
      answers: [...seen.answers, ...more.answers],
      stallMs: Math.max(seen.stallMs, more.stallMs),
    };
    return seen;
  };
  return {
    begin: async (every) => {
      await ask(`every ${every}`);
      seen = { answers: [], stallMs: 0 };
    },
    sight,
    untilAnsweredBy: (server, limitMs) =>
      until(
        `the client is answered by ${server}`,
        async () => ((await sight()).answers.at(-1)?.server === server ? seen : undefined),
        {
          limitMs,
          everyMs: 50,
          seen: () => Promise.resolve(`last answer by ${seen.answers.at(-1)?.server ?? 'nobody'}`),
        },
      ),
    stop: () => child.kill('SIGKILL'),
  };
}
