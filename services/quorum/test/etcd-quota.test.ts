/** An etcd whose database is full: what a write is told, and what it says of itself. */
import { statusOf } from '../src/etcd/members.ts';
import { createEtcdStore } from '../src/etcd/store.ts';
import { clientOf, createFixture, until, type Fixture } from './etcd-fixture.ts';

let fixture: Fixture;

beforeAll(() => {
  fixture = createFixture();
});

afterAll(() => fixture.close(), 15_000);

describe('an etcd whose database is full', () => {
  it('tells whoever writes what to do, and everybody of its alarm', async () => {
    const options = await fixture.options('full', { quotaBytes: 1_024 * 1_024 });
    await fixture.start(options);
    const store = createEtcdStore({ endpoints: [clientOf(options)], tls: fixture.tls, localFirst: true });
    try {
      const value = 'x'.repeat(100_000);
      let count = 0;
      // What was written counts when etcd commits it to its database, some seconds later.
      const says = await until(
        'a write to be refused',
        async () => {
          count += 1;
          const puts = [{ key: `/fill/${count}`, value }];
          const answer = await store.txn({ compares: [], puts, deletes: [], reads: [] }, 2_000);
          return answer.kind === 'unknown' && answer.says;
        },
        20_000,
      );
      expect(says).toBe(
        `etcd at ${clientOf(options)} is full and takes no writes; on each member that votes: etcdctl defrag; ` +
          'then once: etcdctl alarm disarm (docs/operations.md, "A full etcd")',
      );
      expect(await statusOf(clientOf(options), fixture.tls, 2_000)).toMatchObject({
        status: { alarms: ['NOSPACE'] },
      });
      expect((await store.read('/fill/1', 2_000)).kind).toBe('read');
    } finally {
      store.close();
    }
  }, 40_000);
});
