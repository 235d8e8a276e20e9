/** What the agent of this host hears, line by line: nothing of a heartbeat is lost, and garbage is told and dropped. */
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer, type Server } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Heartbeat } from '@holdfast/core';
import { openRelay } from '../src/relay.ts';

const beat: Heartbeat = {
  kind: 'heartbeat',
  sentAt: 1234.5,
  echo: { sentAt: 1000.25, ageMs: 3 },
  version: '0.1.0',
  bootId: '0d5f7a3e-9c1b-4f6e-8a2d-3b4c5d6e7f80',
  leaving: false,
  addresses: ['10.77.0.11'],
  groups: [{ group: 'd3', epoch: 7n, state: 'active' }],
  vantage: [{ member: 'b', path: 1, ageMs: 12.5, rttMs: null }],
  diagnoses: [{ member: 'b', path: 0, says: 'path dead' }],
  mirrors: [
    {
      mirror: 'd3/data',
      epoch: 7n,
      target: 'b',
      state: 'replicating',
      consistent: true,
      behindBytes: 5,
      behindMs: 12.5,
      totalBytes: 0,
      doneBytes: 0,
      rateBytesPerSecond: 100,
      says: '',
      hot: { count: 3, named: ['orders.db'] },
    },
  ],
};

const bigintAsText = (_key: string, value: unknown): unknown =>
  typeof value === 'bigint' ? value.toString() : value;

interface Told {
  readonly beats: Heartbeat[];
  readonly garbled: string[];
}

/** An agent that says these lines; resolves when something of each was told. */
async function relayed(lines: readonly string[]): Promise<Told> {
  const folder = await mkdtemp(join(tmpdir(), 'holdfast-relay-'));
  const path = join(folder, 'heard.sock');
  const agent: Server = createServer((socket) => socket.write(lines.map((l) => `${l}\n`).join('')));
  await new Promise<void>((resolve) => agent.listen(path, resolve));
  const told: Told = { beats: [], garbled: [] };
  try {
    await new Promise<void>((resolve) => {
      const check = (): void => {
        if (told.beats.length + told.garbled.length < lines.length) return;
        relay.close();
        resolve();
      };
      const relay = openRelay(path, {
        heard: (_from, _path, heartbeat) => {
          told.beats.push(heartbeat);
          check();
        },
        connected: () => undefined,
        garbled: (says) => {
          told.garbled.push(says);
          check();
        },
      });
    });
  } finally {
    agent.close();
    await rm(folder, { recursive: true, force: true });
  }
  return told;
}

const line = (heartbeat: object): string =>
  JSON.stringify({ at: 1, from: 'a', path: 0, heartbeat }, bigintAsText);

describe('the relay', () => {
  it('hands on every field of a heartbeat, also those that may be absent', async () => {
    const older: Heartbeat = { ...beat };
    delete (older as { bootId?: string }).bootId;
    const told = await relayed([line(beat), line(older)]);
    expect(told).toEqual({ beats: [beat, older], garbled: [] });
  }, 5_000);

  it('tells of a line that makes no sense and takes the next one', async () => {
    const told = await relayed([line({ ...beat, bootId: 5 }), 'nonsense', line(beat)]);
    expect(told.garbled).toEqual([
      'a line of the relay is malformed: heartbeat.bootId',
      'a line of the relay is not JSON',
    ]);
    expect(told.beats).toHaveLength(1);
  }, 5_000);
});
