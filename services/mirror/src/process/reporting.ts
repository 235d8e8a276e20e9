/**
 * When the agent is told what: at once when a state changed that somebody decides by, at most every `everyMs` when only
 * figures did, and not at all when nothing changed.
 */

import type { MirrorReport } from '@holdfast/core';

export interface ReportingPorts {
  readonly reports: () => readonly MirrorReport[];
  readonly problems: () => readonly string[];
  readonly tell: (reports: readonly MirrorReport[], problems: readonly string[]) => void;
  /** Monotonic. */
  readonly nowMs: () => number;
}

const lookMs = 100;
/** Without mirrors nobody waits for a report. */
const restMs = 1_000;
const everyMs = 200;

export class Reporting {
  readonly #ports: ReportingPorts;
  #timer: NodeJS.Timeout;
  #states = '';
  #figures = '';
  #toldMs = Number.NEGATIVE_INFINITY;

  constructor(ports: ReportingPorts) {
    this.#ports = ports;
    this.#timer = this.#arm();
  }

  /** Orders came: mirrors may begin or end. */
  wake(): void {
    clearTimeout(this.#timer);
    this.look();
    this.#timer = this.#arm();
  }

  look(): void {
    const reports = this.#ports.reports();
    const problems = this.#ports.problems();
    const states = textOf([reports.map(stateOf), problems]);
    const due = this.#ports.nowMs() - this.#toldMs >= everyMs;
    if (states === this.#states && !due) return;
    const figures = textOf([reports, problems]);
    if (figures === this.#figures) return;
    this.#states = states;
    this.#figures = figures;
    this.#toldMs = this.#ports.nowMs();
    this.#ports.tell(reports, problems);
  }

  close(): void {
    clearTimeout(this.#timer);
  }

  #arm(): NodeJS.Timeout {
    return setTimeout(() => this.wake(), this.#ports.reports().length === 0 ? restMs : lookMs);
  }
}

/** What decisions rest on, without what changes with every byte. */
function stateOf(report: MirrorReport): unknown {
  switch (report.kind) {
    case 'source': {
      const targets = report.targets.map(({ target, state, consistent, says, hot }) => [
        target,
        state,
        consistent,
        says,
        hot !== undefined,
      ]);
      return [report.mirror, report.kind, report.epoch, report.says, targets];
    }
    case 'target': {
      const { mirror, kind, epoch, consistent, state, says } = report;
      return [mirror, kind, epoch, consistent, state, says];
    }
  }
}

const textOf = (value: unknown): string =>
  JSON.stringify(value, (_key, field: unknown) => (typeof field === 'bigint' ? field.toString() : field));
