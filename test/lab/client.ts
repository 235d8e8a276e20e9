/** The client: asks continuously, as the users of a service do, and remembers every answer. */
import type { Host } from '@holdfast/lab';
import { startInstrument } from './instrument.ts';
import { monotonicMs, until } from './until.ts';

export interface Answer {
  /** udp:ADDRESS or http:ADDRESS. */
  readonly target: string;
  readonly sentMs: number;
  readonly answeredMs: number;
  readonly server: string;
  /** Null where only the host answers, and no service. */
  readonly epoch: bigint | null;
  /** The last record that the service found when it began, and that it wrote since; 0 where it keeps none. */
  readonly found: number;
  readonly last: number;
}

export interface Client {
  /** In the order in which they came. */
  answers(target?: string): Answer[];
  /** Forgets what was seen. */
  begin(): void;
  /** The first answer of that server to a question asked after `afterMs`. Default: of now. */
  answeredBy(target: string, server: string, limitMs: number, afterMs?: number): Promise<Answer>;
  /** Waits until something answers, whoever it is. */
  answered(target: string, limitMs: number, afterMs?: number): Promise<Answer>;
  /** The longest time without an answer since `fromMs`, in milliseconds. Infinity without any. */
  longestGapMs(target: string, fromMs: number, toMs?: number): number;
  stop(): void;
}

const everyMs = 30;

export function startClient(host: Host, targets: readonly string[]): Client {
  let seen: Answer[] = [];
  const instrument = startInstrument(host, 'asker.js', [`${everyMs}`, ...targets], (line) => {
    const { answers } = line as {
      answers: [string, number, number, string, string | null, number, number][];
    };
    for (const [target, sentMs, answeredMs, server, epoch, found, last] of answers)
      seen.push({
        target,
        sentMs,
        answeredMs,
        server,
        epoch: epoch === null ? null : BigInt(epoch),
        found,
        last,
      });
  });
  const of = (target?: string): Answer[] =>
    seen.filter((answer) => target === undefined || answer.target === target);
  const last = (target: string) => () => `the last answers: ${JSON.stringify(of(target).slice(-3), text)}`;
  return {
    answers: of,
    begin: () => {
      seen = [];
    },
    answeredBy: (target, server, limitMs, afterMs = monotonicMs()) =>
      until(
        `${server} answers at ${target}`,
        limitMs,
        () => of(target).find((answer) => answer.server === server && answer.sentMs > afterMs),
        last(target),
      ),
    answered: (target, limitMs, afterMs = monotonicMs()) =>
      until(
        `somebody answers at ${target}`,
        limitMs,
        () => of(target).find((answer) => answer.sentMs > afterMs),
        last(target),
      ),
    longestGapMs: (target, fromMs, toMs = monotonicMs()) => {
      const times = of(target)
        .map(({ answeredMs }) => answeredMs)
        .filter((ms) => ms >= fromMs && ms <= toMs);
      if (times.length === 0) return Infinity;
      const all = [fromMs, ...times, toMs];
      return Math.max(...all.slice(1).map((ms, index) => ms - (all[index] ?? ms)));
    },
    stop: () => instrument.stop(),
  };
}

const text = (_key: string, value: unknown): unknown =>
  typeof value === 'bigint' ? value.toString() : value;
