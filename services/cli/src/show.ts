/** An answer in the form that was asked for: a table for people, JSON and YAML for scripts. */
import type { Context } from './context.ts';
import { paintWith, type Paint } from './text/paint.ts';

export interface Shown {
  /** What scripts read. */
  readonly value: unknown;
  /** What people read. */
  readonly lines: (paint: Paint, wide: boolean) => readonly string[];
}

/** The answer as text, with a newline at its end. */
export async function textOf(context: Context, shown: Shown): Promise<string> {
  switch (context.format) {
    case 'json':
      return `${JSON.stringify(shown.value, null, 2)}\n`;
    case 'yaml': {
      const { stringify } = await import('./text/yaml.ts');
      return stringify(shown.value);
    }
    case 'table':
    case 'wide': {
      const lines = shown.lines(paintWith(context.terminal.colours), context.format === 'wide');
      return lines.map((line) => `${line}\n`).join('');
    }
  }
}

export async function show(context: Context, shown: Shown): Promise<void> {
  context.terminal.out(await textOf(context, shown));
}

/** True when the answer is for a program, so that nothing else may stand on standard output. */
export const forPrograms = (context: Context): boolean =>
  context.format === 'json' || context.format === 'yaml';
