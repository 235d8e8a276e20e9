/** What a client saw: answers in the order in which they came, and what follows from them. All times are CLOCK_MONOTONIC. */

export interface Answer {
  readonly sentMs: number;
  readonly answeredMs: number;
  readonly server: string;
}

export interface Sight {
  readonly answers: readonly Answer[];
  /** The longest pause that the probe itself made between two questions. */
  readonly stallMs: number;
}

export interface Handover {
  readonly from: string;
  readonly to: string;
  readonly lastMs: number;
  readonly firstMs: number;
  /** Last answer from the old to first from the new. */
  readonly gapMs: number;
}

/** Every change of who answers. */
export function handovers(answers: readonly Answer[]): Handover[] {
  return answers.slice(1).flatMap((answer, index) => {
    const before = answers[index];
    if (before === undefined || before.server === answer.server) return [];
    const { answeredMs: lastMs } = before;
    const { answeredMs: firstMs } = answer;
    return [{ from: before.server, to: answer.server, lastMs, firstMs, gapMs: firstMs - lastMs }];
  });
}

/** The longest time without an answer, in milliseconds. */
export function longestGapMs(answers: readonly Answer[]): number {
  return answers.slice(1).reduce((longest, { answeredMs }, index) => {
    const before = answers[index];
    return before === undefined ? longest : Math.max(longest, answeredMs - before.answeredMs);
  }, 0);
}

/** True when the servers took turns: one that had been followed by another answered again. */
export function tookTurns(answers: readonly Answer[]): boolean {
  const order = [answers[0]?.server, ...handovers(answers).map(({ to }) => to)];
  return new Set(order).size !== order.length;
}
