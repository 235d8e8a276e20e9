/** The small service of the lab, as the agent would run it: start, status, stop, each more than once. */
import { execFile, spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type AddressInfo } from 'node:net';
import { hostname, tmpdir } from 'node:os';
import { join } from 'node:path';
import { parse } from 'yaml';
import { parseConfig } from '@holdfast/core';
import { labConfig } from '../src/lab/lab-config.ts';

const assets = join(import.meta.dirname, '../assets');
const script = join(assets, 'lab-service.js');
const statusScript = join(assets, 'lab-service-status.sh');

let state = '';
let port = 0;

function service(verb: string, ...more: readonly string[]): Promise<number> {
  return run(process.execPath, [script, verb, '--state', state, '--port', String(port), ...more]);
}

const status = (): Promise<number> => run(statusScript, [state, String(port)]);

function run(file: string, args: readonly string[]): Promise<number> {
  return new Promise((ended) => {
    const child = execFile(file, args, { timeout: 10_000, env: { ...process.env, HOLDFAST_EPOCH: '7' } });
    child.on('exit', (code) => ended(code ?? -1));
  });
}

beforeEach(async () => {
  state = mkdtempSync(join(tmpdir(), 'holdfast-service-'));
  const server = createServer();
  await new Promise<void>((listening) => server.listen(0, listening));
  port = (server.address() as AddressInfo).port;
  await new Promise((closed) => server.close(closed));
});

afterEach(async () => {
  await service('stop');
  rmSync(state, { recursive: true, force: true });
});

describe('the service of the lab', () => {
  it('answers with server and epoch between start and stop, and both may be repeated', async () => {
    expect(await status()).toBe(3);
    expect(await service('stop')).toBe(0);
    expect(await service('start')).toBe(0);
    const first = (await (await fetch(`http://127.0.0.1:${port}/`)).json()) as { pid: number };
    expect(first).toMatchObject({ server: hostname(), epoch: '7' });
    expect(await service('start')).toBe(0);
    const second = (await (await fetch(`http://127.0.0.1:${port}/`)).json()) as { pid: number };
    expect(second.pid).toBe(first.pid);
    expect(await status()).toBe(0);
    process.kill(first.pid, 'SIGKILL');
    expect(await service('start')).toBe(0);
    expect(await service('stop')).toBe(0);
    expect(await status()).toBe(3);
    await expect(fetch(`http://127.0.0.1:${port}/`)).rejects.toThrow();
  });

  it('writes numbered records, and goes on after the last whole one that it finds', async () => {
    const data = join(state, 'data');
    mkdirSync(data);
    writeFileSync(join(data, 'records-000000'), '1 10 a 6\n2 20 a 6\n3 3'); // its power was lost in the middle
    expect(await service('start', '--data', data)).toBe(0);
    const answer: unknown = await (await fetch(`http://127.0.0.1:${port}/`)).json();
    expect(answer).toMatchObject({ found: { number: 2, atMs: 20 } });
    expect(await service('stop')).toBe(0);
    const lines = readFileSync(join(data, 'records-000000'), 'utf8').split('\n').slice(0, 3);
    expect(lines).toEqual(['1 10 a 6', '2 20 a 6', expect.stringMatching(/^3 \d+ \S+ 7$/)]);
  });

  it('tells in silence that it runs and does not answer', () => {
    const own = readFileSync(`/proc/${process.pid}/stat`, 'utf8');
    const start = own.slice(own.lastIndexOf(')') + 2).split(' ')[19];
    // This very process, at whose port nobody listens.
    writeFileSync(join(state, 'service-1.json'), JSON.stringify({ pid: process.pid, start }));
    const { status: code, stderr } = spawnSync(statusScript, [state, '1'], {
      encoding: 'utf8',
      timeout: 10_000,
    });
    expect({ code, stderr }).toEqual({ code: 3, stderr: '' });
  });

  it('says that its port is taken', async () => {
    const other = createServer((socket) => socket.destroy());
    await new Promise<void>((listening) => other.listen(port, '::', listening));
    try {
      expect(await service('start')).toBe(1);
      expect(await status()).toBe(3);
    } finally {
      await new Promise((closed) => other.close(closed));
    }
  });

  it('is configured without a warning, whatever the outage', () => {
    for (const outage of ['5s', '35s']) {
      const parsed = parseConfig(parse(labConfig(['a', 'b'], outage)), 'cluster.yaml', null);
      expect(parsed).toMatchObject({ kind: 'ok', warnings: [] });
    }
  });
});
