/**
 * An operation that was started, followed to its end: every step as it happens for a person, one object for a script.
 *
 * O1. The operation does not depend on this command: Ctrl-C, a lost connection or the end of --wait only end the watching.
 * O2. A member that goes away is no reason to give up: another one is asked, for `silenceMs` at most.
 * O3. A script that does not wait learns what it started, one object. Members may hear of it a moment later than the
 * leader: that moment is waited for, whatever --wait says.
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
/** O3. */
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
  if (last === null) return unseen(context, waited, end.value.says);
  const status = over ? statusOf(last, waited.kind) : exitStatus.running;
  await show(context, { value: last, lines: (paint) => [verdict(last, over, paint)] });
  if (!over) context.terminal.err(`${lookAgain(waited.id)}\n`);
  return ok(status);
}

/** It is on record, and no member that was asked showed it. */
async function unseen(context: Context, { id, kind }: Waited, says: string): Promise<Ended> {
  const reason = says === '' ? 'no member tells of it yet' : says;
  const value = { operation: id, kind, outcome: 'running', steps: [], reason };
  if (forPrograms(context)) await show(context, { value, lines: () => [] });
  const known = `${id} was accepted, and nothing more is known of it: ${reason}`;
  return trouble(exitStatus.running, known, lookAgain(id));
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
  /** Why nobody could be asked at last; empty when somebody was. */
  readonly says: string;
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
  for (;;) {
    const answer = await client.getOperation({ id });
    const nowMs = performance.now();
    let says = '';
    if (answer.kind === 'ok') {
      heardMs = nowMs;
      last = operationView(answer.value);
      seen(last);
      if (isOver(last)) return ok({ last, over: true, says });
    } else if (answer.error.kind === 'not-found') {
      if (nowMs - heardMs > (last === null ? unknownMs : silenceMs)) return ok({ last, over: false, says });
    } else {
      says = answer.error.message;
      const transient = ['unreachable', 'deadline', 'internal'].includes(answer.error.kind);
      if (!transient || nowMs - heardMs > silenceMs) return callTrouble(answer.error, `watch ${id}`);
    }
    // O3
    const untilMs = startMs + (last === null ? Math.max(waitMs, unknownMs) : waitMs);
    if (stop.aborted || performance.now() >= untilMs) return ok({ last, over: false, says });
    await pause(Math.min(pollMs, untilMs - performance.now()), stop);
  }
}

async function pause(ms: number, stop: AbortSignal): Promise<void> {
  try {
    await sleep(ms, undefined, { signal: stop });
  } catch (error) {
    if (!stop.aborted) throw error;
  }
}
