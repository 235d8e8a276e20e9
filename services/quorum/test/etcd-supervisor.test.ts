/** The supervisor with real processes: starting, dying, being orphaned, and data that is not as it should be. */

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  appendFileSync,
  cpSync,
  mkdirSync,
  readdirSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import type { EtcdFailure } from '../src/etcd/failure.ts';
import type { EtcdOptions } from '../src/etcd/flags.ts';
import { boundLog, logTail } from '../src/etcd/log-file.ts';
import { statusOf } from '../src/etcd/members.ts';
import { isAlive, processOf } from '../src/etcd/process.ts';
import { startEtcd } from '../src/etcd/supervisor.ts';
import {
  clientOf,
  createFixture,
  freeze,
  pidOf,
  recordEvents,
  stopLeftoverEtcd,
  until,
  type Fixture,
} from './etcd-fixture.ts';

let fixture: Fixture;
beforeAll(() => {
  fixture = createFixture();
});
afterAll(() => fixture.close(), 15_000);

describe('a supervised etcd', () => {
  it('is started again when it is killed, and the reason is told', async () => {
    const options = await fixture.options('killed');
    const events = recordEvents();
    const etcd = await fixture.start(options, events);
    const first = pidOf(etcd);
    process.kill(first, 'SIGKILL');
    await until('another etcd runs', () => etcd.pid() !== null && etcd.pid() !== first);
    expect(events.deaths).toMatchObject([
      { kind: 'exited', says: expect.stringContaining('SIGKILL') as string },
    ]);
    expect(await statusOf(clientOf(options), fixture.tls, 2_000)).toMatchObject({
      kind: 'ok',
      status: { version: '3.4.23' },
    });

    const second = pidOf(etcd);
    expect(await etcd.stop(5_000)).toBe('stopped');
    expect(processOf(second)).toBeNull();
    expect(events.deaths).toHaveLength(1);
  });

  it('is killed when it does not end in time', async () => {
    const etcd = await fixture.start(await fixture.options('frozen'));
    await freeze(etcd);
    expect(await etcd.stop(200)).toBe('killed');
  });

  it('outlives its supervisor and is taken over by the next one', async () => {
    const options = await fixture.options('orphan');
    const first = await fixture.start(options);
    const pid = pidOf(first);
    first.release();
    expect(processOf(pid)).not.toBeNull();

    const events = recordEvents();
    const next = await startEtcd({ ...options, initialCluster: null }, events);
    if (next.kind !== 'started') throw new Error(next.says);
    expect(next.adopted).toBe(true);
    expect(next.etcd.pid()).toBe(pid);

    process.kill(pid, 'SIGKILL');
    await until('the death of the adopted etcd is told', () => events.deaths.length > 0);
    await until('a new one runs', () => next.etcd.pid() !== null && next.etcd.pid() !== pid);
    expect(events.starts).toEqual(['adopted', 'started']);
    expect(await next.etcd.stop(5_000)).toBe('stopped');
  });

  it('is replaced when it runs with other arguments', async () => {
    const options = await fixture.options('replaced');
    const first = await fixture.start(options);
    const old = processOf(pidOf(first));
    first.release();
    const next = await startEtcd({ ...options, heartbeatMs: 150, electionMs: 1_500 }, recordEvents());
    if (next.kind !== 'started') throw new Error(next.says);
    expect(next.adopted).toBe(false);
    expect(old !== null && isAlive(old)).toBe(false);
    next.etcd.release();
    expect(await stopLeftoverEtcd(options.dataDir, 5_000)).toBe(1);
  });
});

describe('a start that can not be', () => {
  it('says how to install etcd', async () => {
    const failure = await failureOf(await fixture.options('absent', { binary: 'etcd-that-is-not-there' }));
    expect(failure).toEqual({
      kind: 'not-installed',
      says: 'etcd is not installed: there is no etcd-that-is-not-there: apt-get install etcd-server',
    });
  });

  it('says which port is in use', async () => {
    const options = await fixture.options('busy');
    const server = createServer().listen(options.peerPort, '127.0.0.1');
    await once(server, 'listening');
    const failure = await failureOf(options);
    server.close();
    expect(failure).toMatchObject({
      kind: 'port-in-use',
      says: expect.stringContaining(`127.0.0.1 port ${options.peerPort}`) as string,
    });
  });

  it('never founds a cluster on data that is gone', async () => {
    const options = await fixture.options('gone', { initialCluster: null });
    expect(await failureOf(options)).toMatchObject({ kind: 'no-data' });
    mkdirSync(options.dataDir);
    writeFileSync(join(options.dataDir, 'note'), 'kept');
    expect(await failureOf(options)).toMatchObject({ kind: 'no-data' });
    expect(readdirSync(options.dataDir)).toEqual(['note']);
  });

  it('says that the data is not a directory', async () => {
    const options = await fixture.options('file');
    writeFileSync(options.dataDir, 'a file');
    expect(await failureOf(options)).toMatchObject({ kind: 'data-unreadable' });
  });

  it('says that a certificate is missing', async () => {
    const options = await fixture.options('bare');
    const tls = { ...options.tls, keyFile: '/nonexistent.key' };
    expect(await failureOf({ ...options, tls })).toMatchObject({
      says: expect.stringContaining('/nonexistent.key') as string,
    });
  });
});

describe('damaged data', () => {
  it('is kept: a damaged database is told, a log that etcd cut is warned about', async () => {
    const options = await fixture.options('damaged');
    const etcd = await fixture.start(options);
    await etcd.stop(5_000);
    const copy = `${options.dataDir}-copy`;
    cpSync(options.dataDir, copy, { recursive: true });

    writeFileSync(join(options.dataDir, 'member/snap/db'), Buffer.alloc(32_768, 0x5a));
    expect(await failureOf({ ...options, initialCluster: null })).toMatchObject({
      kind: 'data-unreadable',
      says: expect.stringMatching(/invalid database.*Nothing was deleted/) as string,
    });
    expect(statSync(join(options.dataDir, 'member/snap/db')).size).toBe(32_768);

    rmSync(options.dataDir, { recursive: true });
    cpSync(copy, options.dataDir, { recursive: true });
    cutLog(options.dataDir);
    const events = recordEvents();
    const cut = await fixture.start({ ...options, initialCluster: null }, events);
    expect(events.warnings).toMatchObject([expect.stringContaining('found its log damaged')]);
    await cut.stop(5_000);
  });
});

describe('a log', () => {
  it('stays within its bound while the process goes on writing to it', async () => {
    const file = join(fixture.dir, 'bounded.log');
    const writer = spawn('sh', ['-c', `exec >>${file}; while read line; do echo "$line"; done`], {
      stdio: ['pipe', 'ignore', 'ignore'],
    });
    writer.stdin.write(`${'x'.repeat(2_000)}\n`);
    await until('the first line', () => logTail(file, 0).length === 1);
    expect(boundLog(file, 1_000)).toBeNull();
    writer.stdin.write('after\n');
    await until('the next line', () => logTail(file, 0).length === 1);
    expect(logTail(file, 5_000)).toEqual(['after']);
    expect(statSync(`${file}.1`).size).toBe(2_001);
    writer.stdin.end();
    await once(writer, 'exit');
    appendFileSync(file, 'more\n');
    expect(boundLog(file, 1_000)).toBeNull();
    expect(logTail(file, 0)).toEqual(['after', 'more']);
  });
});

async function failureOf(options: EtcdOptions): Promise<EtcdFailure> {
  const answer = await startEtcd(options, recordEvents());
  if (answer.kind !== 'started') return answer;
  await answer.etcd.stop(2_000);
  throw new Error('it started');
}

/** Cuts the log in the middle of a record, as a power cut may, or a bad disk. */
function cutLog(dataDir: string): void {
  const wal = join(dataDir, 'member/wal');
  const [name] = readdirSync(wal).filter((file) => file.endsWith('.wal'));
  truncateSync(join(wal, name ?? ''), 400);
}
