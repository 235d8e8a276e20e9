import { ok } from '../src/trouble.ts';
import { bad, FakeCluster, group, lines, nowMs, run, server, statusReply } from './fake-cluster.ts';
import type { admin } from '@holdfast/proto';

const answering = (reply: admin.StatusReply): FakeCluster => {
  const cluster = new FakeCluster();
  cluster.answers = { status: () => Promise.resolve(ok(reply)) };
  return cluster;
};

describe('status', () => {
  it('tells a script the whole cluster, with epochs as strings and times in ISO 8601', async () => {
    const { status, out, err } = await run(new FakeCluster(), ['status', '-o', 'json']);
    expect({ status, err }).toEqual({ status: 0, err: '' });
    const serverOf = (address: string, rttMs: number): object => ({
      state: 'up',
      role: 'server',
      lastHeardMs: 120,
      timeToFailMs: 34_880,
      outageMs: 35_000,
      everHeard: true,
      maintenance: false,
      version: '0.1.0',
      diagnosis: '',
      paths: [{ address, state: 'up', rttMs, says: '' }],
    });
    expect(JSON.parse(out)).toEqual({
      cluster: 'acme',
      time: '2026-11-20T10:00:00.000Z',
      mirrors: {},
      quorum: {
        healthy: true,
        leader: 'w',
        spareVotes: 1,
        members: {
          a: { healthy: true, voter: true },
          b: { healthy: true, voter: true },
          w: { healthy: true, voter: true },
        },
      },
      servers: { a: serverOf('10.77.0.11', 0.2), b: serverOf('10.77.0.12', 0.3) },
      groups: {
        d3: {
          owner: 'a',
          epoch: '9007199254740993',
          phase: 'active',
          reason: 'a is the preferred server and holds epoch 9007199254740993',
          since: '2026-11-20T07:55:00.000Z',
          servers: ['a', 'b'],
          maintenance: false,
          operation: null,
          identity: { mode: 'add', addresses: ['10.77.0.100/24'], hostname: 'd3-main' },
          resources: { app: { state: 'running' } },
          mirrors: {},
          objectives: { lossMs: 0, lossBytes: 0, lossAgeMs: 0, takeoverMs: 450 },
          warnings: [],
        },
      },
      warnings: [],
    });
  });

  it('tells a person the same at a glance', async () => {
    const { out } = await run(new FakeCluster(), ['status']);
    expect(out).toBe(
      lines(
        'acme  2026-11-20 10:00:00 UTC',
        'quorum healthy: leader w, 3 of 3 votes, 1 may fail',
        '',
        'SERVER  STATE  HEARD      FAILS IN  PATHS                 NOTES',
        'a       up     0.1 s ago  34.9 s    10.77.0.11 up 0.2 ms  -',
        'b       up     0.1 s ago  34.9 s    10.77.0.12 up 0.3 ms  -',
        '',
        'GROUP  OWNER  EPOCH             PHASE   FOR      IDENTITY                TAKEOVER',
        'd3     a      9007199254740993  active  2 h 5 m  10.77.0.100/24 d3-main  0.5 s',
        '    a is the preferred server and holds epoch 9007199254740993',
        '    resources: app running',
      ),
    );
  });

  it('says that no vote is to spare, who is missing, and what is wrong with a path', async () => {
    const sick = statusReply({
      quorum: {
        healthy: true,
        leader: 'w',
        members: {
          a: { healthy: false, voter: true },
          b: { healthy: true, voter: true },
          w: { healthy: true, voter: true },
        },
        spareVotes: 0,
      },
      servers: {
        a: server({
          state: 'suspect',
          lastHeardMs: 12_000,
          timeToFailMs: 23_000,
          diagnosis: 'path dead',
          maintenance: true,
          paths: [
            { address: '10.77.0.11', state: 'down', rttMs: 0, says: 'no answer to ping' },
            { address: '10.78.0.11', state: 'one-way', rttMs: 0, says: '' },
          ],
        }),
      },
      groups: {
        d3: group({ operation: 'op-9', maintenance: true, warnings: ['b has no witness'], phase: 'blocked' }),
      },
    });
    const { out } = await run(answering(sick), ['status', '-o', 'wide']);
    expect(out).toContain('leader w, 2 of 3 votes (missing: a), no spare vote: one more failure');
    expect(out).toContain(
      'a       suspect  12.0 s ago  23.0 s    10.77.0.11 down (no answer to ping), 10.78.0.11 one-way',
    );
    expect(out).toContain('maintenance, path dead');
    expect(out).toContain('operation op-9 is under way');
    expect(out).toContain('warning: b has no witness');
  });

  it('says first that the quorum is lost', async () => {
    const lost = statusReply({
      quorum: { healthy: false, leader: '', members: {}, spareVotes: 0 },
      groups: {},
    });
    const { status, out } = await run(answering(lost), ['status']);
    expect(status).toBe(0);
    expect(out).toContain('quorum LOST: 0 of 0 votes; nothing can be decided until a majority is back');
    expect(out).toContain('no groups yet');
  });

  it.each([
    [34_000, '34.0 s'],
    [20_000, '\u001B[33m20.0 s\u001B[39m'],
    [5000, '\u001B[31m5.0 s\u001B[39m'],
  ])('colours the countdown of %i ms by how much of the outage has passed', async (timeToFailMs, shown) => {
    const cluster = answering(statusReply({ servers: { a: server({ timeToFailMs }) } }));
    const { out } = await run(cluster, ['status'], { isTty: true, colours: true });
    expect(out).toContain(`  ${shown}  `);
  });

  it('is YAML when asked, from the same object', async () => {
    const { out } = await run(new FakeCluster(), ['-o', 'yaml', 'status']);
    expect(out).toMatch(/^cluster: acme\ntime: 2026-11-20T10:00:00.000Z\n/);
    expect(out).toContain('epoch: "9007199254740993"');
  });

  it('closes its connection, whatever happens', async () => {
    const cluster = new FakeCluster();
    cluster.answers = {
      status: () => Promise.resolve(bad('unreachable', 'no member of the cluster acme answers\ntried a')),
    };
    const { status, out, err } = await run(cluster, ['status']);
    expect({ status, out }).toEqual({ status: 3, out: '' });
    expect(err).toBe('holdfast: no member of the cluster acme answers\n  tried a\n');
    expect(cluster.closed).toBe(1);
  });
});

describe('the time that a takeover takes', () => {
  it('is null as long as none was measured', async () => {
    const objectives = { lossMs: 0, lossBytes: 0, lossAgeMs: 0, takeoverMs: 0, lossUnknown: false };
    const cluster = answering(statusReply({ groups: { d3: group({ objectives }) } }));
    const { out } = await run(cluster, ['get', 'groups', 'd3', '-o', 'json']);
    expect(JSON.parse(out)).toMatchObject({ objectives: { lossMs: 0, lossBytes: 0, takeoverMs: null } });
  });
});

describe('status -w', () => {
  it('draws in the alternate screen, survives a silence, and leaves the screen at Ctrl-C', async () => {
    const cluster = new FakeCluster();
    const stop = new AbortController();
    let asked = 0;
    cluster.answers = {
      status: () => {
        asked += 1;
        if (asked === 2) stop.abort();
        return Promise.resolve(asked === 1 ? ok(statusReply()) : bad('unreachable', 'nobody answers'));
      },
    };
    const { status, out } = await run(cluster, ['status', '-w'], { isTty: true, stop });
    expect(status).toBe(0);
    expect(out.startsWith('\u001B[?1049h')).toBe(true);
    expect(out.endsWith('\u001B[?1049l')).toBe(true);
    expect(out).toContain('quorum healthy');
    expect(out).toContain('nobody answers');
    expect(out).toContain('What follows is 0.0 s old.');
  });

  it('ends when what is asked for is wrong, and not when it is gone later', async () => {
    const wrong = await run(new FakeCluster(), ['get', 'groups', 'd4', '-w']);
    expect(wrong.status).toBe(2);
    expect(wrong.err).toBe('holdfast: there is no group "d4"\nDid you mean d3? The groups are: d3.\n');
    const full = await run(new FakeCluster(), ['get', 'groups', 'd4', '-w'], { isTty: true });
    expect(full.status).toBe(2);
    expect(full.out.endsWith('\u001B[?1049l')).toBe(true);
    const cluster = new FakeCluster();
    const stop = new AbortController();
    let asked = 0;
    cluster.answers = {
      status: () => {
        asked += 1;
        if (asked === 2) stop.abort();
        return Promise.resolve(ok(asked === 1 ? statusReply() : statusReply({ groups: {} })));
      },
    };
    const removed = await run(cluster, ['get', 'groups', 'd3', '-w'], { stop });
    expect(removed).toMatchObject({ status: 0, err: expect.stringContaining('no group "d3"') as string });
  });

  it('prints one picture below the other where nobody looks', async () => {
    const cluster = new FakeCluster();
    const stop = new AbortController();
    let asked = 0;
    cluster.answers = {
      status: () => {
        asked += 1;
        if (asked === 2) stop.abort();
        return Promise.resolve(ok(statusReply({ timeMs: nowMs + asked * 1000 })));
      },
    };
    const { out } = await run(cluster, ['status', '-w', '-o', 'json'], { stop });
    expect(out.match(/"time": "2026-11-20T10:00:0[12].000Z"/g)).toHaveLength(2);
    expect(out).not.toContain('\u001B');
  });
});

describe('get', () => {
  it('lists with names, and gives one as one object', async () => {
    const all = await run(new FakeCluster(), ['get', 'servers', '-o', 'json']);
    expect(JSON.parse(all.out)).toMatchObject([
      { name: 'a', state: 'up' },
      { name: 'b', state: 'up' },
    ]);
    const one = await run(new FakeCluster(), ['get', 'groups', 'd3', '-o', 'json']);
    expect(JSON.parse(one.out)).toMatchObject({ name: 'd3', owner: 'a', epoch: '9007199254740993' });
    const table = await run(new FakeCluster(), ['get', 'group', 'd3']);
    expect(table.out).toContain('d3     a');
  });

  it('suggests the nearest name for one that does not exist', async () => {
    const { status, err } = await run(new FakeCluster(), ['get', 'groups', 'd4']);
    expect(status).toBe(2);
    expect(err).toBe('holdfast: there is no group "d4"\nDid you mean d3? The groups are: d3.\n');
    expect((await run(new FakeCluster(), ['get', 'sevrers'])).status).toBe(2);
    for (const kind of ['groups', 'servers', 'mirrors']) {
      const none = await run(new FakeCluster(), ['get', kind, 'constructor', '-o', 'json']);
      expect([none.status, none.out]).toEqual([2, '']);
    }
  });

  it('shows an operation with its steps, and the history oldest first', async () => {
    const one = await run(new FakeCluster(), ['get', 'operations', 'op-7']);
    expect(one.out).toBe(
      lines(
        'operation  op-7',
        'what       switchover of d3 from a to b',
        'outcome    done',
        'by         ann',
        'reason     ann asked for the switchover to b',
        'started    2026-11-20T09:59:58.000Z',
        'ended      2026-11-20T09:59:59.000Z',
        'steps',
        '  a  stop app       31 ms  done',
        '  b  add addresses  12 ms  done',
      ),
    );
    const all = await run(new FakeCluster(), ['get', 'operations']);
    expect(all.out).toBe(
      lines(
        'OPERATION  GROUP  KIND        FROM > TO  OUTCOME  STARTED              REASON',
        'op-7       d3     switchover  a > b      done     2026-11-20 09:59:58  ann asked for the switchover to b',
      ),
    );
    const events = await run(new FakeCluster(), ['get', 'events', '-o', 'json']);
    expect(JSON.parse(events.out)).toEqual(
      ['e1', 'e2'].map((id) => ({
        id,
        time: '2026-11-20T10:00:00.000Z',
        group: 'd3',
        server: 'a',
        kind: 'failover',
        reason: `reason of ${id}`,
        epoch: '7',
        inputs: null,
      })),
    );
    const unknown = new FakeCluster();
    unknown.answers = { getOperation: () => Promise.resolve(bad('not-found', 'none')) };
    const { status, err } = await run(unknown, ['get', 'operations', 'op-8']);
    expect(status).toBe(2);
    expect(err).toContain('Did you mean op-7?');
  });
});
