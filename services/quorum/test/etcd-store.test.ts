/** The store against a real etcd: what it promises when etcd answers, and when it does not. */

import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { createSigningRequest, issueCertificate } from '@holdfast/wire/pki';
import { createEtcdStore, type EtcdStore } from '../src/etcd/store.ts';
import type { RunningEtcd } from '../src/etcd/supervisor.ts';
import type { DeletedRow, StoreWatch } from '../src/store.ts';
import { opsMax, type Row, type Txn } from '@holdfast/core';
import {
  clientOf,
  createFixture,
  freePorts,
  freeze,
  pidOf,
  thaw,
  until,
  type Fixture,
} from './etcd-fixture.ts';

const deadlineMs = 2_000;
let fixture: Fixture;
let etcd: RunningEtcd;
let store: EtcdStore;
let endpoint: string;

beforeAll(async () => {
  fixture = createFixture();
  const options = await fixture.options('one');
  etcd = await fixture.start(options);
  endpoint = clientOf(options);
  store = createEtcdStore({ endpoints: [endpoint], tls: fixture.tls, localFirst: true });
}, 15_000);

afterAll(async () => {
  store.close();
  await fixture.close();
}, 15_000);

describe('a transaction', () => {
  it('changes a key that is as the caller saw it, and only then', async () => {
    const created = await store.txn(put('/t/a', '1', 0n), deadlineMs);
    expect(created).toMatchObject({ kind: 'succeeded', rows: [] });
    const [row] = await rowsUnder('/t/a');
    expect(row).toMatchObject({ key: '/t/a', value: '1' });

    const again = await store.txn(put('/t/a', '2', 0n), deadlineMs);
    expect(again.kind).toBe('compare-failed');
    const next = await store.txn(put('/t/a', '2', row?.modRevision ?? 0n), deadlineMs);
    expect(next.kind).toBe('succeeded');
    expect(await rowsUnder('/t/a')).toMatchObject([{ value: '2' }]);
  });

  it('compares values, and a missing key has none', async () => {
    const compare = (key: string, value: string): Txn => ({
      ...empty,
      compares: [{ kind: 'value', key, value }],
      puts: [{ key: '/v/b', value: 'seen' }],
    });
    expect((await store.txn(compare('/v/a', ''), deadlineMs)).kind).toBe('compare-failed');
    await store.txn({ ...empty, puts: [{ key: '/v/a', value: 'grüß' }] }, deadlineMs);
    expect((await store.txn(compare('/v/a', 'gruß'), deadlineMs)).kind).toBe('compare-failed');
    expect((await store.txn(compare('/v/a', 'grüß'), deadlineMs)).kind).toBe('succeeded');
  });

  it('reads after its own puts and deletes, and reads the same when a compare failed', async () => {
    await store.txn({ ...empty, puts: [{ key: '/r/old', value: 'o' }] }, deadlineMs);
    const txn: Txn = {
      compares: [{ kind: 'mod-revision', key: '/r/new', revision: 0n }],
      puts: [{ key: '/r/new', value: 'n' }],
      deletes: ['/r/old'],
      reads: ['/r/', '/nothing/'],
    };
    const done = await store.txn(txn, deadlineMs);
    expect(done).toMatchObject({ kind: 'succeeded', rows: [{ key: '/r/new', value: 'n' }] });
    const refused = await store.txn({ ...txn, puts: [{ key: '/r/new', value: 'x' }] }, deadlineMs);
    expect(refused).toMatchObject({ kind: 'compare-failed', rows: [{ key: '/r/new', value: 'n' }] });
  });

  it('may have as many compares as operations, all that etcd takes', async () => {
    const keys = Array.from({ length: opsMax }, (_, i) => `/many/${i}`);
    const txn: Txn = {
      compares: keys.map((key) => ({ kind: 'mod-revision', key, revision: 0n })),
      puts: keys.slice(0, 60).map((key) => ({ key, value: '' })),
      deletes: [],
      reads: keys.slice(60),
    };
    expect(await store.txn(txn, deadlineMs)).toMatchObject({ kind: 'succeeded' });
  });

  it('is refused as a mistake when it is too large or writes a key twice', () => {
    const puts = Array.from({ length: 121 }, (_, i) => ({ key: `/big/${i}`, value: '' }));
    expect(() => store.txn({ ...empty, puts }, deadlineMs)).toThrow(/121 operations; the limit is 120/);
    const twice = { ...empty, puts: [{ key: '/d', value: '' }], deletes: ['/d'] };
    expect(() => store.txn(twice, deadlineMs)).toThrow(/writes a key twice/);
  });
});

describe('a certificate of the authority', () => {
  it.each([
    ['server', 'read'],
    ['witness', 'read'],
    ['operator', 'unknown'],
    ['viewer', 'unknown'],
  ] as const)('of the role %s: a read is %s', async (role, answer) => {
    const authority = {
      certificate: fixture.tls.ca.toString(),
      key: readFileSync(join(fixture.dir, 'ca.key'), 'utf8'),
    };
    const { request, key } = await createSigningRequest('jo');
    const peer = { cluster: 'acme', role, id: 'jo' };
    const issued = await issueCertificate(authority, request, { peer, addresses: [] });
    if (issued.kind === 'error') throw new Error(issued.error.says);
    const tls = { ca: fixture.tls.ca, cert: issued.value, key };
    const asking = createEtcdStore({ endpoints: [endpoint], tls, localFirst: true });
    try {
      expect((await asking.read('/t/', deadlineMs)).kind).toBe(answer);
    } finally {
      asking.close();
    }
  });
});

describe('a read', () => {
  it('sees everything under the prefix over many pages, at one revision, and nothing beside it', async () => {
    for (let chunk = 0; chunk < 12; chunk += 1) {
      const puts = Array.from({ length: 100 }, (_, i) => ({
        key: `/p/${chunk * 100 + i}`,
        value: `${chunk * 100 + i}`,
      }));
      expect((await store.txn({ ...empty, puts }, deadlineMs)).kind).toBe('succeeded');
    }
    await store.txn({ ...empty, puts: [{ key: '/p0', value: 'beside' }] }, deadlineMs);
    const rows = await rowsUnder('/p/');
    expect(new Set(rows.map((row) => row.key)).size).toBe(1_200);
    expect(rows.every((row) => row.key === `/p/${row.value}`)).toBe(true);
  });

  it('works after history was compacted; a revision that is not there yet is refused', async () => {
    const { revision } = await readOk('/p/');
    expect(await store.compactBefore(revision, deadlineMs)).toEqual({ kind: 'compacted' });
    expect(await store.compactBefore(revision - 1n, deadlineMs)).toEqual({ kind: 'compacted' });
    expect(await store.compactBefore(revision + 1_000n, deadlineMs)).toMatchObject({ kind: 'refused' });
    expect(await rowsUnder('/p/')).toHaveLength(1_200);
  });
});

describe('without an answer', () => {
  it('a call to a frozen etcd ends at its deadline as unknown, and the same calls work after the thaw', async () => {
    await freeze(etcd);
    try {
      const from = performance.now();
      const [read, txn] = await Promise.all([
        store.read('/t/', 500),
        store.txn({ ...empty, puts: [{ key: '/f/a', value: 'late' }] }, 500),
      ]);
      expect(performance.now() - from).toBeLessThan(2_000);
      expect(read).toMatchObject({ kind: 'unknown', says: expect.stringContaining(endpoint) as string });
      expect(txn).toMatchObject({ kind: 'unknown', says: expect.stringContaining('500 ms') as string });
    } finally {
      thaw(etcd);
    }
    await until('etcd answers again', async () => (await store.read('/t/', 500)).kind === 'read');
    // The put with the unknown outcome happened, or it did not: both are allowed, nothing else is.
    const late = await rowsUnder('/f/a');
    expect(['late', undefined]).toContain(late[0]?.value);
  });

  it('nobody listening is unknown with the endpoint and the reason, and the next call goes elsewhere', async () => {
    const [nobody] = await freePorts(1);
    const local = `127.0.0.1:${nobody ?? 0}`;
    const two = createEtcdStore({ endpoints: [local, endpoint], tls: fixture.tls, localFirst: true });
    try {
      const first = await two.read('/t/', deadlineMs);
      expect(first).toMatchObject({
        kind: 'unknown',
        says: expect.stringMatching(`${local}.*ECONNREFUSED`) as string,
      });
      expect((await two.read('/t/', deadlineMs)).kind).toBe('read');
    } finally {
      two.close();
    }
  });

  it('a server with a certificate of another name is not believed', async () => {
    const tls = { ...fixture.tls, serverName: 'elsewhere.example' };
    const other = createEtcdStore({ endpoints: [endpoint], tls, localFirst: true });
    const answer = await other.read('/t/', deadlineMs);
    other.close();
    expect(answer).toMatchObject({ kind: 'unknown', says: expect.stringContaining('elsewhere') as string });
  });

  it('a closed store answers unknown', async () => {
    const closed = createEtcdStore({ endpoints: [endpoint], tls: fixture.tls, localFirst: true });
    closed.close();
    expect((await closed.read('/t/', 300)).kind).toBe('unknown');
  });
});

describe('a watch', () => {
  it('tells changes and deletions, survives a killed etcd, reports lost, and tells changes again', async () => {
    const seen = recordWatch();
    const watch = store.watch('/w/', seen.on);
    await until('the first change', async () => {
      await store.txn({ ...empty, puts: [{ key: '/w/a', value: '1' }] }, 500);
      return seen.rows.some((row) => row.value === '1');
    });
    await store.txn({ ...empty, deletes: ['/w/a'] }, deadlineMs);
    await until('the deletion', () => seen.rows.some((row) => row.key === '/w/a' && row.value === null));
    expect(seen.lost).toEqual([]);

    process.kill(pidOf(etcd), 'SIGKILL');
    await until('lost, broken', () => seen.lost.some((says) => says.includes('broke')));
    await until('lost, back', () => seen.lost.some((says) => says.includes('is back')));
    await until('the store answers', async () => (await store.read('/w/', 500)).kind === 'read');
    await store.txn(
      {
        ...empty,
        puts: [
          { key: '/w/b', value: '2' },
          { key: '/x', value: '' },
        ],
      },
      deadlineMs,
    );
    await until('a change after the restart', () => seen.rows.some((row) => row.value === '2'));
    expect(seen.rows.some((row) => row.key === '/x')).toBe(false);
    watch.close();
    // It serves before its supervisor has noticed that it does.
    await until('it is supervised', () => etcd.pid() !== null);
  });

  it('notices a frozen etcd by itself', async () => {
    const seen = recordWatch();
    const watch = store.watch('/z/', seen.on);
    await until('the watch is there', async () => {
      await store.txn({ ...empty, puts: [{ key: '/z/a', value: '1' }] }, 500);
      return seen.rows.length > 0;
    });
    await freeze(etcd);
    try {
      await until('lost', () => seen.lost.length > 0, 5_000);
    } finally {
      thaw(etcd);
    }
    await until('back', () => seen.lost.some((says) => says.includes('is back')));
    watch.close();
  });
});

it('an answer from another etcd cluster is unknown', async () => {
  const options = await fixture.options('two');
  await fixture.start(options);
  const both = createEtcdStore({
    endpoints: [endpoint, clientOf(options)],
    tls: fixture.tls,
    localFirst: false,
  });
  try {
    expect((await both.read('/t/', deadlineMs)).kind).toBe('read');
    await freeze(etcd);
    expect((await both.read('/t/', 300)).kind).toBe('unknown');
    const answer = await both.read('/t/', deadlineMs);
    expect(answer).toMatchObject({
      kind: 'unknown',
      says: expect.stringContaining('another cluster') as string,
    });
  } finally {
    thaw(etcd);
    both.close();
  }
});

const empty: Txn = { compares: [], puts: [], deletes: [], reads: [] };

function put(key: string, value: string, revision: bigint): Txn {
  return { ...empty, compares: [{ kind: 'mod-revision', key, revision }], puts: [{ key, value }] };
}

async function readOk(prefix: string): Promise<{ revision: bigint; rows: readonly Row[] }> {
  const answer = await store.read(prefix, deadlineMs);
  if (answer.kind === 'unknown') throw new Error(answer.says);
  return answer;
}

async function rowsUnder(prefix: string): Promise<readonly Row[]> {
  return (await readOk(prefix)).rows;
}

interface Recorded {
  readonly on: StoreWatch;
  readonly rows: (Row | DeletedRow)[];
  readonly lost: string[];
}

function recordWatch(): Recorded {
  const rows: (Row | DeletedRow)[] = [];
  const lost: string[] = [];
  return { on: { changed: (_, more) => rows.push(...more), lost: (says) => lost.push(says) }, rows, lost };
}
