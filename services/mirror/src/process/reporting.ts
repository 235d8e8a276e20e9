/**
 * When the agent is told what: at once when a state changed that somebody decides by, at most every `figuresMs` when only
 * figures did, and now and then when nothing changed: an agent that hears nothing has to believe that nobody looks.
 */

import { telling, type MirrorReport } from '@holdfast/core';

export interface ReportingPorts {
  readonly reports: () => readonly MirrorReport[];
  readonly problems: () => readonly string[];
  readonly tell: (reports: readonly MirrorReport[], problems: readonly string[]) => void;
  /** Monotonic. */
  readonly nowMs: () => number;
}

/** Without mirrors nobody waits for a report. */
const idleMs = 1_000;

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
    const silentMs = this.#ports.nowMs() - this.#toldMs;
    if (states === this.#states && silentMs < telling.figuresMs) return;
    const figures = textOf([reports, problems]);
    const awaited = reports.length > 0 && silentMs >= telling.restMs;
    if (figures === this.#figures && !awaited) return;
    this.#states = states;
    this.#figures = figures;
    this.#toldMs = this.#ports.nowMs();
    this.#ports.tell(reports, problems);
  }

  close(): void {
    clearTimeout(this.#timer);
  }

  #arm(): NodeJS.Timeout {
    return setTimeout(() => this.wake(), this.#ports.reports().length === 0 ? idleMs : telling.lookMs);
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
