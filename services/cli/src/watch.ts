/**
 * `-w`: the same answer again every second. On a terminal in its alternate screen, which is left whatever happens;
 * elsewhere one answer below the other.
 *
 * W1. A cluster that does not answer is said, not a reason to stop looking. Any other failure of the first question is one: it
 *     would be the same for ever, as with a wrong name.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Context } from './context.ts';
import { exitStatus } from './exit-status.ts';
import { forPrograms, show, textOf, type Shown } from './show.ts';
import { amountOfTime } from './text/amounts.ts';
import { paintWith } from './text/paint.ts';
import { ok, troubleText, type Ended, type Fallible } from './trouble.ts';

const periodMs = 1000;

const screen = {
  // Alternate screen, no cursor, no wrapping: long lines are cut by the terminal itself. Source: xterm control sequences.
  enter: '\u001B[?1049h\u001B[?25l\u001B[?7l',
  leave: '\u001B[?7h\u001B[?25h\u001B[?1049l',
  home: '\u001B[H',
  restOfLine: '\u001B[K',
  restOfScreen: '\u001B[J',
} as const;

type Take = () => Promise<Fallible<Shown>>;

/** Shows once, or again and again. */
export async function showOrWatch(context: Context, watching: boolean, take: Take): Promise<Ended> {
  if (watching) return watch(context, take);
  const taken = await take();
  if (taken.kind === 'error') return taken;
  await show(context, taken.value);
  return ok(exitStatus.done);
}

async function watch(context: Context, take: Take): Promise<Ended> {
  const { terminal } = context;
  const full = terminal.isTty && !forPrograms(context);
  const stop = context.interruption();
  if (full) terminal.out(screen.enter);
  try {
    let lastGood: { readonly text: string; readonly atMs: number } | null = null;
    while (!stop.aborted) {
      const taken = await take();
      if (taken.kind === 'error' && lastGood === null && taken.error.status !== exitStatus.unreachable)
        return taken; // W1
      if (taken.kind === 'ok') {
        lastGood = { text: await textOf(context, taken.value), atMs: context.now() };
        draw(context, full, lastGood.text);
      } else if (full) {
        const age =
          lastGood === null ? '' : ` What follows is ${amountOfTime(context.now() - lastGood.atMs)} old.\n`;
        const says = paintWith(terminal.colours)('red', troubleText(taken.error));
        draw(context, full, `${says}${age}\n${lastGood?.text ?? ''}`);
      } else {
        terminal.err(troubleText(taken.error));
      }
      await pause(stop);
    }
  } finally {
    if (full) terminal.out(screen.leave);
  }
  return ok(exitStatus.done);
}

async function pause(stop: AbortSignal): Promise<void> {
  try {
    await sleep(periodMs, undefined, { signal: stop });
  } catch (error) {
    if (!stop.aborted) throw error;
  }
}

/** One write per picture, so that it never flickers. */
function draw({ terminal }: Context, full: boolean, text: string): void {
  if (!full) {
    terminal.out(text);
    return;
  }
  const lines = text.trimEnd().split('\n');
  const room = Math.max(1, terminal.rows - 1);
  const shown =
    lines.length <= room ? lines : [...lines.slice(0, room - 1), `... ${lines.length - room + 1} more lines`];
  const body = shown.map((line) => `${line}${screen.restOfLine}\n`).join('');
  terminal.out(`${screen.home}${body}${screen.restOfScreen}`);
}
