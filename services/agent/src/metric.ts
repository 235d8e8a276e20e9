/** A figure for Prometheus: read when somebody asks, and never kept in between. */

import type { Registry } from 'prom-client';

export type Labels = Readonly<Record<string, string>>;
export type Sample = readonly [Labels, number];

export interface Metric {
  /** Without the prefix. What only rises ends in `_total`, as Prometheus has it, and is a counter. */
  readonly name: string;
  readonly help: string;
  readonly labels: readonly string[];
  readonly read: () => Iterable<Sample>;
}

export type Library = Pick<typeof import('prom-client'), 'Counter' | 'Gauge'>;

export function register({ Counter, Gauge }: Library, registry: Registry, metrics: readonly Metric[]): void {
  for (const { name, help, labels, read } of metrics) {
    // Without labels a reset leaves a 0, also of what is not known.
    const hasZero = labels.length === 0;
    const options = { name: `holdfast_${name}`, help, registers: [registry], labelNames: labels };
    if (name.endsWith('_total'))
      new Counter({
        ...options,
        collect() {
          this.reset();
          if (hasZero) this.remove();
          for (const [sample, value] of read()) this.inc(sample, value);
        },
      });
    else
      new Gauge({
        ...options,
        collect() {
          this.reset();
          if (hasZero) this.remove();
          for (const [sample, value] of read()) this.set(sample, value);
        },
      });
  }
}

/** One figure without labels; null: it is not known. */
export function single(name: string, help: string, value: () => number | null): Metric {
  return {
    name,
    help,
    labels: [],
    read: () => {
      const known = value();
      return known === null ? [] : [[{}, known]];
    },
  };
}

/** One figure for each value of a label. */
export function labelled(
  name: string,
  help: string,
  label: string,
  rows: () => Iterable<readonly [string, number]>,
): Metric {
  return {
    name,
    help,
    labels: [label],
    read: () => [...rows()].map(([value, figure]): Sample => [{ [label]: value }, figure]),
  };
}
