/** A member that goes on alone by a person's word: what is refused, and what becomes of three real etcds. */

import { existsSync } from 'node:fs';
import { createServer } from 'node:net';
import { once } from 'node:events';
import { join } from 'node:path';
import { keys, parseEvent } from '@holdfast/core';
import {
  createMemberDirectory,
  defaultPorts,
  openMemberDirectory,
  type KnownMember,
  type MemberDirectory,
  type MemberRecord,
} from '@holdfast/wire/directory';
import { cluster, contents, inFolder, value } from '../../wire/test/cluster.ts';
import { createEtcdMembers } from '../src/etcd/members.ts';
import { createEtcdStore } from '../src/etcd/store.ts';
import { startEtcd, type RunningEtcd } from '../src/etcd/supervisor.ts';
import { encodeMember, readMembers } from '../src/member-row.ts';
import { ownAddress, ownEtcd } from '../src/own-etcd.ts';
import { mayRecover, recoverAlone, whoAnswers } from '../src/recovery.ts';
import { peerUrlsOf } from '../src/voting.ts';
import { freePorts, recordEvents, stopLeftoverEtcd, until } from './etcd-fixture.ts';

const known = (id: string, over: Partial<KnownMember> = {}): KnownMember => ({
  ...{
    id,
    role: id === 'w' ? 'witness' : 'server',
    addresses: ['127.0.0.1'],
    ports: defaultPorts,
    voter: true,
  },
  ...over,
});

const recordOf = (members: readonly KnownMember[], over: Partial<MemberRecord> = {}): MemberRecord => ({
  ...{ format: 1, cluster: 'acme', id: 'b', role: 'server', addresses: ['127.0.0.1'], ports: defaultPorts },
  ...{ members, externalEtcd: null },
  ...over,
});

describe('whether a member may go on alone', () => {
  const three = [known('a'), known('b'), known('w'), known('c', { voter: false })];

  it('takes a word for each other member that votes', () => {
    expect(mayRecover(recordOf(three), ['a', 'w'])).toEqual({ kind: 'may', others: ['a', 'w'] });
    expect(mayRecover(recordOf(three), [])).toMatchObject({
      kind: 'refused',
      says: 'a and w may still vote, and decide otherwise than b alone',
      fix: expect.stringContaining('--without a --without w') as string,
    });
    expect(mayRecover(recordOf(three), ['a'])).toMatchObject({ kind: 'refused', says: /^w may/ });
  });

  it.each([
    [recordOf(three), ['a', 'w', 'c'], /^--without c: the other members that vote are a, w/],
    [recordOf([known('a'), known('b', { voter: false })]), ['a'], /^b does not vote/],
    [recordOf([known('b')]), [], /the only member that votes/],
    [
      recordOf(three, { externalEtcd: { endpoints: ['http://127.0.0.1:1'] } }),
      ['a'],
      /does not run the etcd/,
    ],
  ])('is wrong where it makes no sense', (record, without, says) => {
    const judged = mayRecover(record, without);
    expect(judged.kind).toBe('wrong');
    expect(judged.kind === 'wrong' && judged.says).toMatch(says);
  });

  it('hears whoever answers at any of its ports, with a vote or without', async () => {
    const [grpc = 0, etcdPeer = 0, silent = 0] = await freePorts(3);
    const server = createServer((socket) => socket.destroy()).listen(etcdPeer, '127.0.0.1');
    await once(server, 'listening');
    const ports = { ...defaultPorts, grpc, etcdPeer };
    const quiet = { ...defaultPorts, grpc: silent, etcdPeer: silent };
    const members = [
      known('b', { ports }),
      known('c', { ports, voter: false }),
      known('a', { ports: quiet }),
    ];
    expect(await whoAnswers(recordOf(members))).toEqual(['c']);
    server.close();
  });
});

/** a, b and w, with directories and certificates as in life, whose etcds have begun as one. */
async function threeVoters(folder: string): Promise<readonly MemberDirectory[]> {
  const acme = await cluster();
  const ports = await freePorts(9);
  const members = ['a', 'b', 'w'].map((id, n) => {
    const [grpc = 0, etcdClient = 0, etcdPeer = 0] = ports.slice(3 * n, 3 * n + 3);
    return known(id, { ports: { ...defaultPorts, grpc, etcdClient, etcdPeer } });
  });
  return Promise.all(
    members.map(async (m) => {
      const made = await contents(acme, m.role, m.id);
      const record = { ...made.record, ports: m.ports, members };
      return value(await createMemberDirectory(join(folder, m.id), { ...made, record }));
    }),
  );
}

async function begin(directory: MemberDirectory): Promise<RunningEtcd> {
  const first = directory.record.members.map((m) => ({ name: m.id, peerUrls: peerUrlsOf(m) }));
  const initialCluster = existsSync(join(directory.path, 'etcd/member')) ? null : first;
  const answer = await startEtcd(
    { ...ownEtcd(directory), initialCluster, initialState: 'new' },
    recordEvents(),
  );
  if (answer.kind !== 'started') throw new Error(answer.says);
  return answer.etcd;
}

const wall = 1_700_000_000_000;
const never = new AbortController().signal;

it('goes on alone with what it has, and the others are told when they come back', async () => {
  await inFolder(async (folder) => {
    const [a, b, w] = await threeVoters(folder);
    if (a === undefined || b === undefined || w === undefined) throw new Error('there are three');
    try {
      const etcds = await Promise.all([a, b, w].map(begin));
      const store = createEtcdStore(ownAddress(b));
      const rows = b.record.members.map((m) => ({ ...m, addresses: [...m.addresses] }));
      await until('all are recorded', async () => {
        const puts = [
          ...rows.map((row) => ({ key: keys.member(row.id), value: encodeMember(row as never) })),
          { key: keys.group('d3'), value: 'kept' },
        ];
        return (await store.txn({ compares: [], puts, deletes: [], reads: [] }, 2_000)).kind === 'succeeded';
      });
      // b has it, too, before the others are gone.
      await until('b has it', async () => (await store.read(keys.group('d3'), 2_000)).kind === 'read');
      store.close();
      await Promise.all(etcds.map((etcd) => etcd.stop(5_000)));

      expect(await recoverAlone(b, wall, never)).toEqual({ kind: 'recovered', without: ['a', 'w'] });
      const after = value(await openMemberDirectory(b.path));
      expect(after.record.members.filter((m) => m.voter).map((m) => m.id)).toEqual(['b']);

      const etcd = await begin(after);
      const alone = createEtcdStore(ownAddress(after));
      const members = createEtcdMembers(ownAddress(after));
      const read = await until('it answers', async () => {
        const found = await readMembers(alone, 2_000);
        return found.kind === 'ok' && found.rows;
      });
      expect(read.map((row) => [row.id, row.voter])).toEqual([
        ['a', false],
        ['b', true],
        ['w', false],
      ]);
      const list = await members.list(2_000);
      expect(list.kind === 'ok' && list.members.map((m) => m.name)).toEqual(['b']);
      const kept = await alone.read(keys.group('d3'), 2_000);
      expect(kept.kind === 'read' && kept.rows.map((row) => row.value)).toEqual(['kept']);
      const events = await alone.read(keys.events, 2_000);
      const [event] = events.kind === 'read' ? events.rows : [];
      const parsed = parseEvent(event?.value ?? '');
      expect(parsed.kind === 'ok' && parsed.value).toMatchObject({
        kind: 'recovered',
        time: wall,
        reason: expect.stringContaining('a and w are off for good') as string,
      });
      members.close();
      alone.close();

      const back = recordEvents();
      const returned = await startEtcd(
        { ...ownEtcd(a), initialCluster: null, initialState: 'existing' },
        back,
      );
      const told =
        returned.kind === 'started' ? await until('a is told', () => back.deaths[0] ?? null) : returned;
      expect(told.kind).toBe('removed');
      await etcd.stop(5_000);
    } finally {
      await Promise.all([a, b, w].map((one) => stopLeftoverEtcd(join(one.path, 'etcd'), 1_000)));
    }
  });
}, 90_000);

it('says that there is nothing to go on with, and founds nothing', async () => {
  await inFolder(async (folder) => {
    const [, b] = await threeVoters(folder);
    if (b === undefined) throw new Error('there are three');
    expect(await recoverAlone(b, wall, never)).toMatchObject({
      kind: 'failed',
      says: expect.stringContaining('the etcd log is missing') as string,
    });
    expect(existsSync(join(b.path, 'etcd/member'))).toBe(false);
  });
});
