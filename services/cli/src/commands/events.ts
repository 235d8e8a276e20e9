/** `holdfast events [--follow]`: the history, and what happens now. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { admin } from '@holdfast/proto';
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
    for await (const answer of client.events({ ...wanted, follow: false, after: 0n })) {
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
 * Until Ctrl-C. A member that goes away is replaced by another, which is asked for what came to the store since. Several
 * events may have come at once, so those of the last revision are asked for again, and told apart by their ids.
 */
async function follow(
  context: Context,
  client: AdminClient,
  wanted: { readonly group: string; readonly limit: number },
): Promise<Ended> {
  const stop = context.interruption();
  const stopped = (): boolean => stop.aborted;
  const shown = new Shown();
  let attempts = 0;
  while (!stopped()) {
    const limit = shown.any ? 0 : wanted.limit;
    for await (const answer of client.events({ ...wanted, limit, follow: true, after: shown.after }, stop)) {
      if (answer.kind === 'ok') {
        attempts = 0;
        if (shown.add(answer.value)) showOne(context, eventView(answer.value));
        continue;
      }
      const failed = callTrouble(answer.error, 'events');
      if (stopped()) break;
      if (failed.error.status !== exitStatus.unreachable) return failed;
      attempts += 1;
      // Nothing was ever heard: the command can't do its work. Later on, waiting is what it is for.
      if (!shown.any && attempts >= attemptsMax) return failed;
      if (attempts === 1 && shown.any)
        context.terminal.err('holdfast: the member went away; asking another\n');
    }
    if (!stopped()) await sleep(againMs);
  }
  return ok(exitStatus.done);
}

/** What was shown so far. */
class Shown {
  #revision = 0n;
  /** Those of the last revision. */
  #ids = new Set<string>();
  #lastId = '';

  get any(): boolean {
    return this.#lastId !== '';
  }

  get after(): bigint {
    return this.#revision === 0n ? 0n : this.#revision - 1n;
  }

  /** False: it was shown before. */
  add({ id, revision }: admin.Event): boolean {
    // A member of an older version does not tell: then ids must do.
    const isNew =
      revision === 0n
        ? id > this.#lastId
        : revision > this.#revision || (revision === this.#revision && !this.#ids.has(id));
    if (!isNew) return false;
    if (revision > this.#revision) {
      this.#revision = revision;
      this.#ids = new Set();
    }
    this.#ids.add(id);
    if (id > this.#lastId) this.#lastId = id;
    return true;
  }
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
