/** The agent and a mirror process that is made up: a socket that answers as it is told. */
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { AgentEvent, MirrorOrders } from '@holdfast/core';
import {
  Lines,
  mirrorLine,
  parseMirrorRequest,
  type MirrorSocketMessage,
  type MirrorSocketRequest,
} from '@holdfast/wire/mirror';
import { MirrorLink } from '../src/mirror-link.ts';
import { until } from './story.ts';

let dir: string;
let server: Server | null;
let link: MirrorLink;
const clients = new Set<Socket>();
const asked: MirrorSocketRequest[] = [];
const events: AgentEvent[] = [];
const notes: string[] = [];
/** Each time that they changed. */
const told: string[] = [];
/** What is answered; null: nothing. */
let answer: (request: MirrorSocketRequest) => MirrorSocketMessage | null;

const done = ({ id }: MirrorSocketRequest): MirrorSocketMessage => ({ type: 'done', id, says: '' });

function startProcess(): Promise<void> {
  const made = createServer((socket) => {
    clients.add(socket);
    const lines = new Lines(() => undefined);
    socket.on('error', () => socket.destroy());
    socket.on('close', () => clients.delete(socket));
    socket.on('data', (chunk: Buffer) => {
      for (const line of lines.push(chunk)) {
        const parsed = parseMirrorRequest(line);
        if (parsed.kind !== 'request') throw new Error(`the agent said: ${line}`);
        asked.push(parsed.request);
        const reply = answer(parsed.request);
        if (reply !== null) socket.write(mirrorLine(reply));
      }
    });
  });
  server = made;
  return new Promise((resolve) => made.listen(join(dir, 'mirror.sock'), resolve));
}

async function endProcess(): Promise<void> {
  const ended = server;
  server = null;
  for (const client of clients) client.destroy();
  if (ended !== null) await new Promise((resolve) => ended.close(resolve));
}

beforeEach(async () => {
  dir = mkdtempSync(join(tmpdir(), 'holdfast-link-'));
  for (const list of [asked, events, notes, told]) list.length = 0;
  answer = done;
  await startProcess();
  link = linked();
});
const linked = (quietMs?: number) =>
  new MirrorLink(
    join(dir, 'mirror.sock'),
    {
      dispatch: (event) => events.push(event),
      note: (_group, _what, reason) => notes.push(reason),
      problemsChanged: () => told.push(link.problems().join()),
    },
    quietMs,
  );
afterEach(async () => {
  link.close();
  await endProcess();
  rmSync(dir, { recursive: true, force: true });
});

const orders: MirrorOrders = {
  mirrors: [
    {
      mirror: 'd3/data',
      dataset: {
        kind: 'files',
        root: '/srv/d3',
        include: [],
        exclude: ['**/*.tmp'],
        devices: false,
        scanEveryMs: 600_000,
      },
      keepMaxBytes: null,
      role: {
        kind: 'source',
        epoch: 9_007_199_254_740_993n,
        grantUntil: 12_345.5,
        targets: [
          {
            member: 'b',
            addresses: ['10.78.0.12', '10.77.0.12'],
            port: 7445,
            throttle: {
              otherwiseBits: null,
              windows: [{ window: { days: [1, 2], fromMinute: 480, toMinute: 1080 }, bits: 1e8 }],
            },
            compress: 'auto',
            encrypt: 'always',
            paused: null,
          },
        ],
      },
    },
    {
      mirror: 'd3/disk',
      dataset: {
        kind: 'volume',
        path: '/dev/vg0/d3',
        sizeBytes: 20 * 2 ** 40,
        mode: 'sync',
        onTargetLoss: 'continue',
        targetLossMs: 5_000,
        granularityBytes: 65_536,
      },
      keepMaxBytes: 2 ** 30,
      role: { kind: 'target', epoch: 7n, sources: ['a'] },
    },
  ],
};

const ordersHeard = () => asked.filter((request) => request.type === 'orders');
const connected = () => until('it is connected', () => ordersHeard().length > 0);

const report = {
  kind: 'source' as const,
  mirror: 'd3/data',
  epoch: 7n,
  sequence: 3,
  says: '',
  export: 'nbd+unix:///disk?socket=/var/lib/holdfast/run/nbd-d3.disk.sock',
  targets: [],
};

describe('the link to the mirror process', () => {
  it('carries the orders whole, and says them again to the next process', async () => {
    link.order(orders);
    await connected();
    expect(ordersHeard()[0]?.mirrors).toEqual(orders.mirrors);
    await endProcess();
    await startProcess();
    await until('they are said again', () => ordersHeard().length === 2);
    expect(notes).toEqual([]);
  });

  it('makes an event of each report', async () => {
    answer = () => ({ type: 'report', reports: [report], problems: ['port 7445 is in use'] });
    link.order(orders);
    await until('the event', () => events.length > 0);
    expect(events[0]).toEqual({ kind: 'mirrors', reports: [report] });
    expect(link.problems()).toEqual(['port 7445 is in use']);
  });

  it('tells at once when something is wrong with it, and when nothing is any more', async () => {
    const away = 'the mirror process does not answer';
    await endProcess();
    link.order(orders);
    expect(told).toEqual([away]);
    await startProcess();
    await until('it is there', () => told.length > 1);
    await endProcess();
    await until('it is away', () => told.length > 2);
    expect(told).toEqual([away, '', away]);
  });

  it('tells of one that is there and says nothing any more, until it does', async () => {
    link.close();
    link = linked(60);
    const reports = { type: 'report' as const, reports: [report], problems: [] };
    answer = () => reports;
    link.order(orders);
    await until('it is told', () => notes.length > 0);
    expect(link.problems()).toEqual([expect.stringContaining('says nothing any more: a disk')]);
    expect(notes).toEqual(link.problems());
    for (const client of clients) client.write(mirrorLine(reports));
    await until('it is back', () => told.at(-1) === '');
    expect(notes[1]).toBe('the mirror process answers again');
    expect(told.slice(-2)).toEqual([notes[0], '']);
  });

  it('tells nothing of one that has no mirror to tell of', async () => {
    link.close();
    link = linked(20);
    answer = () => ({ type: 'report', reports: [], problems: [] });
    link.order(orders);
    await until('it has told', () => events.length > 0);
    await new Promise((resolve) => setTimeout(resolve, 100));
    expect(notes).toEqual([]);
  });

  it('opens all mirrors of a group or says which failed', async () => {
    link.order(orders);
    await connected();
    answer = (request) =>
      request.type === 'open' && request.mirror === 'd3/logs'
        ? { type: 'failed', id: request.id, kind: 'failed', says: 'the copy of d3/logs is not complete' }
        : done(request);
    expect(await link.open(['d3/data'], 7n, false, 2_000)).toEqual({ kind: 'done' });
    expect(await link.open(['d3/data', 'd3/logs'], 7n, false, 2_000)).toEqual({
      kind: 'failed',
      says: 'the copy of d3/logs is not complete',
    });
  });

  it('counts as drained only who holds all the mirrors', async () => {
    link.order(orders);
    await connected();
    answer = (request) => ({
      type: 'drained',
      id: request.id,
      targets: request.type === 'drain' && request.mirror === 'd3/data' ? ['b', 'c'] : ['c'],
    });
    const both = ['d3/data', 'd3/logs'];
    expect(await link.drain(both, 'c', 2_000)).toEqual({ ended: { kind: 'done' }, drained: ['c'] });
    expect(await link.drain(both, null, 2_000)).toEqual({ ended: { kind: 'done' }, drained: ['c'] });
    expect(await link.drain(both, 'b', 2_000)).toEqual({
      ended: { kind: 'failed', says: 'b does not hold everything of d3/logs yet' },
      drained: ['c'],
    });
  });

  it('ends every step in time, with a process that says nothing and without one', async () => {
    link.order(orders);
    await connected();
    answer = () => null;
    expect(await link.open(['d3/data'], 7n, false, 600)).toMatchObject({ kind: 'failed' });
    await endProcess();
    await until('it knows', () => link.problems().length > 0);
    expect(link.problems()).toEqual(['the mirror process does not answer']);
    expect((await link.drain(['d3/data'], 'b', 60_000)).ended.kind).toBe('failed');
    await until('what it said counts no more', () => events.at(-1)?.kind === 'mirrors');
  });
});
