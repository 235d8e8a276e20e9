import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { admin } from '@holdfast/proto';
import { ok } from '../src/trouble.ts';
import { decided } from './decided.ts';
import { bad, event, FakeCluster, lines, run } from './fake-cluster.ts';

describe('the command line', () => {
  it('lists every command in its help', async () => {
    const { status, out } = await run(new FakeCluster(), ['--help']);
    expect(status).toBe(0);
    const commands = `init run token join recover apply status get explain switchover failback failover approve deny
      maintenance remove events replay check mirror lab completion version`;
    for (const command of commands.split(/\s+/)) expect(out).toMatch(new RegExp(`^  ${command} `, 'm'));
    expect(out).toContain('5 still running when --wait ended');
    const lab = await run(new FakeCluster(), ['lab', '--help']);
    for (const command of ['up', 'down', 'exec', 'fault', 'status'])
      expect(lab.out).toMatch(new RegExp(`^  ${command} `, 'm'));
  });

  it.each([
    [['stauts'], "unknown command 'stauts'\n(Did you mean status?)"],
    [['help', 'stauts'], "unknown command 'stauts'\n(Did you mean status?)"],
    [['mirror', 'help', 'puase'], "unknown command 'puase'\n(Did you mean pause?)"],
    [['status', '--frob'], "unknown option '--frob'"],
    [['explain'], "missing required argument 'group'"],
    [['failover', 'd3'], "required option '--to <server>' not specified"],
    [['get', 'servers', '-o', 'xml'], "argument 'xml' is invalid"],
    [['maintenance', 'perhaps'], "'perhaps' is invalid"],
    [[], 'Usage: holdfast'],
  ])('is wrong usage: %j', async (argv, says) => {
    const cluster = new FakeCluster();
    const { status, out, err } = await run(cluster, argv);
    expect({ status, out }).toEqual({ status: 2, out: '' });
    expect(err).toContain(says);
    expect(cluster.calls).toEqual([]);
  });

  it('shows no stack trace of a bug unless asked', async () => {
    const broken = { connect: () => Promise.reject(new Error('boom')) };
    const { status, err } = await run(new FakeCluster(), ['status'], broken);
    expect(status).toBe(1);
    expect(err).toBe(
      'holdfast: unexpected: boom\nThis should not happen; HOLDFAST_DEBUG=1 shows where, for a report.\n',
    );
    const debugging = await run(new FakeCluster(), ['status'], { ...broken, env: { HOLDFAST_DEBUG: '1' } });
    expect(debugging.err).toContain('at ');
  });

  it('takes the directory from --dir, HOLDFAST_DIR or the default, in this order', async () => {
    const asked: string[] = [];
    const connect = (dir: string): Promise<ReturnType<typeof ok<FakeCluster>>> => {
      asked.push(dir);
      return Promise.resolve(ok(new FakeCluster()));
    };
    await run(new FakeCluster(), ['status', '--dir', '/x'], { connect, env: { HOLDFAST_DIR: '/y' } });
    await run(new FakeCluster(), ['--dir', '/z', 'status'], { connect });
    await run(new FakeCluster(), ['status'], { connect, env: { HOLDFAST_DIR: '/y' } });
    await run(new FakeCluster(), ['status'], { connect });
    // Of a variable of the shell that is not set.
    await run(new FakeCluster(), ['status'], { connect, env: { HOLDFAST_DIR: '' } });
    expect((await run(new FakeCluster(), ['status', '--dir', ''], { connect })).status).toBe(2);
    expect(asked).toEqual(['/x', '/z', '/y', '/var/lib/holdfast', '/var/lib/holdfast']);
  });

  it('prints its version', async () => {
    expect((await run(new FakeCluster(), ['version'])).out).toMatch(/^holdfast \d+\.\d+\.\d+(-dev)?\n$/);
    expect((await run(new FakeCluster(), ['--version'])).status).toBe(0);
  });
});

describe('replay', () => {
  const { event: made, decision } = decided();
  const told = (kind: string, kept = decision): admin.GetDecisionReply => ({
    event: { ...event(made.id), kind, reason: made.reason, epoch: made.epoch ?? 0n, group: 'g1', inputs: '' },
    decision: kept,
  });
  const answering = (reply: admin.GetDecisionReply): FakeCluster => {
    const cluster = new FakeCluster();
    cluster.answers = { getDecision: () => Promise.resolve(ok(reply)) };
    return cluster;
  };

  it('makes a decision again, and tells what it was made from', async () => {
    const { status, out } = await run(answering(told('start')), ['replay', made.id]);
    expect(status).toBe(0);
    expect(out).toMatch(/^g1: start at .* decided by w$/m);
    expect(out).toMatch(/^What it knew: nobody owned it, outage 35\.0 s/m);
    expect(out).toMatch(/^ {2}a: heard 0\.0 s ago, renewed 0\.0 s ago$/m);
    expect(out).toMatch(/^Decided now: {2}the same, at epoch 1\.$/m);
  });

  it('makes one again that maintenance kept from being carried out', async () => {
    const withheld = decided('new switch');
    const { id, kind, reason } = withheld.event;
    const reply = {
      event: { ...event(id), kind, reason, epoch: 0n, group: 'g1', inputs: '' },
      decision: withheld.decision,
    };
    const { status, out } = await run(answering(reply), ['replay', id]);
    expect(out).toContain(
      'Decided then: the cluster is in maintenance (new switch); otherwise: a takes g1 up',
    );
    expect(out).toMatch(/^Decided now: {2}the same\.$/m);
    expect(status).toBe(0);
  });

  it('ends with status 1 when it is decided otherwise now', async () => {
    const { status, out } = await run(answering(told('failover')), ['replay', made.id, '-o', 'json']);
    expect(status).toBe(1);
    expect(JSON.parse(out)).toMatchObject({
      same: false,
      event: { kind: 'failover' },
      again: { kind: 'start', reason: made.reason, epoch: '1' },
    });
  });

  it('says what can not be made again, and why', async () => {
    const nothing = await run(answering(told('start', '')), ['replay', made.id]);
    expect(nothing.status).toBe(2);
    expect(nothing.err).toContain('nothing was judged for it');
    const other = decision.replace(/"format":\d+/, '"format":99');
    const newer = await run(answering(told('start', other)), ['replay', made.id]);
    expect(newer.status).toBe(2);
    expect(newer.err).toContain('a version that keeps decisions otherwise');
    const cluster = new FakeCluster();
    cluster.answers = { getDecision: () => Promise.resolve(bad('not-found', 'there is no event x')) };
    const unknown = await run(cluster, ['replay', 'x']);
    expect(unknown.status).toBe(2);
    expect(unknown.err).toContain('events -o wide');
  });
});

describe('apply', () => {
  let folder = '';
  beforeAll(() => (folder = mkdtempSync(join(tmpdir(), 'holdfast-cli-'))));
  afterAll(() => rmSync(folder, { recursive: true, force: true }));
  const file = (text: string): string => {
    const path = join(folder, 'cluster.yaml');
    writeFileSync(path, text);
    return path;
  };

  it('sends the text as it is and shows the difference', async () => {
    const cluster = new FakeCluster();
    const path = file('groups: {}\n');
    const { status, out } = await run(cluster, ['apply', '-f', path]);
    expect(status).toBe(0);
    expect(out).toBe(lines('warning: no hostname', 'groups.d3: added', 'applied as revision 8'));
    expect(cluster.requests('apply')).toEqual([{ yaml: 'groups: {}\n', file: path, dryRun: false }]);
    const dry = await run(cluster, ['apply', '-f', '-', '--dry-run'], { input: 'groups: {}' });
    expect(dry.out).toContain('nothing was changed');
    expect(cluster.requests('apply')[1]).toEqual({
      yaml: 'groups: {}',
      file: 'standard input',
      dryRun: true,
    });
  });

  it('tells line and column of a syntax error without asking anybody', async () => {
    const cluster = new FakeCluster();
    const path = file('groups:\n  d3: [a\n');
    const { status, err } = await run(cluster, ['apply', '-f', path]);
    expect(status).toBe(2);
    expect(err).toMatch(/^holdfast: .*cluster\.yaml: line 3, column 1: .*\]/);
    const two = await run(cluster, ['apply', '-f', file('groups: {}\n---\ngroups: {}\n')]);
    expect([two.status, two.err]).toEqual([
      2,
      `holdfast: ${path}: line 2, column 1: a second document begins; write one only, without ---\n`,
    ]);
    expect(cluster.calls).toEqual([]);
  });

  it('is wrong for a file that is not UTF-8, before anybody is asked', async () => {
    const cluster = new FakeCluster();
    const path = file('');
    writeFileSync(path, Buffer.from('groups: {} # f\u00fcr d3', 'latin1'));
    const { status, err } = await run(cluster, ['apply', '-f', path]);
    expect({ status, err }).toEqual({
      status: 2,
      err: `holdfast: ${path}: is not UTF-8\nSave it as UTF-8.\n`,
    });
    expect(cluster.calls).toEqual([]);
    expect((await run(cluster, ['apply', '-f', file('groups: {} # f\u00fcr d3')])).status).toBe(0);
  });

  it('is wrong for a file that is not there, and for one that the cluster refuses', async () => {
    const cluster = new FakeCluster();
    const missing = await run(cluster, ['apply', '-f', join(folder, 'none.yaml')]);
    expect(missing.status).toBe(2);
    expect(missing.err).toContain("none.yaml: can't be read: there is no such file");
    cluster.answers = {
      apply: () =>
        Promise.resolve(bad('invalid', 'cluster.yaml: groups.d3.outage: "5" has no unit; write 5s')),
    };
    const refused = await run(cluster, ['apply', '-f', file('groups: {}')]);
    expect(refused).toEqual({
      status: 2,
      out: '',
      err: 'holdfast: cluster.yaml: groups.d3.outage: "5" has no unit; write 5s\n',
    });
  });
});

describe('token', () => {
  it('is alone on the last line of standard output', async () => {
    const cluster = new FakeCluster();
    const { out, err } = await run(cluster, ['token', '--role', 'witness', '--ttl', '2h']);
    expect(out).toBe('hf1_secret\n');
    expect(err).toContain('2026-11-20 12:00:00 UTC');
    expect(cluster.requests('createToken')).toEqual([{ role: 'witness', ttlMs: 7_200_000 }]);
    const dry = await run(new FakeCluster(), ['token', '--dry-run']);
    expect(dry.out).toContain('would make a join token');
  });

  it('lives for 7 days at most, and is promised to nobody who could not have it', async () => {
    for (const more of [[], ['--dry-run']]) {
      const long = await run(new FakeCluster(), ['token', '--ttl', '200h', ...more]);
      expect([long.status, long.out]).toEqual([2, '']);
    }
    const cluster = new FakeCluster();
    cluster.answers = { mayChange: () => bad('refused', 'v is a viewer and may only read') };
    expect((await run(cluster, ['token', '--dry-run'])).status).toBe(2);
    cluster.answers = { status: () => Promise.resolve(bad('unreachable', 'nobody answers')) };
    expect((await run(cluster, ['token', '--dry-run'])).status).toBe(3);
  });
});

describe('explain, check and maintenance', () => {
  it('explains in prose', async () => {
    const { out } = await run(new FakeCluster(), ['explain', 'd3']);
    expect(out).toBe(
      lines(
        'd3: a is the preferred server and holds epoch 7.',
        '',
        '  If a died now: b takes over after 35 s.',
        '',
        'Nothing stands in the way of a takeover.',
        '',
        'A server is down after 35 s of silence.',
      ),
    );
  });

  it('checks: status 1 when there are problems, each with what to do', async () => {
    const well = await run(new FakeCluster(), ['check', '-o', 'json']);
    expect(well.status).toBe(0);
    expect(JSON.parse(well.out)).toEqual({ ok: true, problems: [], warnings: [] });
    const cluster = new FakeCluster();
    const problem = {
      name: 'program',
      server: 'b',
      says: 'arping is missing',
      fix: 'apt install iputils-arping',
    };
    cluster.answers = { check: () => Promise.resolve(ok({ problems: [problem], warnings: [] })) };
    const sick = await run(cluster, ['check', 'd3', '-o', 'json']);
    expect(sick.status).toBe(1);
    expect(JSON.parse(sick.out)).toEqual({ ok: false, problems: [problem], warnings: [] });
    const table = await run(cluster, ['check', 'd3']);
    expect(table.out).toBe(
      lines(
        '1 problem in d3:',
        '',
        'b: program',
        '  arping is missing.',
        '  To do: apt install iputils-arping.',
      ),
    );
    expect(cluster.requests('check')).toEqual([{ group: 'd3' }, { group: 'd3' }]);
  });

  it('checks: what somebody wanted so is told, and is no failure', async () => {
    const cluster = new FakeCluster();
    const says = 'd3: the cluster is in maintenance; nothing is taken over';
    const warning = { name: 'maintenance', server: '', says, fix: 'holdfast maintenance off' };
    cluster.answers = { check: () => Promise.resolve(ok({ problems: [], warnings: [warning] })) };
    const told = await run(cluster, ['check', '-o', 'json']);
    expect([told.status, JSON.parse(told.out)]).toEqual([0, { ok: true, problems: [], warnings: [warning] }]);
    const table = await run(cluster, ['check']);
    expect(table.out).toBe(
      lines(
        'ok: nothing found that would make a takeover of the cluster fail',
        '',
        '1 warning:',
        '',
        'maintenance',
        `  ${says}.`,
        '  To do: holdfast maintenance off.',
      ),
    );
  });

  it('suggests a group whose name was mistyped', async () => {
    const cluster = new FakeCluster();
    cluster.answers = { explain: () => Promise.resolve(bad('not-found', 'no')) };
    const { status, err } = await run(cluster, ['explain', 'D3']);
    expect(status).toBe(2);
    expect(err).toContain('Did you mean d3?');
  });

  it('removes a member, and says what becomes of its vote', async () => {
    const cluster = new FakeCluster();
    expect((await run(cluster, ['remove', 'w'])).out).toBe(
      'w is removed, and its vote is gone: the next member that joins gets one\n',
    );
    expect((await run(cluster, ['remove', 'w', '--dry-run'])).out).toContain('dry run: w would be removed');
    cluster.answers.removeMember = () => Promise.resolve(bad('unsafe', 'w was heard 0.2 s ago'));
    const refused = await run(cluster, ['remove', 'w']);
    expect(refused).toMatchObject({ status: 4, err: expect.stringContaining('heard 0.2 s ago') as string });
  });

  it('turns maintenance on for the cluster, a server or a group', async () => {
    const cluster = new FakeCluster();
    expect((await run(cluster, ['maintenance', 'on', '--reason', 'disks'])).out).toBe(
      'maintenance of the whole cluster is on\n',
    );
    expect((await run(cluster, ['maintenance', 'off', '--group', 'd3', '--dry-run'])).out).toContain(
      'would go off',
    );
    expect((await run(cluster, ['maintenance', 'on', '--group', 'd3', '--server', 'a'])).status).toBe(2);
    expect(cluster.requests('setMaintenance')).toEqual([
      { on: true, server: '', group: '', reason: 'disks', dryRun: false },
      { on: false, server: '', group: 'd3', reason: '', dryRun: true },
    ]);
  });
});

describe('a dry run of the lab', () => {
  const nowhere = join(tmpdir(), 'holdfast-no-lab-here');
  const lab = (...words: readonly string[]) =>
    run(new FakeCluster(), ['lab', '--lab-dir', nowhere, ...words, '--dry-run', '-o', 'json']);

  it('tells what would be on, and makes nothing', async () => {
    const { status, out } = await lab('up', '--hosts', 'a,b,w', '--outage', '4s');
    const says = `hosts a, b, w would be on, in ${nowhere}, with a cluster on them whose outage is 4s`;
    expect([status, JSON.parse(out)]).toEqual([0, { dryRun: true, says }]);
    expect(existsSync(nowhere)).toBe(false);
  });

  it('still refuses what is wrong', async () => {
    expect((await lab('up', '--outage', 'soon')).status).toBe(2);
  });

  it('tells that there is nothing to remove', async () => {
    const { status, out } = await lab('down');
    expect([status, JSON.parse(out)]).toEqual([0, { dryRun: true, says: `there is no lab in ${nowhere}` }]);
  });
});
