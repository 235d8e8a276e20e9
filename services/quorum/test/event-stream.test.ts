/** Who follows the history is told everything that comes to it, whenever it happened. */
import { encode, keys, type EventRecord, type ReadAnswer, type Row } from '@holdfast/core';
import { admin } from '@holdfast/proto';
import { failure } from '@holdfast/wire/rpc';
import { streamEvents } from '../src/event-stream.ts';

function event(id: string, modRevision: bigint, group: string | null = 'g1'): Row {
  const record: EventRecord = {
    ...{ id, time: Number(id.slice(0, 3)), group, server: 'a', kind: 'fenced', reason: 'cut off', epoch: 1n },
    inputs: null,
  };
  return { key: keys.event(id), value: encode(record), modRevision };
}

/** What was sent until `count` events were, or the stream ended. */
async function told(
  request: Partial<admin.EventsRequest>,
  count: number,
  ...reads: readonly (readonly Row[])[]
) {
  const leaving = new AbortController();
  const sent: string[] = [];
  let at = 0;
  const read = (): Promise<ReadAnswer> => {
    const rows = reads[Math.min(at, reads.length - 1)] ?? [];
    at += 1;
    return Promise.resolve({ kind: 'read', revision: 99n, rows });
  };
  const send = ({ id }: admin.Event): Promise<boolean> => {
    sent.push(id);
    if (sent.length >= count) leaving.abort();
    return Promise.resolve(true);
  };
  const listener = { send, signal: leaving.signal };
  const noSuch = (group: string) => failure('not-found', `there is no group ${group}`);
  const ended = await streamEvents(
    () => ({ read }),
    admin.EventsRequest.fromPartial(request),
    listener,
    noSuch,
    1,
  );
  if (ended.kind === 'error') return ended.error.message;
  return sent;
}

describe('the history', () => {
  const before = [event('100-b-1', 5n), event('300-b-2', 6n)];
  const late = [...before, event('200-a-1', 8n), event('201-a-2', 8n)];

  it('is told in the order in which things happened', async () => {
    expect(await told({}, 9, late)).toEqual(['100-b-1', '200-a-1', '201-a-2', '300-b-2']);
  });

  it('is followed by what came later, though it happened before', async () => {
    expect(await told({ follow: true }, 4, before, late)).toEqual([
      ...['100-b-1', '300-b-2', '200-a-1', '201-a-2'],
    ]);
  });

  it('of a group that never was is none, and that is said; of one that was removed there is one', async () => {
    expect(await told({ group: 'g1' }, 9, before)).toEqual(['100-b-1', '300-b-2']);
    expect(await told({ group: 'gl' }, 9, before)).toBe('there is no group gl');
    expect(await told({ group: 'gl', follow: true }, 9, before)).toBe('there is no group gl');
  });

  it('goes on after what another member told', async () => {
    expect(await told({ follow: true, after: 6n }, 2, late)).toEqual(['200-a-1', '201-a-2']);
  });

  it('is bounded only at the beginning', async () => {
    const limited = { follow: true, limit: 1, group: 'g1' };
    const others = [...before, event('400-b-3', 7n, 'g2')];
    expect(await told(limited, 3, others, [...others, ...late.slice(2)])).toEqual([
      ...['300-b-2', '200-a-1', '201-a-2'],
    ]);
  });
});
