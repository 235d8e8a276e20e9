/** `holdfast events [--follow]`: the history, and what happens now. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Failed } from '@holdfast/wire/directory';
import type { AdminClient } from '../admin-client.ts';
import { withCluster } from '../ask.ts';
import type { Context } from '../context.ts';
import { exitStatus } from '../exit-status.ts';
import { forPrograms, show } from '../show.ts';
import { paintWith } from '../text/paint.ts';
import { callTrouble, ok, wrong, type Ended, type Fallible, type Trouble } from '../trouble.ts';
import { eventLine, eventsLines, eventView, type EventView } from '../view/event-view.ts';

export interface EventsOptions {
  readonly follow?: boolean;
  readonly group?: string;
  readonly limit?: string;
}

const attemptsMax = 7;
const eventsMax = 100_000;
const againMs = 500;
/** No further member is asked after this time. */
const historyMs = 2500;

export async function events(context: Context, options: EventsOptions): Promise<Ended> {
  const limit = Number(options.limit ?? (options.follow === true ? '20' : '0'));
  if (!Number.isInteger(limit) || limit < 0 || limit > eventsMax) {
    return wrong(
      `--limit: ${JSON.stringify(options.limit)} is not a number of events`,
      'Write a whole number such as 20; 0 is all.',
    );
  }
  const wanted = { group: options.group ?? '', limit };
  return withCluster(context, async (client) => {
    if (options.follow === true) return follow(context, client, wanted);
    const history = await historyOf(client, wanted);
    if (history.kind === 'error') return history;
    const all = history.value;
    await show(context, { value: all, lines: (paint, wide) => eventsLines(all, paint, wide) });
    return ok(exitStatus.done);
  });
}

/** All of it, oldest first, from the first member that gives it whole. */
export async function historyOf(
  client: AdminClient,
  wanted: { readonly group: string; readonly limit: number },
): Promise<Fallible<readonly EventView[]>> {
  const endMs = performance.now() + historyMs;
  for (let attempt = 1; ; attempt += 1) {
    const found: EventView[] = [];
    let failed: Failed<Trouble> | null = null;
    for await (const answer of client.events({ ...wanted, follow: false })) {
      if (answer.kind === 'ok') found.push(eventView(answer.value));
      else failed = callTrouble(answer.error, 'events');
      if (found.length >= eventsMax) break;
    }
    if (failed === null) return ok(found);
    const again = failed.error.status === exitStatus.unreachable && attempt < attemptsMax;
    if (!again || performance.now() > endMs) return failed;
  }
}

/**
 * Until Ctrl-C. A member that goes away is replaced by another, which is asked for everything: what was shown already is
 * known by its id, as ids rise with time.
 */
async function follow(
  context: Context,
  client: AdminClient,
  wanted: { readonly group: string; readonly limit: number },
): Promise<Ended> {
  const stop = context.interruption();
  const stopped = (): boolean => stop.aborted;
  let last = '';
  let attempts = 0;
  while (!stopped()) {
    const limit = last === '' ? wanted.limit : 0;
    for await (const answer of client.events({ ...wanted, limit, follow: true }, stop)) {
      if (answer.kind === 'ok') {
        attempts = 0;
        const event = eventView(answer.value);
        if (event.id <= last) continue;
        last = event.id;
        showOne(context, event);
        continue;
      }
      const failed = callTrouble(answer.error, 'events');
      if (stopped()) break;
      if (failed.error.status !== exitStatus.unreachable) return failed;
      attempts += 1;
      // Nothing was ever heard: the command can't do its work. Later on, waiting is what it is for.
      if (last === '' && attempts >= attemptsMax) return failed;
      if (attempts === 1 && last !== '')
        context.terminal.err('holdfast: the member went away; asking another\n');
    }
    if (!stopped()) await sleep(againMs);
  }
  return ok(exitStatus.done);
}

function showOne(context: Context, event: EventView): void {
  const { terminal, format } = context;
  const line = forPrograms(context)
    ? format === 'json'
      ? JSON.stringify(event)
      : `---\n${yamlOf(event)}`
    : eventLine(event, paintWith(terminal.colours), format === 'wide');
  terminal.out(`${line}\n`);
}

/** A flat record needs no library: JSON's texts and numbers are YAML's. */
const yamlOf = (event: EventView): string =>
  Object.entries(event)
    .map(([key, value]) => `${key}: ${JSON.stringify(value)}`)
    .join('\n');
