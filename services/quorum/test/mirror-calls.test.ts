/** Orders of a person for a mirror: who acts, and how they get there. */
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer, type Server } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { newQuorum, parseConfig, type ClusterConfig, type QuorumState } from '@holdfast/core';
import { admin } from '@holdfast/proto';
import { Lines, mirrorLine, parseMirrorRequest, type MirrorRun } from '@holdfast/wire/mirror';
import { failure, type Answer, type MemberCall } from '@holdfast/wire/rpc';
import { runMirror, type MirrorSurroundings } from '../src/mirror-calls.ts';

const request = (fields: Partial<admin.RunMirrorRequest>): admin.RunMirrorRequest =>
  admin.RunMirrorRequest.fromPartial({ mirror: 'd3/data', ...fields });

const call = { signal: new AbortController().signal, from: 'test', peer: { id: 'ann', role: 'operator' } };

const yaml = {
  groups: {
    d3: {
      servers: ['a', 'b'],
      identity: { mode: 'add', addresses: ['10.77.0.100/24'] },
      mirrors: { data: { files: { root: '/srv/d3' } } },
    },
  },
  mirrors: {
    offsite: { from: { group: 'd3', mirror: 'data' }, to: ['c'], root: '/backup/d3' },
    far: { from: { group: 'd3', mirror: 'data' }, to: ['c', 'e'], root: '/far/d3' },
    home: { from: { server: 'b', files: { root: '/srv/x' } }, to: ['c'] },
  },
};

const members = ['a', 'b', 'c', 'e'].map((id, index) => ({
  id,
  role: 'server' as const,
  addresses: [`10.77.0.1${index}`],
  voter: false,
}));

function configOf(): ClusterConfig {
  const parsed = parseConfig(yaml, 'cluster.yaml', members);
  if (parsed.kind === 'invalid') throw new Error(parsed.errors.join('\n'));
  return parsed.config;
}

function stateOwnedBy(owner: string | null): QuorumState {
  const state = newQuorum('w', true, 1, 0);
  const ownership = owner === null ? { kind: 'unowned', epoch: 6n } : { kind: 'owned', owner, epoch: 7n };
  const view = {
    ...state.view,
    config: { value: configOf() },
    groups: new Map([['d3', { value: { ownership } }]]),
  };
  return { ...state, view } as unknown as QuorumState;
}

let dir: string;
let server: Server;
/** What the mirror process of this member was asked. */
const asked: MirrorRun[] = [];
/** What it does with it. */
let answer: (run: MirrorRun, id: number, say: (line: string) => void) => void;

/** What was passed on to others. */
const passed: string[] = [];
let others: Record<string, readonly Answer<admin.RunMirrorReply>[]>;

const keptRow = (path: string, from: string): admin.RunMirrorReply['what'] => ({
  $case: 'kept',
  value: { path, size: 1n, modifiedMs: 1, change: 'written', from, epoch: 7n, kept: true },
});
const reply = (member: string, what: admin.RunMirrorReply['what']): Answer<admin.RunMirrorReply> => ({
  kind: 'ok',
  value: { member, what },
});

beforeEach(async () => {
  dir = mkdtempSync(join(tmpdir(), 'holdfast-calls-'));
  asked.length = 0;
  passed.length = 0;
  others = {};
  answer = (_run, id, say) => say(mirrorLine({ type: 'done', id, says: 'in step' }));
  server = createServer((socket) => {
    const lines = new Lines(() => undefined);
    socket.on('error', () => socket.destroy());
    socket.on('data', (chunk: Buffer) => {
      for (const line of lines.push(chunk)) {
        const parsed = parseMirrorRequest(line);
        if (parsed.kind !== 'request' || parsed.request.type !== 'run') throw new Error(line);
        asked.push(parsed.request.run);
        answer(parsed.request.run, parsed.request.id, (text) => socket.write(text));
      }
    });
  });
  await new Promise<void>((resolve) => server.listen(join(dir, 'mirror.sock'), resolve));
});
afterEach(async () => {
  await new Promise((resolve) => server.close(resolve));
  rmSync(dir, { recursive: true, force: true });
});

const valueOf = (one?: Answer<admin.RunMirrorReply>): unknown => (one?.kind === 'ok' ? one.value : one);

interface Ran {
  readonly answer: Answer<null>;
  readonly replies: readonly admin.RunMirrorReply[];
}

async function run(
  self: string,
  owner: string | null,
  fields: Partial<admin.RunMirrorRequest>,
): Promise<Ran> {
  const around: MirrorSurroundings = {
    self,
    socket: join(dir, 'mirror.sock'),
    state: () => stateOwnedBy(owner),
    pass: async function* (member, { kind, member: named }) {
      passed.push(`${kind} to ${member} as ${named}`);
      yield* others[member] ?? [failure('unreachable', 'it is off')];
      await Promise.resolve();
    },
  };
  const replies: admin.RunMirrorReply[] = [];
  const send = (value: admin.RunMirrorReply): Promise<boolean> => {
    replies.push(value);
    return Promise.resolve(true);
  };
  return { answer: await runMirror(around, request(fields), send, call as MemberCall), replies };
}

describe('an order for a mirror', () => {
  it('opens a copy where it lies, and nowhere else', async () => {
    await run('b', 'a', { kind: 'open', target: 'b', writable: true });
    expect(asked.at(-1)).toMatchObject({ kind: 'open', writable: true });
    await run('a', 'a', { kind: 'close', target: 'b' });
    expect(passed).toEqual(['close to b as b']);
    expect(await run('a', 'a', { kind: 'open', target: '' })).toMatchObject({
      answer: { kind: 'error', error: { kind: 'invalid' } },
    });
  });

  it('is carried out by the source: here, or at the member that owns the group', async () => {
    const here = await run('a', 'a', { kind: 'resync', target: 'b' });
    expect(here.answer).toEqual({ kind: 'ok', value: null });
    expect(here.replies).toEqual([{ member: 'a', what: { $case: 'done', value: { says: 'in step' } } }]);
    expect(asked).toMatchObject([{ kind: 'resync', mirror: 'd3/data', target: 'b' }]);
    others = { b: [reply('b', { $case: 'done', value: { says: '' } })] };
    expect((await run('a', 'b', { kind: 'verify' })).replies).toHaveLength(1);
    // A target that was asked for by name hears of its resync, too (C3).
    expect(passed).toEqual(['resync to b as b', 'verify to b as b']);
  });

  it('is over when it was the choice for which its target waited', async () => {
    const says = 'a survives';
    others = { b: [reply('b', { $case: 'done', value: { says, settled: true } })] };
    const there = await run('a', 'a', { kind: 'resync', target: 'b' });
    expect(there).toEqual({ answer: { kind: 'ok', value: null }, replies: [others['b']?.[0]].map(valueOf) });
    expect(asked).toEqual([]);
    answer = (_run, id, say) => say(mirrorLine({ type: 'done', id, says, settled: true }));
    const here = await run('b', 'a', { kind: 'resync', target: 'b' });
    expect(here.replies).toMatchObject([{ member: 'b', what: { value: { says } } }]);
    expect(passed).toEqual(['resync to b as b']);
  });

  it('is never passed on twice, and refused by the wrong member', async () => {
    const { answer: wrong } = await run('a', 'b', { kind: 'verify', member: 'b' });
    expect(wrong).toMatchObject({ kind: 'error', error: { kind: 'invalid' } });
    await run('b', 'a', { kind: 'verify', member: 'b' });
    expect(passed).toEqual([]);
    expect(asked).toHaveLength(1);
  });

  it('finds mirrors without a failover, and a copy of a group by the name of the group', async () => {
    await run('a', 'a', { kind: 'verify', mirror: 'offsite' });
    expect(asked.at(-1)).toMatchObject({ mirror: 'd3/data', target: 'c' });
    await run('a', 'a', { kind: 'verify', mirror: 'far' });
    expect(asked.at(-1)).toMatchObject({ mirror: 'd3/data', target: '', targets: ['c', 'e'] });
    await run('w', 'a', { kind: 'verify', mirror: 'home' });
    expect(passed).toEqual(['verify to b as b']);
  });

  it("concerns the targets of the group, and not those of the group's copies elsewhere", async () => {
    await run('a', 'a', { kind: 'verify' });
    expect(asked.at(-1)).toMatchObject({ mirror: 'd3/data', target: '', targets: ['b'] });
    await run('a', 'a', { kind: 'resync', target: 'b' });
    expect(asked.at(-1)).toMatchObject({ target: 'b', targets: [] });
  });

  it('names the mirrors there are when it is of none, and says when nobody is the source', async () => {
    expect((await run('a', 'a', { kind: 'verify', mirror: 'd3/date' })).answer).toMatchObject({
      error: {
        kind: 'not-found',
        message: 'there is no mirror d3/date; mirrors: d3/data, offsite, far, home',
      },
    });
    expect((await run('a', null, { kind: 'resync' })).answer).toMatchObject({ error: { kind: 'unsafe' } });
    expect((await run('a', 'a', { kind: 'explode' })).answer).toMatchObject({ error: { kind: 'invalid' } });
  });

  it('lists what diverged on every member, and says who could not be asked', async () => {
    others = { b: [reply('b', keptRow('orders.db', 'b'))] };
    const row = { size: 1, modifiedMs: 1, change: 'created', from: 'a', epoch: 7n, kept: true } as const;
    answer = (_run, id, say) => {
      say(mirrorLine({ type: 'row', id, row: { kind: 'kept', path: 'new', ...row } }));
      say(mirrorLine({ type: 'done', id, says: '' }));
    };
    const { replies } = await run('a', 'b', { kind: 'list' });
    expect(replies.flatMap(({ what }) => (what?.$case === 'kept' ? [what.value.path] : []))).toEqual([
      'new',
      'orders.db',
    ]);
    expect(replies.at(-1)?.what).toEqual({
      $case: 'done',
      value: { says: 'not asked: c: it is off; e: it is off', incomplete: true },
    });
  });

  it('restores from the member that has it', async () => {
    answer = (_run, id, say) =>
      say(mirrorLine({ type: 'failed', id, kind: 'not-found', says: 'a keeps nothing of orders.db' }));
    others = { b: [reply('b', { $case: 'done', value: { says: 'orders.db is in /tmp on b' } })] };
    const found = await run('a', 'a', { kind: 'restore', path: 'orders.db', to: '/tmp' });
    expect(found.answer.kind).toBe('ok');
    others = Object.fromEntries(
      ['b', 'c', 'e'].map((m) => [m, [failure('not-found', `${m} keeps nothing`)]]),
    );
    const missing = await run('a', 'a', { kind: 'restore', path: 'orders.db', to: '/tmp' });
    expect(missing.answer).toMatchObject({ error: { kind: 'not-found' } });
  });

  it('says so where no mirror process runs', async () => {
    await new Promise((resolve) => server.close(resolve));
    const { answer: off } = await run('a', 'a', { kind: 'verify' });
    expect(off).toMatchObject({ error: { kind: 'unreachable', message: 'no mirror process runs on a' } });
  });
});
