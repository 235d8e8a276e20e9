/**
 * What a person does, as an event of the history. It is put in the very transaction that does it: neither is there without
 * the other, and nobody has to guess later who it was.
 */

import { encode, eventId, keys, type EventRecord, type Revision, type Txn } from '@holdfast/core';

export interface Deed {
  readonly by: string;
  readonly wall: number;
  readonly kind: 'applied' | 'maintenance' | 'paused' | 'resumed' | 'token' | 'joined';
  /** What makes its id another than that of a deed of the same moment. */
  readonly subject: string;
  readonly group?: string | undefined;
  readonly server?: string | undefined;
  /** A clause without its subject: who did it is put before. */
  readonly does: string;
}

const lengthMax = 1_000;

/** `revision`: of the view that it was done from. */
export function deedPut(deed: Deed, revision: Revision): Txn['puts'][number] {
  const { by, wall, kind, subject, group = '', server = '', does } = deed;
  const reason = `${by} ${does}`;
  const event: EventRecord = {
    id: eventId(wall, subject, revision),
    time: wall,
    group: group === '' ? null : group,
    server: server === '' ? null : server,
    kind,
    reason: reason.length > lengthMax ? `${reason.slice(0, lengthMax)}...` : reason,
    epoch: null,
    inputs: null,
  };
  return { key: keys.event(event.id), value: encode(event) };
}

/** What somebody said about it, to be put behind. */
export function because(reason: string): string {
  return reason === '' ? '' : ` (${reason})`;
}
