/** The steps of an operation as they happen: one line each when it ends; on a terminal the running one as well. */
import type { Terminal } from './terminal.ts';
import { columns } from './text/columns.ts';
import { paintWith } from './text/paint.ts';
import { operationTitle, stepRow, type OperationView, type StepView } from './view/operation-view.ts';

const clearLine = '\r\u001B[K';
/** Wide enough for the names of steps, so that lines that are printed one by one stand in columns. */
const widths = { server: 8, name: 22, time: 8 } as const;

export class StepLines {
  readonly #terminal: Terminal;
  #titled = false;
  #printed = 0;
  #running = false;

  constructor(terminal: Terminal) {
    this.#terminal = terminal;
  }

  /** Prints what is new. Steps only ever end in their order. */
  update(view: OperationView): void {
    this.#clear();
    if (!this.#titled) {
      this.#titled = true;
      this.#terminal.out(`${operationTitle(view)} (${view.operation})\n`);
    }
    for (const step of view.steps.slice(this.#printed)) {
      if (step.outcome === 'running') break;
      this.#printed += 1;
      this.#terminal.out(`  ${this.#line(step)}\n`);
    }
    const running = view.steps[this.#printed];
    if (this.#terminal.isTty && running?.outcome === 'running') {
      this.#running = true;
      this.#terminal.out(`  ${this.#line(running)}`);
    }
  }

  finish(): void {
    this.#clear();
  }

  #clear(): void {
    if (this.#running) this.#terminal.out(clearLine);
    this.#running = false;
  }

  #line(step: StepView): string {
    const [server = '', name = '', time = '', ...rest] = stepRow(step);
    const pad = (value: typeof server, width: number): string =>
      (typeof value === 'string' ? value : value.text).padEnd(width);
    const row = [pad(server, widths.server), pad(name, widths.name), pad(time, widths.time), ...rest];
    return columns([row], paintWith(this.#terminal.colours)).join('');
  }
}
