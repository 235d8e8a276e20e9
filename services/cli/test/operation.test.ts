import { jest } from '@jest/globals';
import { ok } from '../src/trouble.ts';
import { bad, FakeCluster, lines, operation, run } from './fake-cluster.ts';

/** Answers one after the other; the last one stays. */
function telling(...answers: readonly ReturnType<typeof operation>[]): FakeCluster {
  const cluster = new FakeCluster();
  let at = 0;
  cluster.answers = {
    getOperation: () => {
      const answer = answers[Math.min(at, answers.length - 1)];
      at += 1;
      return Promise.resolve(ok(answer ?? operation()));
    },
  };
  return cluster;
}

const running = (steps: number): ReturnType<typeof operation> => {
  const all = operation().steps.map((step) => ({ ...step }));
  const last = all[steps - 1];
  if (last !== undefined) last.outcome = 'running';
  return operation({ outcome: 'running', endedMs: 0, steps: all.slice(0, steps) });
};

describe('an operation that is waited for', () => {
  it('shows every step once, as it ends, and the verdict', async () => {
    const cluster = telling(running(1), running(2), operation());
    const { status, out, err } = await run(cluster, ['switchover', 'd3', '--to', 'b']);
    expect({ status, err }).toEqual({ status: 0, err: '' });
    expect(out).toBe(
      lines(
        'switchover of d3 from a to b (op-7)',
        '  a         stop app                31 ms     done',
        '  b         add addresses           12 ms     done',
        'switchover of d3 from a to b done: ann asked for the switchover to b.',
      ),
    );
    expect(cluster.requests('startOperation')).toEqual([
      { kind: 'switchover', target: 'd3', to: 'b', force: false, dryRun: false, by: '' },
    ]);
  });

  it('shows every step once, also where those of the release are known later than those of the next owner', async () => {
    const { steps } = operation();
    const later = operation({ outcome: 'running', endedMs: 0, steps: steps.slice(1) });
    const { out } = await run(telling(later, operation()), ['failback', 'd3']);
    expect(
      out
        .split('\n')
        .filter((line) => line.includes('done'))
        .map((line) => line.trim()),
    ).toEqual([
      expect.stringMatching(/^b +add addresses/),
      expect.stringMatching(/^a +stop app/),
      expect.stringMatching(/^switchover/),
    ]);
  });

  it('shows the running step on a terminal and takes it away again', async () => {
    const { out } = await run(telling(running(1), operation()), ['failback', 'd3'], { isTty: true });
    expect(out).toContain('  a         stop app                31 ms     running\r\u001B[K');
  });

  it('is one object for a script, with the steps', async () => {
    const { status, out } = await run(telling(running(1), operation()), ['failback', 'd3', '-o', 'json']);
    expect(status).toBe(0);
    expect(JSON.parse(out)).toMatchObject({
      operation: 'op-7',
      outcome: 'done',
      reason: 'ann asked for the switchover to b',
      steps: [
        { name: 'stop app', server: 'a', ms: 31, outcome: 'done' },
        { name: 'add addresses', server: 'b', ms: 12, outcome: 'done' },
      ],
    });
  });

  it.each([
    ['failed', 1],
    ['rolled-back', 1],
    ['denied', 1],
    ['done', 0],
  ])('that ended %s ends with status %i', async (outcome, expected) => {
    expect((await run(telling(operation({ outcome })), ['switchover', 'd3'])).status).toBe(expected);
  });

  it('that is denied by deny has ended as wished', async () => {
    const cluster = telling(operation({ outcome: 'denied' }));
    expect((await run(cluster, ['deny', 'op-7'])).status).toBe(0);
    expect(cluster.requests('startOperation')).toMatchObject([{ kind: 'deny', target: 'op-7' }]);
  });

  it('and goes on when --wait ends is status 5, with where to look', async () => {
    const { status, out, err } = await run(telling(running(1)), [
      'switchover',
      'd3',
      '--wait',
      '200ms',
      '-o',
      'json',
    ]);
    expect(status).toBe(5);
    expect(JSON.parse(out)).toMatchObject({ operation: 'op-7', outcome: 'running' });
    expect(err).toBe('It goes on without this command: holdfast get operations op-7\n');
    const noWait = await run(telling(running(1)), ['switchover', 'd3', '--wait', '0s', '-o', 'json']);
    expect(noWait.status).toBe(5);
    expect(JSON.parse(noWait.out)).toMatchObject({ operation: 'op-7', outcome: 'running' });
  });

  /** What `getOperation` of members answers that hear of it only after `deaf` questions. */
  const heardAfter = (deaf: number): FakeCluster => {
    const cluster = new FakeCluster();
    let asked = 0;
    cluster.answers = {
      getOperation: () => {
        asked += 1;
        return Promise.resolve(
          asked <= deaf ? bad('not-found', 'there is no operation op-7') : ok(running(1)),
        );
      },
    };
    return cluster;
  };
  const started = ['switchover', 'd3', '--wait', '0s', '-o', 'json'];

  it('is told to a script that does not wait, also where the member that it asks hears of it a moment later', async () => {
    const { status, out } = await run(heardAfter(2), started);
    expect(status).toBe(5);
    expect(JSON.parse(out)).toMatchObject({ operation: 'op-7', outcome: 'running', group: 'd3' });
  });

  it('is not wrong where no member tells of it: it was accepted', async () => {
    const { status, out, err } = await run(heardAfter(Infinity), started);
    expect(status).toBe(5);
    expect(JSON.parse(out)).toEqual({
      ...{ operation: 'op-7', kind: 'switchover', outcome: 'running', steps: [] },
      reason: 'no member tells of it yet',
    });
    expect(err).toContain('op-7 was accepted, and nothing more is known of it');
  }, 10_000);

  it('is waited for until it ends, however long that takes', async () => {
    let hours = 0;
    const now = performance.now.bind(performance);
    const clock = jest.spyOn(performance, 'now').mockImplementation(() => now() + hours * 3_600_000);
    const cluster = new FakeCluster();
    cluster.answers = {
      getOperation: () => {
        hours += 1;
        return Promise.resolve(ok(hours < 3 ? running(1) : operation()));
      },
    };
    try {
      expect((await run(cluster, ['switchover', 'd3'])).status).toBe(0);
      expect(hours).toBe(3);
    } finally {
      clock.mockRestore();
    }
  });

  it('goes on being watched when a member does not answer for a moment', async () => {
    const cluster = new FakeCluster();
    let asked = 0;
    cluster.answers = {
      getOperation: () => {
        asked += 1;
        return Promise.resolve(
          asked < 3 ? bad(asked === 1 ? 'not-found' : 'unreachable', 'gone') : ok(operation()),
        );
      },
    };
    expect((await run(cluster, ['switchover', 'd3'])).status).toBe(0);
  });

  it('asks for the release of a group that was removed, also by force', async () => {
    const cluster = telling(operation({ kind: 'release', from: 'a', to: '', reason: 'ann asked for it' }));
    const { status, out } = await run(cluster, ['release', 'd4', '--force']);
    expect(status).toBe(0);
    expect(out).toContain('release of d3 from a (op-7)');
    expect(cluster.requests('startOperation')).toEqual([
      { kind: 'release', target: 'd4', to: '', force: true, dryRun: false, by: '' },
    ]);
  });

  it('that a safety rule refuses is status 4, one that makes no sense status 2', async () => {
    const cluster = new FakeCluster();
    cluster.answers = {
      startOperation: () => Promise.resolve(bad('unsafe', "b can't take over: its copy is incomplete")),
    };
    const refused = await run(cluster, ['failover', 'd3', '--to', 'b']);
    expect(refused.status).toBe(4);
    expect(refused.err).toBe("holdfast: refused: b can't take over: its copy is incomplete\n");
    cluster.answers = { startOperation: () => Promise.resolve(bad('invalid', 'what?')) };
    const group = await run(cluster, ['failover', 'd33', '--to', 'b']);
    expect(group.status).toBe(2);
    expect(group.err).toContain('Did you mean d3?');
    const server = await run(cluster, ['switchover', 'd3', '--to', 'bb']);
    expect(server.err).toContain('there is no server "bb"\nThe servers are: a, b.');
  });

  it('is not said to be undone when nobody knows', async () => {
    const cluster = new FakeCluster();
    cluster.answers = { startOperation: () => Promise.resolve(bad('deadline', 'no answer from a')) };
    const { status, err } = await run(cluster, ['switchover', 'd3']);
    expect(status).toBe(3);
    expect(err).toContain('Nobody knows whether it was done: switchover d3.');
  });

  it('is only planned with --dry-run', async () => {
    const cluster = new FakeCluster();
    const { status, out } = await run(cluster, ['switchover', 'd3', '--dry-run']);
    expect(status).toBe(0);
    expect(out).toBe(
      lines(
        'dry run of switchover d3: nothing was changed',
        '   1. a: stop app',
        '   2. b: add addresses',
        'b can take over.',
      ),
    );
    expect(cluster.requests('startOperation')).toMatchObject([{ dryRun: true }]);
    expect(cluster.requests('getOperation')).toEqual([]);
  });

  it('needs a duration with a unit', async () => {
    const cluster = new FakeCluster();
    const { status, err } = await run(cluster, ['switchover', 'd3', '--wait', '5']);
    expect(status).toBe(2);
    expect(err).toContain('--wait: "5" has no unit; write 5s');
    expect(cluster.calls).toEqual([]);
  });

  it('does not exist for approve: the ones that wait are named', async () => {
    const cluster = new FakeCluster();
    cluster.answers = {
      startOperation: () => Promise.resolve(bad('invalid', 'no')),
      getOperation: () => Promise.resolve(bad('not-found', 'no')),
      listOperations: () =>
        Promise.resolve(
          ok({ operations: [operation(), operation({ id: 'op-8', outcome: 'awaiting-approval' })] }),
        ),
    };
    const { status, err } = await run(cluster, ['approve', 'op-9']);
    expect(status).toBe(2);
    expect(err).toBe(
      'holdfast: there is no operation "op-9"\nDid you mean op-8? The operations are: op-8.\n',
    );
  });
});
