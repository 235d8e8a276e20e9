/** What people do is in the history, with who did it: put in the transaction that does it, and only when it changes anything. */
import {
  keys,
  newQuorum,
  parseConfig,
  parseEvent,
  type QuorumState,
  type ReadAnswer,
  type Row,
  type Txn,
  type TxnAnswer,
} from '@holdfast/core';
import { admin, members as membersApi } from '@holdfast/proto';
import { decodeToken, type MemberDirectory } from '@holdfast/wire/directory';
import { createSigningRequest } from '@holdfast/wire/pki';
import { cluster, contents, value } from '../../wire/test/cluster.ts';
import { admit, makeToken } from '../src/admission.ts';
import { apply } from '../src/apply.ts';
import { setMaintenance } from '../src/maintenance.ts';
import { pauseMirror } from '../src/pauses.ts';
import type { QuorumService } from '../src/service.ts';

const wall = 1_800_000_000_000;
const members = ['a', 'b'].map((id, index) => ({
  ...{ id, role: 'server' as const, addresses: [`10.77.0.1${index}`], voter: true },
}));
const held = <T>(value: T) => ({ value, text: '', modRevision: 1n, changedAt: 0 });

const yaml = (outage: string) => `
groups:
  d3:
    servers: [a, b]
    outage: ${outage}
    identity: { mode: add, addresses: [10.77.0.100/24] }
    mirrors: { data: { files: { root: /srv/d3 } } }
`;

/** A service whose store says yes, and what it was asked to do. */
class Asked {
  readonly txns: Txn[] = [];
  private readonly rows = new Map<string, Row>();

  silent = false;

  readonly storeNow = {
    txn: (txn: Txn): Promise<TxnAnswer> => {
      if (this.silent) return Promise.resolve({ kind: 'unknown', says: 'no answer in 2000 ms' });
      this.txns.push(txn);
      for (const put of txn.puts) this.rows.set(put.key, { ...put, modRevision: 8n });
      return Promise.resolve({ kind: 'succeeded', revision: 8n, rows: [] });
    },
    read: (prefix: string): Promise<ReadAnswer> =>
      Promise.resolve({
        kind: 'read',
        revision: 8n,
        rows: [...this.rows.values()].filter(({ key }) => key.startsWith(prefix)),
      }),
  };

  get service(): QuorumService {
    const parsed = parseConfig(
      {
        groups: {
          d3: {
            servers: ['a', 'b'],
            identity: { mode: 'add', addresses: ['10.77.0.100/24'] },
            mirrors: { data: { files: { root: '/srv/d3' } } },
          },
        },
      },
      'cluster.yaml',
      members,
    );
    if (parsed.kind === 'invalid') throw new Error(parsed.errors.join('\n'));
    const fresh = newQuorum('a', false, 1, 0);
    const state: QuorumState = {
      ...fresh,
      view: {
        ...fresh.view,
        revision: 7n,
        config: held(parsed.config),
        members: new Map(members.map((m) => [m.id, held(m)])),
      },
    };
    return { state, storeNow: this.storeNow, dispatch: () => undefined } as unknown as QuorumService;
  }

  get written() {
    return this.txns.flatMap(({ puts }) => puts);
  }

  /** Of the last transaction, which puts something else as well. */
  get told() {
    const puts = this.txns.at(-1)?.puts ?? [];
    const events = puts.filter(({ key }) => key.startsWith(keys.events)).map((put) => parseEvent(put.value));
    expect(puts.length - events.length).toBe(1);
    return events.map((event) => {
      if (event.kind === 'garbage') throw new Error(event.says);
      const { kind, group, server, reason } = event.value;
      return { kind, group, server, reason };
    });
  }
}

describe('what is so already, as far as this member knows', () => {
  it.each<[string, (service: QuorumService) => Promise<unknown>]>([
    ['a configuration', (s) => apply(s, admin.ApplyRequest.fromPartial({ yaml: yaml('35s') }), 'jo', wall)],
    [
      'a maintenance',
      (s) => setMaintenance(s, admin.SetMaintenanceRequest.fromPartial({ on: false }), 'jo', wall),
    ],
    [
      'a pause',
      (s) => pauseMirror(s, admin.PauseMirrorRequest.fromPartial({ mirror: 'd3/data' }), 'jo', wall),
    ],
  ])('is no answer without a majority, which may know better: %s', async (_, order) => {
    const asked = new Asked();
    expect(await order(asked.service)).toMatchObject({ kind: 'ok', value: { changed: false } });
    expect(asked.written).toEqual([]);
    asked.silent = true;
    expect(await order(asked.service)).toMatchObject({ kind: 'error', error: { kind: 'unreachable' } });
  });
});

describe('the history', () => {
  let asked: Asked;

  beforeEach(() => {
    asked = new Asked();
  });

  it('has who applied what, and nothing where nothing is different', async () => {
    const request = (outage: string, dryRun = false) =>
      admin.ApplyRequest.fromPartial({ yaml: yaml(outage), file: 'd3.yaml', dryRun });
    await apply(asked.service, request('35s'), 'jo', wall);
    await apply(asked.service, request('50s', true), 'jo', wall);
    expect(asked.written).toEqual([]);
    await apply(asked.service, request('50s'), 'jo', wall);
    expect(asked.told).toEqual([
      {
        kind: 'applied',
        group: null,
        server: null,
        reason: 'jo applied d3.yaml: groups.d3.outage: 35s -> 50s',
      },
    ]);
  });

  it('has who began and ended a maintenance, and why', async () => {
    const request = (told: Partial<admin.SetMaintenanceRequest>) =>
      admin.SetMaintenanceRequest.fromPartial(told);
    await setMaintenance(asked.service, request({ on: false }), 'jo', wall);
    expect(asked.written).toEqual([]);
    await setMaintenance(asked.service, request({ on: true, server: 'b', reason: 'new memory' }), 'jo', wall);
    expect(asked.told).toEqual([
      { kind: 'maintenance', group: null, server: 'b', reason: 'jo put b into maintenance (new memory)' },
    ]);
    await setMaintenance(asked.service, request({ on: true }), 'jo', wall);
    expect(asked.told[0]?.reason).toBe('jo put the cluster into maintenance');
  });

  it('has who paused a mirror, and of which group', async () => {
    const request = admin.PauseMirrorRequest.fromPartial({
      mirror: 'd3/data',
      pause: true,
      reason: 'backup',
    });
    await pauseMirror(asked.service, request, 'jo', wall);
    expect(asked.told).toEqual([
      { kind: 'paused', group: 'd3', server: null, reason: 'jo paused d3/data (backup)' },
    ]);
    await pauseMirror(asked.service, { ...request, target: 'b', reason: '' }, 'a', wall);
    expect(asked.told).toEqual([
      { kind: 'paused', group: 'd3', server: 'b', reason: 'a paused d3/data to b' },
    ]);
  });

  it('has who made a token, and who joined with it', async () => {
    const directory = { ...(await contents(await cluster(), 'server', 'a')), path: '/nowhere' };
    const founder = directory as unknown as MemberDirectory;
    const ticket = admin.CreateTokenRequest.fromPartial({ role: 'witness', ttlMs: 3_600_000 });
    const made = await makeToken(founder, asked.service, ticket, 'jo', wall);
    expect(asked.told).toEqual([
      {
        ...{ kind: 'token', group: null, server: null },
        reason: 'jo made a token for a witness to join with, good for 1h',
      },
    ]);
    if (made.kind === 'error') throw new Error(made.error.message);
    const token = value(decodeToken(made.value.token));
    expect(
      JSON.stringify(asked.txns, (_, v: unknown) => (typeof v === 'bigint' ? String(v) : v)),
    ).not.toContain(token.secret);
    const { request: signingRequest } = await createSigningRequest('w');
    const join = membersApi.JoinRequest.fromPartial({
      ...{ node: 'w', tokenId: token.id, tokenSecret: token.secret, addresses: ['10.77.0.13'] },
      signingRequest,
    });
    expect(await admit(founder, asked.service, join, wall)).toMatchObject({ kind: 'ok' });
    expect(asked.told).toEqual([
      { kind: 'joined', group: null, server: 'w', reason: 'w joined as a witness with a token of jo' },
    ]);
  });
});
