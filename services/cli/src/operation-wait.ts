/**
 * An operation that was started, followed to its end: every step as it happens for a person, one object for a script.
 *
 * O1. The operation does not depend on this command: Ctrl-C, a lost connection or the end of --wait only end the watching.
 * O2. A member that goes away is no reason to give up: another one is asked, for `silenceMs` at most.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import type { AdminClient } from './admin-client.ts';
import type { Context } from './context.ts';
import { exitStatus, type ExitStatus } from './exit-status.ts';
import { StepLines } from './step-lines.ts';
import { forPrograms, show } from './show.ts';
import { styleOf, type Paint } from './text/paint.ts';
import { callTrouble, ok, sentence, trouble, type Ended, type Fallible } from './trouble.ts';
import { operationTitle, operationView, type OperationView } from './view/operation-view.ts';

/** Until it ends: each of its steps has a deadline, a person answers for an approval, and members that are silent are given up (O2). */
export const waitMsDefault = Infinity;
const pollMs = 150;
const silenceMs = 30_000;
/** A member that was just told of an operation may need a moment to read it back. */
const unknownMs = 3000;

/** What a person asked for; `deny` succeeds when the operation is denied. */
export interface Waited {
  readonly id: string;
  readonly kind: string;
  readonly waitMs: number;
}

export async function waitForOperation(
  context: Context,
  client: AdminClient,
  waited: Waited,
): Promise<Ended> {
  const lines = forPrograms(context) ? null : new StepLines(context.terminal);
  const end = await follow(context, client, waited, (view) => lines?.update(view));
  lines?.finish();
  if (end.kind === 'error') return end;
  const { last, over } = end.value;
  if (last === null) return trouble(exitStatus.running, `${waited.id} was started`, lookAgain(waited.id));
  const status = over ? statusOf(last, waited.kind) : exitStatus.running;
  await show(context, { value: last, lines: (paint) => [verdict(last, over, paint)] });
  if (!over) context.terminal.err(`${lookAgain(waited.id)}\n`);
  return ok(status);
}

const lookAgain = (id: string): string => `It goes on without this command: holdfast get operations ${id}`;

function isOver(view: OperationView): boolean {
  return ['done', 'failed', 'rolled-back', 'denied'].includes(view.outcome);
}

function statusOf(view: OperationView, kind: string): ExitStatus {
  const wanted = kind === 'deny' ? 'denied' : 'done';
  return view.outcome === wanted ? exitStatus.done : exitStatus.failed;
}

function verdict(view: OperationView, over: boolean, paint: Paint): string {
  const painted = paint(styleOf(view.outcome), view.outcome);
  const because = view.reason === '' ? '' : `: ${sentence(view.reason)}`;
  return `${operationTitle(view)} ${over ? '' : 'is still '}${painted}${because}`;
}

interface Followed {
  readonly last: OperationView | null;
  readonly over: boolean;
}

async function follow(
  context: Context,
  client: AdminClient,
  { id, waitMs }: Waited,
  seen: (view: OperationView) => void,
): Promise<Fallible<Followed>> {
  const stop = context.interruption();
  const startMs = performance.now();
  let heardMs = startMs;
  let last: OperationView | null = null;
  // At least once, so that a script that does not wait learns what it started.
  do {
    const answer = await client.getOperation({ id });
    const nowMs = performance.now();
    if (answer.kind === 'ok') {
      heardMs = nowMs;
      last = operationView(answer.value);
      seen(last);
      if (isOver(last)) return ok({ last, over: true });
    } else {
      const quiet = answer.error.kind === 'not-found' ? unknownMs : silenceMs;
      const transient = ['not-found', 'unreachable', 'deadline', 'internal'].includes(answer.error.kind);
      if (!transient || nowMs - heardMs > quiet) return callTrouble(answer.error, `watch ${id}`);
    }
    await pause(Math.min(pollMs, Math.max(0, startMs + waitMs - performance.now())), stop);
  } while (performance.now() - startMs < waitMs && !stop.aborted);
  return ok({ last, over: false });
}

async function pause(ms: number, stop: AbortSignal): Promise<void> {
  try {
    await sleep(ms, undefined, { signal: stop });
  } catch (error) {
    if (!stop.aborted) throw error;
  }
}
