/**
 * The history for one who asks, once or for as long as he listens.
 *
 *   F1  what is new is told by when it came to the store, never by when it happened: a server that was cut off tells late,
 *       and wall clocks jump
 *   F2  who asks for a group that is not there, and never was, hears so, instead of nothing
 */

import type { admin } from '@holdfast/proto';
import { failure, type Answer } from '@holdfast/wire/rpc';
import { eventMessage, readEvents } from './history.ts';
import type { Store } from './store.ts';

const followEveryMs = 500;

export interface Listener {
  /** False: he has gone. */
  send(event: admin.Event): Promise<boolean>;
  readonly signal: AbortSignal;
}

export async function streamEvents(
  store: () => Pick<Store, 'read'>,
  request: admin.EventsRequest,
  to: Listener,
  noSuch: (group: string) => Answer<never> | null,
  everyMs = followEveryMs,
): Promise<Answer<null>> {
  let { after } = request;
  let first = true;
  while (!to.signal.aborted) {
    const all = await readEvents(store());
    if (all === null && first) return failure('unreachable', "the cluster's store does not answer");
    // F2. Of a group that was removed there is a history, too.
    const known = request.group === '' || (all ?? []).some(({ event }) => event.group === request.group);
    const wrong = first && !known ? noSuch(request.group) : null;
    if (wrong !== null) return wrong;
    const wanted = (all ?? []).filter(
      ({ event, revision }) => revision > after && (request.group === '' || event.group === request.group),
    );
    // F1. Whoever only reads gets what happened in order.
    if (request.follow)
      wanted.sort((a, b) => (a.revision < b.revision ? -1 : a.revision > b.revision ? 1 : 0));
    const shown = first && request.limit > 0 ? wanted.slice(-request.limit) : wanted;
    for (const { event, revision } of shown)
      if (!(await to.send(eventMessage(event, revision)))) return { kind: 'ok', value: null };
    for (const { revision } of all ?? []) if (revision > after) after = revision;
    first = false;
    if (!request.follow) break;
    await new Promise((resolve) => setTimeout(resolve, everyMs));
  }
  return { kind: 'ok', value: null };
}
