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
});
