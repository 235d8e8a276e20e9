/**
 * Orders of a person that a mirror process carries out: found out who acts, passed on to that member's quorum service,
 * and there to its mirror process. A resync or a comparison is done by the source; what diverged lies with the servers
 * that wrote it.
 *
 *   C1  a request that names a member is carried out there or refused, never passed on again
 *   C2  a list of what diverged is of every member that can be asked; who could not is said
 *   C3  a resync with one target is told to that target, too: one that refuses a replaced root takes it for a person's word, and so
 *       does one that waits for the choice of a side, with which all is said
 *   C4  a group's mirror and its copies elsewhere are one mirror of the source, and each goes by its own name here: what is
 *       ordered of one of them does not concern the targets of the others
 */
import type { ClusterConfig, MemberId, MirrorId, QuorumState } from '@holdfast/core';
import type { admin } from '@holdfast/proto';
import { MirrorLink, type MirrorAnswer, type MirrorRun, type MirrorRunRow } from '@holdfast/wire/mirror';
import { failure, type Answer, type MemberCall, type Send } from '@holdfast/wire/rpc';

export interface MirrorSurroundings {
  readonly self: MemberId;
  /** run/mirror.sock of this member. */
  readonly socket: string;
  /** Null: this member does not vote yet. */
  state(): QuorumState | null;
  /** Asks another member the same. The stream ends with at most one error. */
  pass(
    member: MemberId,
    request: admin.RunMirrorRequest,
    signal: AbortSignal,
  ): AsyncIterable<Answer<admin.RunMirrorReply>>;
}

type Reply = Send<admin.RunMirrorReply>;

const kinds = ['resync', 'verify', 'list', 'show', 'restore', 'discard', 'open', 'close'] as const;
const connectMs = 1_000;
/** A comparison of terabytes takes hours; none takes longer than this. */
const runMs = 7 * 86_400_000;

export async function runMirror(
  around: MirrorSurroundings,
  request: admin.RunMirrorRequest,
  send: Reply,
  call: MemberCall,
): Promise<Answer<null>> {
  const kind = kinds.find((one) => one === request.kind);
  if (kind === undefined) return failure('invalid', `"${request.kind}" is nothing that a mirror does`);
  if (request.member === around.self) return runHere(around, { ...request, kind }, send, call);
  if (request.member !== '') return failure('invalid', `this is ${around.self}, not ${request.member}`); // C1
  const state = around.state();
  if (state === null) return failure('unreachable', `${around.self} does not vote yet: ask another member`);
  const config = state.view.config?.value ?? null;
  const place = config === null ? null : placeOf(config, state, request);
  if (place === null) return failure('not-found', noMirror(config, request.mirror));
  const { mirror, target, targets } = place;
  const asked = { ...request, mirror, target, targets: [...targets] };
  if (kind === 'resync' || kind === 'verify') {
    if (place.source === null) return failure('unsafe', `${mirror} has no source at the moment`);
    if (kind === 'resync' && target !== '' && target !== place.source) {
      const settled = await tellTarget(around, target, asked, call);
      if (settled !== null) {
        await send(settled);
        return { kind: 'ok', value: null };
      }
    }
    return runAt(around, place.source, asked, send, call);
  }
  if (kind === 'open' || kind === 'close') {
    if (!place.members.includes(target))
      return failure('invalid', `${target || 'nobody'} has no copy of ${mirror}`);
    return runAt(around, target, asked, send, call);
  }
  const keepers = place.members.filter((member) => target === '' || member === target);
  if (keepers.length === 0) return failure('not-found', `${target} has no copy of ${mirror}`);
  return runAtAll(around, keepers, { ...asked, target: '' }, send, call);
}

interface Place {
  readonly mirror: MirrorId;
  readonly target: string;
  /** C4. Empty: every one. */
  readonly targets: readonly MemberId[];
  /** Null: nobody owns the group. */
  readonly source: MemberId | null;
  /** Everybody who has or may have had a copy. */
  readonly members: readonly MemberId[];
}

/** A copy of a group's mirror on a server outside goes by the group's name (core/mirror/orders.ts). */
function placeOf(
  config: ClusterConfig,
  state: QuorumState,
  { mirror, target }: admin.RunMirrorRequest,
): Place | null {
  const copy = config.mirrors.get(mirror);
  if (copy?.from.kind === 'server')
    return {
      ...{ mirror, target, targets: [], source: copy.from.server },
      members: [copy.from.server, ...copy.to],
    };
  const id = copy?.from.kind === 'group' ? `${copy.from.group}/${copy.from.mirror}` : mirror;
  const [name = '', of = ''] = id.split('/');
  const group = config.groups.get(name);
  if (group?.mirrors.some((one) => one.name === of) !== true) return null;
  const ownership = state.view.groups.get(name)?.value.ownership;
  const source = ownership === undefined || ownership.kind === 'unowned' ? null : ownership.owner;
  const outside = [...config.mirrors.values()].filter(
    ({ from }) => from.kind === 'group' && from.group === name && from.mirror === of,
  );
  const members = [...new Set([...group.servers, ...outside.flatMap(({ to }) => to)])];
  const only = copy !== undefined && target === '' && copy.to.length === 1 ? (copy.to[0] ?? '') : target;
  const own = copy?.to ?? group.servers.filter((server) => server !== source);
  const targets = only !== '' || outside.length === 0 ? [] : own;
  return { mirror: id, target: only, targets, source, members };
}

function noMirror(config: ClusterConfig | null, mirror: string): string {
  const groups = [...(config?.groups.values() ?? [])];
  const names = [
    ...groups.flatMap((group) => group.mirrors.map(({ name }) => `${group.name}/${name}`)),
    ...(config?.mirrors.keys() ?? []),
  ];
  return `there is no mirror ${mirror}; mirrors: ${names.length === 0 ? 'none' : names.join(', ')}`;
}

async function runAt(
  around: MirrorSurroundings,
  member: MemberId,
  request: admin.RunMirrorRequest,
  send: Reply,
  call: MemberCall,
): Promise<Answer<null>> {
  const kind = kinds.find((one) => one === request.kind);
  if (kind === undefined) throw new Error('a kind was judged before');
  if (member === around.self) return runHere(around, { ...request, kind }, send, call);
  for await (const answer of around.pass(member, { ...request, member }, call.signal)) {
    if (answer.kind === 'error') return answer;
    if (!(await send(answer.value))) break;
  }
  return { kind: 'ok', value: null };
}

/** C3. That it need not be told is no failure. Null: its source has to be told, too. */
async function tellTarget(
  around: MirrorSurroundings,
  target: MemberId,
  request: admin.RunMirrorRequest,
  call: MemberCall,
): Promise<admin.RunMirrorReply | null> {
  let settled: admin.RunMirrorReply | null = null;
  const heard = (reply: admin.RunMirrorReply): Promise<boolean> => {
    if (reply.what?.$case === 'done' && reply.what.value.settled === true) settled = reply;
    return Promise.resolve(true);
  };
  await runAt(around, target, request, heard, call);
  return settled;
}

/** C2. What concerns one path is done where that path lies. */
async function runAtAll(
  around: MirrorSurroundings,
  members: readonly MemberId[],
  request: admin.RunMirrorRequest,
  send: Reply,
  call: MemberCall,
): Promise<Answer<null>> {
  let last: Answer<null> = failure('not-found', `nothing of ${request.mirror} is kept aside`);
  let done = false;
  const silent: string[] = [];
  for (const member of members) {
    const answer = await runAt(around, member, request, send, call);
    if (answer.kind === 'ok') done = true;
    else if (answer.error.kind !== 'not-found') {
      silent.push(`${member}: ${answer.error.message}`);
      last = answer;
    } else if (silent.length === 0) last = answer;
    if (done && (request.kind === 'restore' || request.kind === 'show')) return answer;
  }
  if (!done) return last;
  if (silent.length > 0)
    await send({
      member: around.self,
      what: { $case: 'done', value: { says: `not asked: ${silent.join('; ')}`, incomplete: true } },
    });
  return { kind: 'ok', value: null };
}

async function runHere(
  around: MirrorSurroundings,
  request: admin.RunMirrorRequest & { readonly kind: MirrorRun['kind'] },
  send: Reply,
  call: MemberCall,
): Promise<Answer<null>> {
  const { link, connected } = connect(around.socket);
  const stop = (): void => link.close();
  call.signal.addEventListener('abort', stop, { once: true });
  try {
    if (!(await connected)) return failure('unreachable', `no mirror process runs on ${around.self}`);
    const { kind, mirror, target, targets, repair, path, to, writable } = request;
    let sending: Promise<unknown> = Promise.resolve();
    const run: MirrorRun = { kind, mirror, target, targets, repair, path, to, writable };
    const answer = await link.run(run, runMs, (row) => {
      sending = sending.then(() => send({ member: around.self, what: rowMessage(row) }));
    });
    await sending;
    return await ended(around.self, answer, send);
  } finally {
    call.signal.removeEventListener('abort', stop);
    link.close();
  }
}

function connect(path: string): { readonly link: MirrorLink; readonly connected: Promise<boolean> } {
  let tell: (yes: boolean) => void = () => undefined;
  const connected = new Promise<boolean>((resolve) => {
    tell = resolve;
    setTimeout(() => resolve(false), connectMs).unref();
  });
  const link = new MirrorLink(path, {
    report: () => undefined,
    connected: (yes) => tell(yes),
    garbled: () => tell(false),
  });
  return { link, connected };
}

async function ended(self: MemberId, answer: MirrorAnswer, send: Reply): Promise<Answer<null>> {
  switch (answer.kind) {
    case 'done':
      await send({
        member: self,
        what: { $case: 'done', value: { says: answer.says, settled: answer.settled } },
      });
      return { kind: 'ok', value: null };
    case 'failed':
      return failure(answer.as === 'failed' ? 'internal' : answer.as, answer.says);
    case 'lost':
      return failure('unreachable', `${self}: ${answer.says}`);
    case 'drained':
      return failure('internal', `${self} answered something else`);
  }
}

function rowMessage(row: MirrorRunRow): admin.RunMirrorReply['what'] {
  switch (row.kind) {
    case 'progress': {
      const { target, unit } = row;
      return {
        $case: 'progress',
        value: { target, unit, done: whole(row.done), total: whole(row.total) },
      };
    }
    case 'difference':
      return {
        $case: 'difference',
        value: {
          target: row.target,
          path: row.path,
          kind: row.what,
          mended: row.mended ?? false,
          ...extent(row),
        },
      };
    case 'verified': {
      const { target, compared, differing, mended, says } = row;
      return {
        $case: 'verified',
        value: {
          target,
          compared: whole(compared),
          differing: whole(differing),
          mended: whole(mended ?? 0),
          says: says ?? '',
        },
      };
    }
    case 'kept': {
      const { path, modifiedMs, change, from, epoch, kept } = row;
      return {
        $case: 'kept',
        value: { path, size: whole(row.size), modifiedMs, change, from, epoch, kept, ...extent(row) },
      };
    }
  }
}

/** Blocks of a volume have these instead of a path. */
function extent({ offset, length }: { offset?: number | undefined; length?: number | undefined }): {
  offset?: bigint;
  length?: bigint;
} {
  return offset === undefined || length === undefined ? {} : { offset: whole(offset), length: whole(length) };
}

const whole = (value: number): bigint => BigInt(Math.round(value));
