/** `holdfast events`: the history, whole, and as it happens. */
import { ok } from '../src/trouble.ts';
import { bad, event, FakeCluster, lines, run } from './fake-cluster.ts';

describe('events', () => {
  it.each([[], ['--follow']])('of a group that nobody has are a mistyped name %j', async (...follow) => {
    const cluster = new FakeCluster();
    cluster.answers = {
      async *events() {
        await Promise.resolve();
        yield bad('not-found', 'there is no group d33; groups: d3');
      },
    };
    const typo = await run(cluster, ['events', '--group', 'd33', ...follow]);
    expect(typo.status).toBe(2);
    expect(typo.err).toContain('there is no group d33; groups: d3');
  });

  it('of a group without any are none', async () => {
    const cluster = new FakeCluster();
    cluster.answers = {
      async *events() {
        await Promise.resolve();
        yield* [];
      },
    };
    expect(await run(cluster, ['events', '--group', 'd3'])).toMatchObject({
      status: 0,
      out: 'no events yet\n',
    });
  });

  it('are listed once, from a member that gives them whole', async () => {
    const cluster = new FakeCluster();
    let asked = 0;
    cluster.answers = {
      async *events() {
        await Promise.resolve();
        asked += 1;
        yield ok(event('e1'));
        if (asked === 1) yield bad('unreachable', 'a went away');
        else yield ok(event('e2', { group: '', server: '', epoch: 0n }));
      },
    };
    const { status, out } = await run(cluster, ['events', '--limit', '5']);
    expect(status).toBe(0);
    expect(out).toBe(
      lines(
        'TIME (UTC)           GROUP  SERVER  KIND      REASON',
        '2026-11-20 10:00:00  d3     a       failover  reason of e1',
        '2026-11-20 10:00:00  -      -       failover  reason of e2',
      ),
    );
    expect(cluster.requests('events')[0]).toEqual({ follow: false, group: '', limit: 5, after: 0n });
    expect((await run(cluster, ['events', '--limit', 'x'])).status).toBe(2);
  });

  it('are followed through the loss of a member, none of them twice', async () => {
    const cluster = new FakeCluster();
    const stop = new AbortController();
    let asked = 0;
    cluster.answers = {
      async *events() {
        await Promise.resolve();
        asked += 1;
        yield ok(event('e1'));
        if (asked === 1) {
          yield bad('unreachable', 'a went away');
          return;
        }
        yield ok(event('e2'));
        stop.abort();
      },
    };
    const { status, out } = await run(cluster, ['events', '--follow', '-o', 'json'], { stop });
    expect(status).toBe(0);
    const shown = out
      .trim()
      .split('\n')
      .map((line): unknown => JSON.parse(line));
    expect(shown).toMatchObject([{ id: 'e1' }, { id: 'e2' }]);
  });

  it('are followed in the order in which they came, however late a server told what happened to it', async () => {
    const cluster = new FakeCluster();
    const stop = new AbortController();
    const asked: bigint[] = [];
    cluster.answers = {
      async *events(request) {
        await Promise.resolve();
        asked.push(request.after);
        if (asked.length === 1) {
          yield ok(event('300-b-1', { revision: 7n }));
          yield ok(event('100-a-1', { revision: 9n }));
          yield bad('unreachable', 'a went away');
          return;
        }
        yield ok(event('100-a-1', { revision: 9n }));
        yield ok(event('101-a-2', { revision: 9n }));
        yield ok(event('102-a-3', { revision: 10n }));
        stop.abort();
      },
    };
    const { out } = await run(cluster, ['events', '--follow', '-o', 'json'], { stop });
    const ids = out
      .trim()
      .split('\n')
      .map((line) => (JSON.parse(line) as { id: string }).id);
    expect(ids).toEqual(['300-b-1', '100-a-1', '101-a-2', '102-a-3']);
    expect(asked).toEqual([0n, 8n]);
  });
});
