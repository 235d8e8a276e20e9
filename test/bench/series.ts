/** The same thing measured several times. A run that fails is counted and told, never left out in silence. */

export interface Series<Value> {
  readonly values: readonly Value[];
  /** Runs that gave no value. */
  readonly lost: number;
}

export type Say = (line: string) => void;

export interface Measure<Value> {
  readonly name: string;
  readonly runs: number;
  readonly say: Say;
  measure(): Promise<Value>;
  /** One line about a value. */
  tell(value: Value): string;
  /** Given all that is known after each run, also when the next one fails. */
  keep(series: Series<Value>): void;
}

/**
 * What a failed run left behind would spoil the next: the series ends with it, all that is missing counts as lost, and
 * the failure is thrown.
 */
export async function series<Value>(wanted: Measure<Value>): Promise<void> {
  const { name, runs, say } = wanted;
  const values: Value[] = [];
  for (let run = 1; run <= runs; run += 1) {
    try {
      const value = await wanted.measure();
      values.push(value);
      say(`${name} ${run}/${runs}: ${wanted.tell(value)}`);
      wanted.keep({ values, lost: 0 });
    } catch (error) {
      wanted.keep({ values, lost: runs - values.length });
      throw new Error(`${name} ${run}/${runs} failed`, { cause: error });
    }
  }
}

/** An error and what caused it, for a person. */
export function tellError(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  return error.cause === undefined ? error.message : `${error.message}: ${tellError(error.cause)}`;
}
