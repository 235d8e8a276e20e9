/** A mirror on one member: roles that follow orders, and the socket over which they come. */
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { FilesDataset, MirrorOrder, MirrorRole, VolumeDataset } from '@holdfast/core';
import { MirrorLink, type MirrorSocketReport } from '@holdfast/wire/mirror';
import { ControlSocket } from '../src/process/control-socket.ts';
import { runDivergence } from '../src/process/divergence-runs.ts';
import { Mirrors } from '../src/process/mirrors.ts';
import { Reporting } from '../src/process/reporting.ts';
import type { Answered, RunPorts } from '../src/process/side.ts';
import { portsTo } from './run-ports.ts';
import { FakeSides } from './fake-sides.ts';

let dir: string;
let sides: FakeSides;
let mirrors: Mirrors;
let now = 1_000;
const said: string[] = [];

const mirrorsHere = (): Mirrors =>
  new Mirrors({ sides, dir: join(dir, 'mirror'), bootMs: () => now, says: (text) => said.push(text) });

beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'holdfast-mirror-'));
  sides = new FakeSides();
  mirrors = mirrorsHere();
  now = 1_000;
  said.length = 0;
});
afterEach(async () => {
  await mirrors.close();
  rmSync(dir, { recursive: true, force: true });
});

const files: FilesDataset = {
  kind: 'files',
  root: '/srv/d3',
  include: [],
  exclude: [],
  devices: false,
  scanEveryMs: 600_000,
};
const volume: VolumeDataset = {
  kind: 'volume',
  path: '/dev/vg0/d3',
  sizeBytes: 2 ** 30,
  mode: 'async',
  onTargetLoss: 'continue',
  targetLossMs: 5_000,
  granularityBytes: 65_536,
};

function order(role: MirrorRole, changes: Partial<MirrorOrder> = {}): MirrorOrder {
  return {
    mirror: 'd3/data',
    dataset: files,
    keepMaxBytes: null,
    role,
    ...changes,
  };
}

const target = (epoch: bigint, ...sources: string[]): MirrorRole => ({ kind: 'target', epoch, sources });
const source = (epoch: bigint, grantUntil: number | null = 60_000): MirrorRole => ({
  kind: 'source',
  epoch,
  grantUntil,
  targets: [],
});
const idle: MirrorRole = { kind: 'idle', epoch: 1n, says: 'it is not open yet' };

async function until(what: string, isSo: () => boolean): Promise<void> {
  const end = performance.now() + 5_000;
  while (!isSo()) {
    if (performance.now() > end)
      throw new Error(`not within 5 s: ${what}; ${sides.events.slice(-20).join(', ')}`);
    await sleep(2);
  }
}

const happened = (what: string): Promise<void> => until(what, () => sides.events.includes(what));

describe('a mirror on one member', () => {
  it('becomes the target of the owner, and the source of a fresh group, without being opened', async () => {
    mirrors.order([order(target(1n, 'a')), order(source(1n), { mirror: 'd4/data' })]);
    await happened('open target of a');
    await happened('open source 1');
    expect(mirrors.reports().map(({ mirror, kind }) => [mirror, kind])).toEqual([
      ['d3/data', 'target'],
      ['d4/data', 'source'],
    ]);
  });

  it('is opened in a takeover: promoted, on disk, and only then the source', async () => {
    mirrors.order([order(target(1n, 'a'))]);
    await happened('open target of a');
    mirrors.order([order(idle)]);
    await happened('close target');
    expect(await mirrors.open({ mirror: 'd3/data', epoch: 2n, forced: false })).toMatchObject({
      kind: 'done',
    });
    expect(sides.events.slice(2)).toEqual([
      'open target of nobody',
      'target of nobody',
      'promote 2',
      'close target',
    ]);
    const file = join(dir, 'mirror', 'd3%2Fdata', 'role.json');
    expect(JSON.parse(readFileSync(file, 'utf8'))).toEqual({ kind: 'source', epoch: '2' });
    mirrors.order([order(source(2n))]);
    await happened('open source 2');
    // Asked again by an agent that did not hear the answer.
    expect(await mirrors.open({ mirror: 'd3/data', epoch: 2n, forced: false })).toMatchObject({
      kind: 'done',
    });
    expect(await mirrors.open({ mirror: 'd3/data', epoch: 1n, forced: true })).toMatchObject({
      kind: 'failed',
    });
  });

  it('is not opened while its copy is incomplete, unless that is forced', async () => {
    sides.consistent = false;
    mirrors.order([order(target(1n, 'a'))]);
    await happened('open target of a');
    mirrors.order([order(source(2n))]);
    await until('it says why', () => mirrors.reports()[0]?.says.includes('not complete') === true);
    expect(await mirrors.open({ mirror: 'd3/data', epoch: 2n, forced: false })).toMatchObject({
      kind: 'failed',
      says: 'the copy of d3/data here is not complete',
    });
    expect(await mirrors.open({ mirror: 'd3/data', epoch: 2n, forced: true })).toMatchObject({
      kind: 'done',
    });
    await happened('open source 2');
  });

  it('says why it takes no copy, to whoever asks', async () => {
    sides.trouble = '"/srv/d3" is not there, or is no folder; make it first';
    mirrors.order([order(target(1n, 'a')), order(source(1n), { mirror: 'd4/data' })]);
    await until('it could not be opened', () => mirrors.absent('d3/data') !== '');
    expect(mirrors.absent('d3/data')).toBe(sides.trouble);
    // What is wrong with a source is nobody's business who wants to be one.
    expect([mirrors.absent('d4/data'), mirrors.absent('d5/data')]).toEqual(['', '']);
  });

  it('closes a source before it becomes a target, and the other way round', async () => {
    mirrors.order([order(source(1n))]);
    await happened('open source 1');
    mirrors.order([order(target(2n, 'b'))]);
    await happened('open target of b');
    mirrors.order([order(source(3n))]);
    await happened('open source 3');
    expect(sides.events).toEqual([
      'open source 1',
      'close source',
      'open target of b',
      'target of nobody',
      'promote 3',
      'close target',
      'open source 3',
    ]);
  });

  it('closes what has lost its root, says so, and opens it when the root is back', async () => {
    mirrors.order([order(source(1n))]);
    await happened('open source 1');
    sides.lost = 'the disk was unmounted';
    sides.trouble = 'is its disk mounted?';
    await happened('close source');
    await until('it says why', () => mirrors.reports()[0]?.says === 'is its disk mounted?');
    sides.lost = '';
    sides.trouble = '';
    await until('it is open again', () => sides.events.filter((e) => e === 'open source 1').length === 2);
  });

  it('takes a resync of a person for the word that a root that was refused is meant so', async () => {
    sides.trouble = 'is its disk mounted?';
    mirrors.order([order(source(1n))]);
    await until('it says why', () => mirrors.reports()[0]?.says === 'is its disk mounted?');
    const run = { kind: 'resync', mirror: 'd3/data', target: '', repair: false, path: '', to: '' } as const;
    const ports = portsTo();
    // With a target named it is about that one.
    await mirrors.run({ run: { ...run, target: 'b' } }, ports);
    expect(sides.events).not.toContain('confirm d3/data');
    expect(await mirrors.run({ run }, ports)).toMatchObject({ kind: 'done' });
    await happened('open source 1');
  });

  it('tells what lies here once it is open, and before its first orders that nothing is known', async () => {
    const run = { kind: 'list', mirror: 'd3/data', target: '', repair: false, path: '', to: '' } as const;
    const ports = portsTo();
    expect(await mirrors.run({ run }, ports)).toMatchObject({
      kind: 'failed',
      as: 'failed',
      says: expect.stringContaining('just started') as string,
    });
    mirrors.order([order(target(1n, 'a'))]);
    expect(await mirrors.run({ run }, ports)).toMatchObject({ kind: 'done' });
    // By the open copy, which knows more.
    expect(sides.events).not.toContain('kept of d3/data');
  });

  it('answers a person with what the disk says, and goes on', async () => {
    sides.kept = () => Promise.reject(Object.assign(new Error('EIO: i/o error, read'), { code: 'EIO' }));
    mirrors.order([order(idle)]);
    const run = { kind: 'list', mirror: 'd3/data', target: '', repair: false, path: '', to: '' } as const;
    const answered = await mirrors.run({ run }, portsTo());
    const says = expect.stringContaining('EIO') as string;
    expect(answered).toMatchObject({ kind: 'failed', as: 'failed', says });
  });

  it('discards nothing while what is kept may be written by a role that is being opened, and reads it', async () => {
    const { target: open } = sides;
    let go = (): void => undefined;
    const gate = new Promise<void>((resolve) => (go = resolve));
    sides.target = async (...given) => {
      await gate;
      return open(...given);
    };
    mirrors.order([order(target(1n, 'a'))]);
    const run = { mirror: 'd3/data', target: '', repair: false, path: '', to: '' };
    const ports = portsTo();
    try {
      const discarded = await mirrors.run({ run: { ...run, kind: 'discard' } }, ports);
      expect(discarded).toMatchObject({
        kind: 'failed',
        says: expect.stringContaining('try again') as string,
      });
      expect(sides.events).not.toContain('kept of d3/data');
      expect(await mirrors.run({ run: { ...run, kind: 'list' } }, ports)).toMatchObject({ kind: 'done' });
      expect(sides.events).toContain('kept of d3/data');
    } finally {
      go();
    }
    await happened('open target of a');
    expect(await mirrors.run({ run: { ...run, kind: 'discard' } }, ports)).toMatchObject({ kind: 'done' });
  }, 15_000);

  it('goes on without its agent until the grant ends, and not longer', async () => {
    mirrors.order([order(source(1n, 1_060))]);
    await happened('open source 1');
    expect(sides.grantUntil()).toBe(1_060);
    now = 1_060;
    await happened('close source');
    mirrors.order([order(source(1n, 5_000))]);
    await until('it is open again', () => sides.events.filter((e) => e === 'open source 1').length === 2);
  });

  it('tries again what can not be opened, and says why once', async () => {
    sides.trouble = '/srv/d3 does not exist';
    mirrors.order([order(target(1n, 'a'))]);
    await until('it says so', () => said.length === 1);
    expect(mirrors.reports()).toMatchObject([{ kind: 'target', state: 'failed', says: sides.trouble }]);
    mirrors.order([order(target(1n, 'a'))]);
    sides.trouble = '';
    await happened('open target of a');
    expect(said).toEqual(['d3/data: /srv/d3 does not exist']);
  });

  it('leaves its root when it is to be another one, and forgets its role when its order goes', async () => {
    mirrors.order([order(target(1n, 'a'))]);
    await happened('open target of a');
    mirrors.order([order(target(1n, 'a'), { dataset: { ...files, root: '/srv/d3/data' } })]);
    await happened('close target');
    await until('it is open again', () => sides.events.at(-1) === 'open target of a');
    expect(sides.events.slice(1, -1)).toEqual(['close target', 'release /srv/d3']); // The other one may lie in it.
    mirrors.order([]);
    await happened('forget d3/data');
    await until('it is a source at once', () => {
      mirrors.order([order(source(4n))]);
      return sides.events.includes('open source 4');
    });
    expect(sides.events).not.toContain('promote 4');
  });

  it('is no source with a copy that is not complete, though its order was taken away meanwhile', async () => {
    sides.consistent = false;
    mirrors.order([order(target(1n, 'a'))]);
    await happened('open target of a');
    mirrors.order([]);
    await happened('release /srv/d3');
    await until('it says why, and what to do', () => {
      mirrors.order([order(source(4n))]);
      const [report] = mirrors.reports();
      return /is not complete\. .* take over\..* holdfast mirror resync d3\/data/.test(report?.says ?? '');
    });
    expect(sides.events).not.toContain('open source 4');
    // A person means it as it is.
    const run = { kind: 'resync', mirror: 'd3/data', target: '', repair: false, path: '', to: '' } as const;
    const ports = portsTo();
    expect(await mirrors.run({ run }, ports)).toMatchObject({ kind: 'done' });
    await happened('open source 4');
    expect(sides.events).not.toContain('promote 4');
  });

  it('keeps a volume open while it changes its mode, and opens it anew on another device', async () => {
    mirrors.order([order(source(1n), { dataset: volume })]);
    await happened('open source 1');
    mirrors.order([order(source(1n), { dataset: { ...volume, mode: 'sync' } })]);
    await happened('source to ');
    expect(sides.events).not.toContain('close source');
    mirrors.order([order(source(1n), { dataset: { ...volume, path: '/dev/vg0/other' } })]);
    await happened('close source');
    await until('it is open again', () => sides.events.at(-1) === 'open source 1');
  });

  it('concludes nothing from a record that is damaged', async () => {
    mirrors.order([order(target(1n, 'a'))]);
    await happened('open target of a');
    await mirrors.close();
    writeFileSync(join(dir, 'mirror', 'd3%2Fdata', 'role.json'), '{"kind":');
    mirrors = mirrorsHere();
    mirrors.order([order(source(2n))]);
    await until('it says so', () => said.some((text) => text.includes('is damaged')));
    expect(sides.events).not.toContain('open source 2');
  });
});

describe('the socket of the mirror process', () => {
  let control: ControlSocket;
  let path: string;
  /** Of what is asked of a mirror, instead of the mirrors; null: these. */
  let answering: ((ports: RunPorts) => Promise<Answered>) | null = null;
  const links: MirrorLink[] = [];
  const heard: (readonly MirrorSocketReport[])[] = [];
  const garbled: string[] = [];

  beforeEach(async () => {
    path = join(dir, 'mirror.sock');
    heard.length = 0;
    garbled.length = 0;
    answering = null;
    control = new ControlSocket(path, {
      orders: (orders) => mirrors.order(orders),
      open: (request) => mirrors.open(request),
      drain: (request) => mirrors.drain(request),
      run: (request, ports) => answering?.(ports) ?? mirrors.run(request, ports),
      garbled: (says) => garbled.push(says),
      fault: (error) => {
        throw error;
      },
    });
    await control.listen();
  });
  afterEach(() => {
    for (const link of links.splice(0)) link.close();
    control.close();
  });

  async function linked(): Promise<MirrorLink> {
    const link = new MirrorLink(path, {
      report: (reports) => heard.push(reports),
      connected: () => undefined,
      garbled: (says) => garbled.push(says),
    });
    links.push(link);
    await until('it is connected', () => link.isConnected);
    return link;
  }

  it('is for its owner alone', () => {
    expect(statSync(path).mode & 0o777).toBe(0o600);
  });

  it('carries orders, reports, and what is asked of a mirror, with 64-bit epochs', async () => {
    const epoch = 9_007_199_254_740_993n;
    const link = await linked();
    const reporting = new Reporting({
      reports: () => mirrors.reports(),
      problems: () => [],
      tell: (reports, problems) => control.report(reports, problems),
      nowMs: () => performance.now(),
    });
    try {
      link.order([order(source(epoch))]);
      await until('a report', () => heard.at(-1)?.[0]?.epoch === epoch);
      expect(await link.drain('d3/data', 'b', 1_000)).toEqual({ kind: 'drained', targets: ['b'] });
      const rows: unknown[] = [];
      const run = { mirror: 'd3/data', target: '', repair: false, path: '', to: '' };
      const answer = await link.run({ kind: 'verify', ...run }, 1_000, (row) => rows.push(row));
      expect(answer).toEqual({ kind: 'done', says: '' });
      expect(rows).toMatchObject([{ kind: 'verified', target: 'b', compared: 1, differing: 0 }]);
      expect(await link.open('d9/data', 1n, false, 1_000)).toMatchObject({ as: 'not-found' });
    } finally {
      reporting.close();
    }
  });

  it('carries a list of any length, as fast as it is read', async () => {
    const all = Array.from({ length: 50_000 }, (_, i) => ({
      ...{
        path: Buffer.from(`${'folder/'.repeat(15)}${String(i)}`),
        size: 4_096,
        modifiedMs: 1_800_000_000_000,
      },
      ...{ change: 'written' as const, from: 'a', epoch: 7n, kept: true },
    }));
    const nothing = { kind: 'failed', says: 'nothing is kept' } as const;
    const store = {
      list: () => all,
      show: () => null,
      restore: () => Promise.resolve(nothing),
      discard: () => nothing,
    };
    const run = { kind: 'list', mirror: 'd3/data', target: '', repair: false, path: '', to: '' } as const;
    answering = (ports) => runDivergence(store, run, 'a', ports);
    const link = await linked();
    let count = 0;
    const answer = await link.run(run, 30_000, () => (count += 1));
    expect({ answer, count }).toMatchObject({ answer: { kind: 'done', says: '' }, count: 50_000 });
  }, 60_000);

  it('says its orders again to the next process', async () => {
    const link = await linked();
    link.order([order(target(1n, 'a'))]);
    await happened('open target of a');
    control.close();
    await until('it is gone', () => !link.isConnected);
    expect(await link.open('d3/data', 1n, false, 1_000)).toMatchObject({ kind: 'lost' });
    await mirrors.close();
    mirrors = mirrorsHere();
    await control.listen();
    await until('it is open again', () => sides.events.filter((e) => e === 'open target of a').length === 2);
  });

  it('drops what is no request, refuses what is a wrong one, and goes on', async () => {
    const socket = connect(path);
    let answers = '';
    socket.on('data', (chunk: Buffer) => (answers += chunk.toString()));
    socket.write('garbage\n{"type":"open","id":7,"mirror":"d3/data","epoch":-1,"forced":true}\n');
    await until('an answer', () => answers.includes('\n'));
    expect(JSON.parse(answers)).toMatchObject({ type: 'failed', id: 7, kind: 'invalid' });
    expect(garbled).toEqual(['a line of a client is no request']);
    socket.destroy();
  });
});
