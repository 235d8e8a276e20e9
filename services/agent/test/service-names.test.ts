/** What is known of a name that the name server was not told. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { AgentState, Ended } from '@holdfast/core';
import type { Host } from '../src/host.ts';
import { ServiceNames } from '../src/service-names.ts';
import { oneGroup, until } from './story.ts';

const dead: Ended = { kind: 'failed', says: 'nsupdate: no answer from 10.77.0.53' };
let dir: string;
let answer: Ended;
let notes: string[];
let names: ServiceNames;

const config = oneGroup().groups.get('d3');
if (config === undefined) throw new Error('there is no d3');
const dns = { server: '10.77.0.53', zone: 'example.test', ttlMs: 30_000, key: null };
const d3 = { ...config, identity: { ...config.identity, hostname: 'd3-main', dns } };

beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'holdfast-names-'));
  answer = dead;
  notes = [];
  const state = { groups: new Map([['d3', { holding: { kind: 'active', epoch: 7n } }]]) };
  const host: Partial<Host> = {
    self: 'a',
    state: () => state as unknown as AgentState,
    note: (_group, what) => notes.push(what),
    platform: {
      names: {
        ...{ add: () => Promise.resolve({ kind: 'done' }), remove: () => Promise.resolve({ kind: 'done' }) },
        ...{ hostname: () => 'a', updateDns: () => Promise.resolve(answer) },
      },
    } as unknown as Host['platform'],
  };
  names = new ServiceNames(host as Host, dir, { bootId: 'a1', hostname: 'a' });
});
afterEach(async () => {
  await names.close();
  rmSync(dir, { recursive: true });
});

it('is kept until it was told after all', async () => {
  expect(await names.take('d3', 7n, d3)).toEqual({ kind: 'done' });
  await until('it could not be told', () => names.untold.size > 0);
  expect([...names.untold]).toEqual([['d3', dead.says]]);
  answer = { kind: 'done' };
  await until('it was told', () => names.untold.size === 0);
  expect(notes).toEqual(['dns-failed', 'dns-updated']);
});

it('is forgotten with the name', async () => {
  await names.take('d3', 7n, d3);
  await until('it could not be told', () => names.untold.size > 0);
  await names.giveUp(d3);
  expect(names.untold.size).toBe(0);
});
