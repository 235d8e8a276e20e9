/** `holdfast mirror ...` and mirrors in status and get, against a cluster that is made up. */
import type { admin } from '@holdfast/proto';
import { ok } from '../src/trouble.ts';
import { bad, FakeCluster, group, nowMs, run, statusReply } from './fake-cluster.ts';

const target = (changes: Partial<admin.MirrorTargetStatus> = {}): admin.MirrorTargetStatus => ({
  state: 'replicating',
  consistent: true,
  behindBytes: 0,
  behindMs: 0,
  totalBytes: 0,
  doneBytes: 0,
  rateBytesPerSecond: 0,
  says: '',
  behindUnknown: false,
  hot: 0,
  hotFiles: [],
  foreignChanges: 0,
  unprotected: '',
  keptAside: 0,
  ...changes,
});

const mirrored = (changes: Partial<admin.MirrorTargetStatus> = {}): admin.StatusReply => {
  const data = { kind: 'files', source: 'a', export: '', targets: { b: target(changes) } };
  return statusReply({ groups: { d3: group({ mirrors: { data } }) } });
};

let cluster: FakeCluster;
beforeEach(() => {
  cluster = new FakeCluster();
  cluster.answers.status = () => Promise.resolve(ok(mirrored()));
});

/** What the member answers, one after the other. */
function answers(...what: readonly admin.RunMirrorReply['what'][]): void {
  cluster.answers.runMirror = async function* () {
    for (const one of what) yield ok({ member: 'a', what: one });
    await Promise.resolve();
  };
}

const verified = (differing: bigint, changes: Partial<admin.MirrorVerified> = {}) =>
  ({
    $case: 'verified',
    value: { target: 'b', compared: 1234n, differing, mended: 0n, says: '', ...changes },
  }) as const;
const difference = (path: string, kind: string, mended = false) =>
  ({ $case: 'difference', value: { target: 'b', path, kind, mended } }) as const;
const kept = (path: string) =>
  ({
    $case: 'kept',
    value: {
      path,
      size: 4096n,
      modifiedMs: nowMs,
      change: 'written',
      from: 'a',
      epoch: 9_007_199_254_740_993n,
      kept: true,
    },
  }) as const;

describe('a mirror in status and get', () => {
  it('has the shape that scripts lean on', async () => {
    const status = JSON.parse((await run(cluster, ['status', '-o', 'json'])).out) as {
      groups: Record<string, { mirrors: unknown }>;
    };
    const data = {
      kind: 'files',
      source: 'a',
      targets: {
        b: {
          state: 'replicating',
          consistent: true,
          behindBytes: 0,
          behindMs: 0,
          totalBytes: 0,
          doneBytes: 0,
          rateBytesPerSecond: 0,
          says: '',
          hotFiles: 0,
          hot: [],
          foreignChanges: 0,
          unprotected: '',
          keptAside: 0,
        },
      },
    };
    expect(status.groups['d3']?.mirrors).toEqual({ data });
    const one = await run(cluster, ['get', 'mirrors', 'd3/data', '-o', 'json']);
    expect(JSON.parse(one.out)).toEqual({ name: 'd3/data', ...data });
    const all = await run(cluster, ['get', 'mirrors', '-o', 'json']);
    expect(JSON.parse(all.out)).toEqual([{ name: 'd3/data', ...data }]);
  });

  it('tells a person how far a copy is, how fast it goes, and how long it still takes', async () => {
    const copying = {
      state: 'initial-copy',
      consistent: false,
      behindBytes: 3 * 2 ** 29,
      behindMs: 9_000,
      totalBytes: 2 ** 31,
      doneBytes: 2 ** 29,
      rateBytesPerSecond: 2 ** 27,
    };
    cluster.answers.status = () => Promise.resolve(ok(mirrored(copying)));
    const { out } = await run(cluster, ['status']);
    expect(out).toContain(
      'mirror data: a -> b initial-copy, 1.5 GiB, 9.0 s behind, not complete; 25 % of 2 GiB at 128 MiB/s, 12.0 s left',
    );
    expect((await run(cluster, ['get', 'mirrors'])).out).toContain('25 % of 2 GiB at 128 MiB/s, 12.0 s left');
  });

  it('says what a person should know of a copy that goes on', async () => {
    const hot = { hot: 3, hotFiles: ['orders.db', 'orders.db-wal'] };
    const changed = { foreignChanges: 1, unprotected: 'no right to mount', keptAside: 2 };
    cluster.answers.status = () => Promise.resolve(ok(mirrored({ ...hot, ...changed })));
    const { out } = await run(cluster, ['status']);
    expect(out).toContain('3 files never at rest (orders.db, orders.db-wal, ...)');
    expect(out).toContain(
      '1 change by others; not protected: no right to mount; 2 diverged entries kept aside',
    );
    const one = await run(cluster, ['get', 'mirrors', 'd3/data', '-o', 'json']);
    expect(JSON.parse(one.out)).toMatchObject({
      targets: { b: { hotFiles: 3, hot: ['orders.db', 'orders.db-wal'], foreignChanges: 1, keptAside: 2 } },
    });
  });

  it('says that nobody knows, rather than a figure', async () => {
    cluster.answers.status = () =>
      Promise.resolve(ok(mirrored({ state: 'disconnected', behindUnknown: true, says: 'no route' })));
    expect((await run(cluster, ['status'])).out).toContain(
      'a -> b disconnected, unknown how far behind; no route',
    );
    const one = await run(cluster, ['get', 'mirrors', 'd3/data', '-o', 'json']);
    expect(JSON.parse(one.out)).toMatchObject({ targets: { b: { behindBytes: null, behindMs: null } } });
  });

  it('calls no copy in step that is not complete', async () => {
    const row = {
      state: 'failed',
      consistent: false,
      behindBytes: 0,
      behindMs: 0,
      says: 'is its disk mounted?',
    };
    cluster.answers.status = () => Promise.resolve(ok(mirrored(row)));
    expect((await run(cluster, ['status'])).out).toContain(
      'a -> b failed, unknown how far behind, not complete; is its disk mounted?',
    );
  });

  it('says where a volume is exported, on its source', async () => {
    const exported = 'nbd+unix:///disk?socket=/var/lib/holdfast/run/nbd-d3.disk.sock';
    const disk = { kind: 'volume', source: 'a', export: exported, targets: { b: target() } };
    const reply = statusReply({ groups: { d3: group({ mirrors: { disk } }) } });
    cluster.answers.status = () => Promise.resolve(ok(reply));
    const one = await run(cluster, ['get', 'mirrors', 'd3/disk', '-o', 'json']);
    expect(JSON.parse(one.out)).toMatchObject({ name: 'd3/disk', kind: 'volume', export: exported });
    expect((await run(cluster, ['get', 'mirrors', '-o', 'wide'])).out).toContain(exported);
    expect((await run(cluster, ['status'])).out).toContain('volume disk: a -> b replicating, in step');
  });

  it('suggests the name that was meant', async () => {
    const { status, err } = await run(cluster, ['get', 'mirrors', 'd3/date']);
    expect(status).toBe(2);
    expect(err).toContain('Did you mean d3/data?');
  });
});

/** Goes on until whoever asked goes away. */
const lingering: NonNullable<FakeCluster['answers']['runMirror']> = async function* (_request, signal) {
  const progress = { target: 'b', done: 0n, total: 0n, unit: 'bytes' };
  yield ok({ member: 'a', what: { $case: 'progress', value: progress } });
  await new Promise((resolve) => signal?.addEventListener('abort', resolve));
  yield bad('cancelled', 'the call was cancelled');
};

describe('holdfast mirror', () => {
  it('pauses and resumes', async () => {
    const paused = await run(cluster, ['mirror', 'pause', 'd3/data', '--target', 'b', '--reason', 'backup']);
    expect(paused).toMatchObject({ status: 0, out: 'd3/data to b is paused\n' });
    await run(cluster, ['mirror', 'resume', 'd3/data']);
    expect(cluster.requests('pauseMirror')).toEqual([
      { mirror: 'd3/data', target: 'b', pause: true, reason: 'backup', dryRun: false },
      { mirror: 'd3/data', target: '', pause: false, reason: '', dryRun: false },
    ]);
  });

  it('opens the copy of a volume at one target, and closes it', async () => {
    const uri = 'nbd+unix:///disk?socket=/var/lib/holdfast/run/nbd-d3.disk.copy.sock';
    answers({ $case: 'done', value: { says: uri } });
    const opened = await run(cluster, [
      'mirror',
      'open',
      'd3/disk',
      '--target',
      'b',
      '--writable',
      '-o',
      'json',
    ]);
    expect(JSON.parse(opened.out)).toEqual({ mirror: 'd3/disk', target: 'b', writable: true, export: uri });
    expect(cluster.requests('runMirror').at(-1)).toMatchObject({ kind: 'open', target: 'b', writable: true });
    answers({ $case: 'done', value: { says: 'd3/disk is closed on b' } });
    const closed = await run(cluster, ['mirror', 'close', 'd3/disk', '--target', 'b']);
    expect(closed).toMatchObject({ status: 0, out: 'd3/disk is closed on b.\n' });
    expect(await run(cluster, ['mirror', 'open', 'd3/disk'])).toMatchObject({ status: 2 });
  });

  it('shows blocks of a volume by offset and length', async () => {
    const extent = { offset: 65_536n, length: 4_096n };
    const differs = difference('', 'contents');
    answers({ ...differs, value: { ...differs.value, ...extent } }, verified(1n));
    const found = await run(cluster, ['mirror', 'verify', 'd3/disk', '-o', 'json']);
    expect(JSON.parse(found.out)).toMatchObject({
      differences: [{ offset: 65_536, length: 4_096, kind: 'contents' }],
    });
    const blocks = kept('');
    answers({ ...blocks, value: { ...blocks.value, ...extent } });
    const listed = await run(cluster, ['mirror', 'divergence', 'd3/disk', 'list', '-o', 'json']);
    expect(JSON.parse(listed.out)).toMatchObject([{ offset: 65_536, length: 4_096, from: 'a', kept: true }]);
  });

  it('verifies: 0 when equal, 1 and the list when not', async () => {
    answers(verified(0n));
    const equal = await run(cluster, ['mirror', 'verify', 'd3/data', '-o', 'json']);
    expect(equal.status).toBe(0);
    expect(JSON.parse(equal.out)).toMatchObject({ target: 'b', compared: 1234, differences: [], mended: [] });
    answers(difference('odd/\\xff', 'contents'), difference('gone', 'missing'), verified(2n));
    const differs = await run(cluster, ['mirror', 'verify', 'd3/data', '-o', 'json']);
    expect(differs.status).toBe(1);
    expect(JSON.parse(differs.out)).toMatchObject({
      differences: [
        { path: 'odd/\\xff', kind: 'contents' },
        { path: 'gone', kind: 'missing' },
      ],
    });
  });

  it('repairs: 0 when nothing differs any more, with what was mended', async () => {
    answers(difference('gone', 'missing', true), verified(0n, { mended: 1n }));
    const mended = await run(cluster, ['mirror', 'verify', 'd3/data', '--repair', '-o', 'json']);
    expect(mended.status).toBe(0);
    expect(JSON.parse(mended.out)).toMatchObject({
      differences: [],
      mended: [{ path: 'gone', kind: 'missing' }],
    });
    expect(cluster.requests('runMirror').at(-1)).toMatchObject({ kind: 'verify', repair: true, member: '' });
    answers(difference('hot', 'contents'), difference('gone', 'missing', true), verified(1n, { mended: 1n }));
    const left = await run(cluster, ['mirror', 'verify', 'd3/data', '--repair']);
    expect(left.status).toBe(1);
    expect(left.out).toContain('b: 1 entries differed and are mended');
    expect(left.out).toContain('b: 1 of 1234 entries differ');
  });

  it('says which target could not be compared, beside the others that were', async () => {
    const away = { target: 'c', says: 'it is paused: backup' };
    answers(verified(0n), verified(0n, away));
    const { status, out } = await run(cluster, ['mirror', 'verify', 'd3/data']);
    expect(status).toBe(1);
    expect(out).toContain('b: equal, 1234 entries compared');
    expect(out).toContain('c: not compared: it is paused: backup');
  });

  it('waits for a resync as long as it is told to, and then says that it goes on', async () => {
    cluster.answers.runMirror = lingering;
    const { status, err } = await run(cluster, ['mirror', 'resync', 'd3/data', '--wait', '20ms']);
    expect(status).toBe(5);
    expect(err).toContain('the resync of d3/data is still running');
  });

  it.each([
    [['divergence', 'd3/data', 'restore', 'x', '--to', '/t'], 'the restore from d3/data was not finished'],
    [['divergence', 'd3/data', 'discard', '--all'], 'the discarding from d3/data is still running'],
    [['divergence', 'd3/data', 'discard', '--all', '--dry-run'], 'was not told to its end'],
    [['divergence', 'd3/data', 'list'], 'what diverged of d3/data was not told to its end'],
    [['open', 'd3/disk', '--target', 'b'], 'd3/disk is still being opened on b'],
    [['close', 'd3/disk', '--target', 'b'], 'd3/disk is still being closed on b'],
  ])('never calls done what --wait cut off: %j', async (words, says) => {
    cluster.answers.runMirror = lingering;
    const { status, out, err } = await run(cluster, ['mirror', ...words, '--wait', '20ms', '-o', 'json']);
    expect({ status, out }).toEqual({ status: 5, out: '' });
    expect(err).toContain(says);
  });

  it('says what is missing from a list, and fails when somebody could not be asked', async () => {
    const list = ['mirror', 'divergence', 'd3/data'];
    const silent = { $case: 'done', value: { says: 'not asked: a: it is off', incomplete: true } } as const;
    const warning = 'holdfast: warning: not asked: a: it is off.\n';
    answers(silent);
    expect(await run(cluster, list)).toEqual({ status: 1, out: '', err: warning });
    expect(await run(cluster, [...list, '-o', 'json'])).toEqual({ status: 1, out: '[]\n', err: warning });
    answers(kept('one'), { $case: 'done', value: { says: 'damaged on a, and not to be had back: two' } });
    const damaged = await run(cluster, list);
    expect(damaged).toMatchObject({ status: 0, out: expect.stringContaining('one') as string });
    expect(damaged.err).toBe('holdfast: warning: damaged on a, and not to be had back: two.\n');
    answers({ $case: 'done', value: { says: 'what was kept is discarded on b' } }, silent);
    const discarded = await run(cluster, [...list, 'discard', '--all', '-o', 'json']);
    expect(discarded.status).toBe(1);
    expect(JSON.parse(discarded.out)).toMatchObject({
      outcome: 'failed',
      reason: 'what was kept is discarded on b. not asked: a: it is off.',
    });
  });

  it('lists what diverged, and restores it to a folder', async () => {
    answers(kept('database/orders.db'));
    const list = await run(cluster, ['mirror', 'divergence', 'd3/data', 'list', '-o', 'json']);
    expect(JSON.parse(list.out)).toEqual([
      {
        path: 'database/orders.db',
        size: 4096,
        modified: '2026-11-20T10:00:00.000Z',
        change: 'written',
        from: 'a',
        epoch: '9007199254740993',
        kept: true,
      },
    ]);
    answers({ $case: 'done', value: { says: 'database/orders.db is in /tmp/kept on a' } });
    const words = ['mirror', 'divergence', 'd3/data', 'restore', 'database/orders.db', '--to', '/tmp/kept'];
    expect(await run(cluster, words)).toMatchObject({
      status: 0,
      out: 'database/orders.db is in /tmp/kept on a.\n',
    });
    expect(cluster.requests('runMirror').at(-1)).toMatchObject({
      kind: 'restore',
      path: 'database/orders.db',
      to: '/tmp/kept',
    });
  });

  it('shows a name that would end its line or move the cursor by its bytes, to people and not to scripts', async () => {
    const path = 'x\n  ok\u001B[2K\u009B1A';
    const shown = 'x\\x0a  ok\\x1b[2K\\xc2\\x9b1A';
    answers(kept(path));
    expect((await run(cluster, ['mirror', 'divergence', 'd3/data'])).out).toContain(`\n${shown}  written`);
    answers(difference(path, 'contents'), verified(1n));
    expect((await run(cluster, ['mirror', 'verify', 'd3/data'])).out).toContain(`  ${shown}  contents`);
    answers(kept(path));
    const list = await run(cluster, ['mirror', 'divergence', 'd3/data', '-o', 'json']);
    expect(JSON.parse(list.out)).toMatchObject([{ path }]);
    cluster.answers.status = () => Promise.resolve(ok(mirrored({ hot: 1, hotFiles: [path] })));
    expect((await run(cluster, ['status'])).out).toContain(`never at rest (${shown})`);
  });

  it('tells what was not kept aside yet, and does not count it among what would be discarded', async () => {
    const blocks = (isKept: boolean): admin.RunMirrorReply['what'] => ({
      $case: 'kept',
      value: {
        ...{ path: '', size: 65_536n, modifiedMs: 0, change: 'written', from: 'a', epoch: 5n, kept: isKept },
        ...{ offset: 131_072n, length: 65_536n },
      },
    });
    answers(blocks(true));
    expect((await run(cluster, ['mirror', 'divergence', 'd3/disk'])).out).not.toContain('KEPT');
    answers(blocks(false));
    expect((await run(cluster, ['mirror', 'divergence', 'd3/disk'])).out).toMatch(/KEPT\n131072 .* no\n$/);
    answers(blocks(true), blocks(false));
    const dry = await run(cluster, ['mirror', 'divergence', 'd3/disk', 'discard', '--all', '--dry-run']);
    expect(dry.out).toBe('dry run: 1 entry would be discarded\n');
  });

  it('discards nothing by mistake', async () => {
    expect((await run(cluster, ['mirror', 'divergence', 'd3/data', 'discard'])).status).toBe(2);
    expect((await run(cluster, ['mirror', 'divergence', 'd3/data', 'restore', 'x'])).status).toBe(2);
    answers(kept('one'), kept('two'));
    const dry = await run(cluster, ['mirror', 'divergence', 'd3/data', 'discard', '--all', '--dry-run']);
    expect(dry.out).toBe('dry run: 2 entries would be discarded\n');
    expect(cluster.requests('runMirror').at(-1)).toMatchObject({ kind: 'list' });
  });

  describe('in a dry run', () => {
    const volume = (state: string) => ({
      kind: 'volume',
      source: 'a',
      export: '',
      targets: { b: target({ state }) },
    });
    const data = { kind: 'files', source: 'a', export: '', targets: { b: target() } };
    const groups = {
      d3: group({ mirrors: { data, disk: volume('replicating'), tape: volume('paused') } }),
      d4: group({ mirrors: { data: { ...data, source: '' } } }),
    };
    beforeEach(() => (cluster.answers.status = () => Promise.resolve(ok(statusReply({ groups })))));

    it.each([
      [['open', 'nosuch', '--target', 'b'], 2, 'there is no mirror "nosuch"'],
      [['open', 'd3/tape', '--target', 'zz'], 2, 'there is no target "zz"'],
      [['open', 'd3/data', '--target', 'b'], 2, 'd3/data is a mirror of files'],
      [['open', 'd3/disk', '--target', 'b'], 1, 'its source is connected; pause it first'],
      [['close', 'nosuch', '--target', 'b'], 2, 'there is no mirror "nosuch"'],
      [['resync', 'd4/data'], 4, 'refused: d4/data has no source at the moment'],
      [['verify', 'd4/data'], 4, 'refused: d4/data has no source at the moment'],
    ])('is refused what the command would be refused: %j', async (words, expected, says) => {
      const { status, out, err } = await run(cluster, ['mirror', ...words, '--dry-run']);
      expect({ status, out }).toEqual({ status: expected, out: '' });
      expect(err).toContain(says);
    });

    it.each([
      ['open', 'd3/tape', '--target', 'b'],
      ['close', 'd3/tape', '--target', 'b'],
      ['resync', 'd3/data'],
      ['verify', 'd3/data'],
    ])('is told what would be done, unless it may only read: %s %s', async (...words) => {
      const dry = ['mirror', ...words, '--dry-run'];
      expect(await run(cluster, dry)).toMatchObject({
        status: 0,
        out: expect.stringMatching(/^dry run: /) as string,
      });
      expect(cluster.requests('runMirror')).toEqual([]);
      cluster.answers.mayChange = () => bad('refused', 'v is a viewer and may only read');
      expect(await run(cluster, dry)).toMatchObject({ status: 2, out: '' });
    });
  });

  it('passes on why a member could not do it', async () => {
    cluster.answers.runMirror = async function* () {
      yield bad('unreachable', 'no mirror process runs on a');
      await Promise.resolve();
    };
    expect(await run(cluster, ['mirror', 'verify', 'd3/data'])).toMatchObject({ status: 3 });
    cluster.answers.runMirror = async function* () {
      yield bad('unsafe', 'd3/data has no source at the moment');
      await Promise.resolve();
    };
    expect(await run(cluster, ['mirror', 'resync', 'd3/data'])).toMatchObject({ status: 4 });
  });
});
