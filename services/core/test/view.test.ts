/** What a quorum service makes of the rows of the store. */

import { encode, keys } from '../src/index.ts';
import { absorb, absorbAll, emptyView } from '../src/quorum/view.ts';
import { ownedByA } from './leader.ts';

const key = keys.group('g1');
const unreadable = absorb(emptyView, 10n, [{ key, value: '{', modRevision: 10n }], 0);

describe('a record that can not be read', () => {
  it('is told', () => {
    expect([...unreadable.garbage.keys()]).toEqual([key]);
  });

  it('is told no more once another one is in its place', () => {
    const read = absorb(unreadable, 11n, [{ key, value: encode(ownedByA), modRevision: 11n }], 0);
    expect(read.garbage.size).toBe(0);
    expect(read.groups.get('g1')?.value).toEqual(ownedByA);
  });

  it('is told no more once it is gone, however that was learned', () => {
    const gone = absorb(unreadable, 11n, [{ key, value: null, modRevision: 11n }], 0);
    expect(gone.garbage.size).toBe(0);
    expect(absorbAll(unreadable, 11n, [], 0).garbage.size).toBe(0);
  });

  it('is told of maintenance, too, which stands as it was read last', () => {
    const row = (value: string, modRevision: bigint) => ({ key: keys.maintenance, value, modRevision });
    const paused = { cluster: 'night shift', groups: {}, servers: {} };
    const known = absorb(emptyView, 10n, [row(encode(paused), 10n)], 0);
    const spoilt = absorb(known, 11n, [row('{', 11n)], 0);
    expect([...spoilt.garbage.keys()]).toEqual([keys.maintenance]);
    expect(spoilt.maintenance?.value.cluster).toBe('night shift');
    expect(absorb(spoilt, 12n, [row(encode(paused), 12n)], 0).garbage.size).toBe(0);
  });
});
