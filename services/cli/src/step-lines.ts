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
  readonly #printed = new Set<string>();
  #running = false;

  constructor(terminal: Terminal) {
    this.#terminal = terminal;
  }

  /** Prints what is new. The steps of a release may become known after the first of the next owner's: in front of them. */
  update(view: OperationView): void {
    this.#clear();
    if (!this.#titled) {
      this.#titled = true;
      this.#terminal.out(`${operationTitle(view)} (${view.operation})\n`);
    }
    for (const [key, step] of keyed(view.steps)) {
      if (step.outcome === 'running' || this.#printed.has(key)) continue;
      this.#printed.add(key);
      this.#terminal.out(`  ${this.#line(step)}\n`);
    }
    const running = view.steps.findLast(({ outcome }) => outcome === 'running');
    if (this.#terminal.isTty && running !== undefined) {
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

/** Each step by its server and name; a step that is done a second time, because it is taken back, is another one. */
function* keyed(steps: readonly StepView[]): Generator<readonly [string, StepView]> {
  const seen = new Map<string, number>();
  for (const step of steps) {
    const name = `${step.server} ${step.name}`;
    const nth = (seen.get(name) ?? 0) + 1;
    seen.set(name, nth);
    yield [`${name} ${nth}`, step];
  }
}
