/** One etcd grows to three, and the three keep a compare-and-swap honest when a member is frozen or killed. */

import { createEtcdMembers, statusOf, type EtcdMembers } from '../src/etcd/members.ts';
import type { EtcdOptions } from '../src/etcd/flags.ts';
import { createEtcdStore } from '../src/etcd/store.ts';
import type { RunningEtcd } from '../src/etcd/supervisor.ts';
import type { Txn } from '@holdfast/core';
import {
  clientOf,
  createFixture,
  freeze,
  pidOf,
  recordEvents,
  thaw,
  until,
  type Fixture,
  type RecordedEvents,
} from './etcd-fixture.ts';

interface Node {
  readonly options: EtcdOptions;
  readonly etcd: RunningEtcd;
  readonly events: RecordedEvents;
}

const deadlineMs = 3_000;
let fixture: Fixture;
let members: EtcdMembers;
const nodes: Node[] = [];

beforeAll(async () => {
  fixture = createFixture();
  const options = await fixture.options('a');
  await add(options);
  members = createEtcdMembers({ endpoints: [clientOf(options)], tls: fixture.tls, localFirst: true });
}, 15_000);

afterAll(async () => {
  members.close();
  await fixture.close();
}, 15_000);

describe('growth', () => {
  it('goes by one learner at a time, which votes when it has caught up', async () => {
    for (const name of ['b', 'c']) {
      const joining = await fixture.options(name);
      // etcd wants every voter connected for 5 s before it adds another.
      const added = await until(`${name} is added`, async () => {
        const answer = await members.addLearner(joining.advertisePeerUrls, deadlineMs);
        if (answer.kind === 'not-yet') return null;
        if (answer.kind !== 'ok') throw new Error(answer.says);
        return answer;
      });
      const again = await members.addLearner(joining.advertisePeerUrls, deadlineMs);
      expect(again).toMatchObject({ kind: 'ok', id: added.id });
      expect(await members.addLearner(['https://127.0.0.1:9'], deadlineMs)).toMatchObject({
        kind: 'refused',
        says: expect.stringContaining('too many learner') as string,
      });
      expect((await members.promote(added.id, deadlineMs)).kind).toBe('not-yet');

      const initialCluster = [
        ...nodes.map((node) => ({ name: node.options.name, peerUrls: node.options.advertisePeerUrls })),
        { name, peerUrls: joining.advertisePeerUrls },
      ];
      const options: EtcdOptions = { ...joining, initialCluster, initialState: 'existing' };
      await add(options);
      await until(`${name} votes`, async () => (await members.promote(added.id, deadlineMs)).kind === 'ok');
      expect((await members.promote(added.id, deadlineMs)).kind).toBe('ok');
    }
    const list = await members.list(deadlineMs);
    expect(list.kind === 'ok' && list.members.map((member) => [member.name, member.learner]).sort()).toEqual([
      ['a', false],
      ['b', false],
      ['c', false],
    ]);
  }, 25_000);

  it('refuses a member that does not exist, and removing it is done', async () => {
    expect((await members.promote(42n, deadlineMs)).kind).toBe('refused');
    expect((await members.remove(42n, deadlineMs)).kind).toBe('ok');
  });
});

describe('three members', () => {
  it('a compare-and-swap through a frozen member that was overtaken changes nothing after the thaw', async () => {
    const frozen = await followerOf();
    const late = storeOf([frozen]);
    const other = storeOf(nodes.filter((node) => node !== frozen));
    try {
      await other.txn({ ...none, puts: [{ key: '/o/a', value: 'first' }] }, deadlineMs);
      const seen = await late.read('/o/', deadlineMs);
      const revision = seen.kind === 'read' ? (seen.rows[0]?.modRevision ?? 0n) : 0n;
      const swap = (value: string): Txn => ({
        ...none,
        compares: [{ kind: 'mod-revision', key: '/o/a', revision }],
        puts: [{ key: '/o/a', value }],
      });
      await freeze(frozen.etcd);
      try {
        expect((await late.txn(swap('late'), 400)).kind).toBe('unknown');
        const overtaking = await until('the others go on', async () => {
          const answer = await other.txn(swap('second'), 1_000);
          return answer.kind === 'unknown' ? null : answer;
        });
        expect(overtaking.kind).toBe('succeeded');
      } finally {
        thaw(frozen.etcd);
      }
      await until('the thawed member answers', async () => (await late.read('/o/', 1_000)).kind === 'read');
      expect(await late.read('/o/', deadlineMs)).toMatchObject({ rows: [{ key: '/o/a', value: 'second' }] });
    } finally {
      late.close();
      other.close();
    }
  });

  it('writes go on through another endpoint within seconds of the death of the leader', async () => {
    const leader = await leaderOf();
    const store = storeOf([leader, ...nodes.filter((node) => node !== leader)]);
    const put = { ...none, puts: [{ key: '/l/a', value: 'x' }] };
    try {
      expect((await store.txn(put, deadlineMs)).kind).toBe('succeeded');
      process.kill(pidOf(leader.etcd), 'SIGKILL');
      const from = performance.now();
      await until('a write', async () => (await store.txn(put, 500)).kind === 'succeeded', 8_000);
      expect(performance.now() - from).toBeLessThan(8_000);
    } finally {
      store.close();
    }
  });

  it('a member that was removed ends and is not started again', async () => {
    const gone = await until('a follower', followerOf);
    const list = await members.list(deadlineMs);
    const id =
      list.kind === 'ok' ? list.members.find((member) => member.name === gone.options.name)?.id : undefined;
    await until('it is removed', async () => (await members.remove(id ?? 0n, deadlineMs)).kind === 'ok');
    await until('it ended', () => gone.events.deaths.some((death) => death.restartInMs === null));
    expect(gone.events.deaths.at(-1)).toMatchObject({ kind: 'removed' });
    expect(gone.etcd.pid()).toBeNull();
  });
});

async function add(options: EtcdOptions): Promise<void> {
  const events = recordEvents();
  nodes.push({ options, events, etcd: await fixture.start(options, events) });
}

const none: Txn = { compares: [], puts: [], deletes: [], reads: [] };

function storeOf(of: readonly Node[]): ReturnType<typeof createEtcdStore> {
  const endpoints = of.map((node) => clientOf(node.options));
  return createEtcdStore({ endpoints, tls: fixture.tls, localFirst: true });
}

async function roles(): Promise<{ leader: Node; followers: Node[] } | null> {
  const statuses = await Promise.all(
    nodes.map(async (node) => ({ node, answer: await statusOf(clientOf(node.options), fixture.tls, 1_000) })),
  );
  const known = statuses.flatMap(({ node, answer }) =>
    answer.kind === 'ok' ? [{ node, ...answer.status }] : [],
  );
  const leader = known.find((status) => status.leader === status.member)?.node;
  const followers = known.filter((status) => status.leader !== status.member).map((status) => status.node);
  return leader === undefined || known.length < nodes.length ? null : { leader, followers };
}

async function leaderOf(): Promise<Node> {
  return (await until('a leader', roles)).leader;
}

/** Not the first: that is the one the membership is asked through. */
async function followerOf(): Promise<Node> {
  const { followers } = await until('a leader', roles);
  const follower = followers.find((node) => node !== nodes[0]);
  if (follower === undefined) throw new Error('no follower');
  return follower;
}
