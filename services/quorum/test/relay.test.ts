/** What the agent of this host hears, line by line: nothing of a heartbeat is lost, and garbage is told and dropped. */
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer, type Server } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { heardText, type Heartbeat } from '@holdfast/core';
import { openRelay } from '../src/relay.ts';

const beat: Heartbeat = {
  kind: 'heartbeat',
  sentAt: 1234.5,
  echo: { sentAt: 1000.25, ageMs: 3 },
  version: '0.1.0',
  leaving: false,
  addresses: ['10.77.0.11'],
  groups: [{ group: 'd3', epoch: 7n, state: 'active' }],
  vantage: [{ member: 'b', path: 1, ageMs: 12.5, rttMs: null }],
  diagnoses: [],
};

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

const line = (heartbeat: Heartbeat): string => heardText({ from: 'a', path: 0, heartbeat });

describe('the relay', () => {
  it('hands on what the agent says', async () => {
    expect(await relayed([line(beat), line(beat)])).toEqual({ beats: [beat, beat], garbled: [] });
  }, 5_000);

  it('tells of a line that makes no sense and takes the next one', async () => {
    const told = await relayed(['nonsense', line(beat)]);
    expect(told).toEqual({ beats: [beat], garbled: ['a line of the relay is not JSON'] });
  }, 5_000);
});
