/** The cluster as commands see it, as a plain object; and a terminal that remembers what it was told. */
import type { admin } from '@holdfast/proto';
import type { Answer, WireError } from '@holdfast/wire/rpc';
import type { AdminClient } from '../src/admin-client.ts';
import type { Surroundings } from '../src/context.ts';
import { runCommandLine } from '../src/main.ts';
import { ok } from '../src/trouble.ts';

/** 2026-11-20T10:00:00.000Z */
export const nowMs = Date.UTC(2026, 10, 20, 10);

export const bad = (kind: Exclude<WireError['kind'], 'certificate'>, message: string): Answer<never> => ({
  kind: 'error',
  error: { kind, message },
});

export function server(changes: Partial<admin.ServerStatus> = {}): admin.ServerStatus {
  return {
    state: 'up',
    role: 'server',
    lastHeardMs: 120,
    timeToFailMs: 34_880,
    maintenance: false,
    version: '0.1.0',
    paths: [{ address: '10.77.0.11', state: 'up', rttMs: 0.2, says: '' }],
    diagnosis: '',
    outageMs: 35_000,
    everHeard: true,
    ...changes,
  };
}

export function group(changes: Partial<admin.GroupStatus> = {}): admin.GroupStatus {
  return {
    owner: 'a',
    epoch: 9_007_199_254_740_993n,
    phase: 'active',
    reason: 'a is the preferred server and holds epoch 9007199254740993',
    sinceMs: nowMs - 7_500_000,
    identity: { mode: 'add', addresses: ['10.77.0.100/24'], hostname: 'd3-main' },
    resources: { app: { state: 'running', says: '' } },
    objectives: { lossMs: 0, lossBytes: 0, lossAgeMs: 0, takeoverMs: 450, lossUnknown: false },
    operation: '',
    maintenance: false,
    servers: ['a', 'b'],
    warnings: [],
    mirrors: {},
    ...changes,
  };
}

const well = { healthy: true, voter: true };

export function statusReply(changes: Partial<admin.StatusReply> = {}): admin.StatusReply {
  return {
    cluster: 'acme',
    timeMs: nowMs,
    quorum: { healthy: true, leader: 'w', members: { a: well, b: well, w: well }, spareVotes: 1 },
    servers: {
      a: server(),
      b: server({ paths: [{ address: '10.77.0.12', state: 'up', rttMs: 0.3, says: '' }] }),
    },
    groups: { d3: group() },
    warnings: [],
    mirrors: {},
    ...changes,
  };
}

export function operation(changes: Partial<admin.Operation> = {}): admin.Operation {
  return {
    id: 'op-7',
    group: 'd3',
    kind: 'switchover',
    outcome: 'done',
    from: 'a',
    to: 'b',
    by: 'ann',
    reason: 'ann asked for the switchover to b',
    steps: [
      { name: 'stop app', server: 'a', ms: 31, outcome: 'done', says: '' },
      { name: 'add addresses', server: 'b', ms: 12, outcome: 'done', says: '' },
    ],
    startedMs: nowMs - 2000,
    endedMs: nowMs - 1000,
    ...changes,
  };
}

export const event = (id: string, changes: Partial<admin.Event> = {}): admin.Event => ({
  id,
  timeMs: nowMs,
  group: 'd3',
  server: 'a',
  kind: 'failover',
  reason: `reason of ${id}`,
  epoch: 7n,
  inputs: '',
  revision: 0n,
  ...changes,
});

/** Every call is remembered; what is answered can be replaced. */
export class FakeCluster implements AdminClient {
  readonly calls: { readonly method: string; readonly request: unknown }[] = [];
  closed = 0;
  answers: Partial<AdminClient> = {};

  mayChange(): Answer<unknown> {
    return this.answers.mayChange?.() ?? ok(null);
  }

  status(): Promise<Answer<admin.StatusReply>> {
    this.#note('status', {});
    return this.answers.status?.() ?? Promise.resolve(ok(statusReply()));
  }

  explain(request: admin.ExplainRequest): Promise<Answer<admin.ExplainReply>> {
    this.#note('explain', request);
    const reply = {
      now: 'a is the preferred server and holds epoch 7',
      prospects: [{ server: 'a', says: 'b takes over after 35 s' }],
      blockers: [],
      rules: 'A server is down after 35 s of silence.',
    };
    return this.answers.explain?.(request) ?? Promise.resolve(ok(reply));
  }

  getDecision(request: admin.GetDecisionRequest): Promise<Answer<admin.GetDecisionReply>> {
    this.#note('getDecision', request);
    return (
      this.answers.getDecision?.(request) ??
      Promise.resolve(ok({ event: event(request.event), decision: '' }))
    );
  }

  check(request: admin.CheckRequest): Promise<Answer<admin.CheckReply>> {
    this.#note('check', request);
    return this.answers.check?.(request) ?? Promise.resolve(ok({ problems: [], warnings: [] }));
  }

  getOperation(request: admin.GetOperationRequest): Promise<Answer<admin.Operation>> {
    this.#note('getOperation', request);
    return this.answers.getOperation?.(request) ?? Promise.resolve(ok(operation()));
  }

  listOperations(request: admin.ListOperationsRequest): Promise<Answer<admin.ListOperationsReply>> {
    this.#note('listOperations', request);
    return this.answers.listOperations?.(request) ?? Promise.resolve(ok({ operations: [operation()] }));
  }

  async *events(request: admin.EventsRequest, signal?: AbortSignal): AsyncGenerator<Answer<admin.Event>> {
    this.#note('events', request);
    yield* this.answers.events?.(request, signal) ?? [ok(event('e1')), ok(event('e2'))];
    await Promise.resolve();
  }

  createToken(request: admin.CreateTokenRequest): Promise<Answer<admin.CreateTokenReply>> {
    this.#note('createToken', request);
    const reply = { token: 'hf1_secret', expiresMs: nowMs + request.ttlMs };
    return this.answers.createToken?.(request) ?? Promise.resolve(ok(reply));
  }

  apply(request: admin.ApplyRequest): Promise<Answer<admin.ApplyReply>> {
    this.#note('apply', request);
    const reply = {
      changed: !request.dryRun,
      differences: ['groups.d3: added'],
      warnings: ['no hostname'],
      revision: 8n,
    };
    return this.answers.apply?.(request) ?? Promise.resolve(ok(reply));
  }

  setMaintenance(request: admin.SetMaintenanceRequest): Promise<Answer<admin.SetMaintenanceReply>> {
    this.#note('setMaintenance', request);
    return this.answers.setMaintenance?.(request) ?? Promise.resolve(ok({ changed: true }));
  }

  removeMember(request: admin.RemoveMemberRequest): Promise<Answer<admin.RemoveMemberReply>> {
    this.#note('removeMember', request);
    return this.answers.removeMember?.(request) ?? Promise.resolve(ok({ voted: true }));
  }

  startOperation(request: admin.StartOperationRequest): Promise<Answer<admin.StartOperationReply>> {
    this.#note('startOperation', request);
    const reply = {
      operation: 'op-7',
      steps: ['a: stop app', 'b: add addresses'],
      verdict: 'b can take over',
      warnings: [],
    };
    return this.answers.startOperation?.(request) ?? Promise.resolve(ok(reply));
  }

  pauseMirror(request: admin.PauseMirrorRequest): Promise<Answer<admin.PauseMirrorReply>> {
    this.#note('pauseMirror', request);
    return this.answers.pauseMirror?.(request) ?? Promise.resolve(ok({ changed: true }));
  }

  async *runMirror(
    request: admin.RunMirrorRequest,
    signal?: AbortSignal,
  ): AsyncGenerator<Answer<admin.RunMirrorReply>> {
    this.#note('runMirror', request);
    const done = { member: 'a', what: { $case: 'done', value: { says: '' } } } as const;
    yield* this.answers.runMirror?.(request, signal) ?? [ok(done)];
    await Promise.resolve();
  }

  close(): void {
    this.closed += 1;
  }

  requests(method: string): unknown[] {
    return this.calls.filter((call) => call.method === method).map(({ request }) => request);
  }

  #note(method: string, request: unknown): void {
    this.calls.push({ method, request });
  }
}

export interface Ran {
  readonly status: number;
  readonly out: string;
  readonly err: string;
}

export interface RunOptions {
  readonly isTty?: boolean;
  readonly colours?: boolean;
  readonly env?: Readonly<Record<string, string>>;
  readonly input?: string;
  readonly stop?: AbortController;
  readonly connect?: Surroundings['connect'];
  readonly onOut?: (text: string) => void;
}

/** One command line against the fake; never touches the real terminal. */
export async function run(
  cluster: AdminClient,
  argv: readonly string[],
  options: RunOptions = {},
): Promise<Ran> {
  let out = '';
  let err = '';
  const stop = options.stop ?? new AbortController();
  const status = await runCommandLine(argv, {
    terminal: {
      isTty: options.isTty ?? false,
      colours: options.colours ?? false,
      columns: 120,
      rows: 12,
      out: (text) => {
        out += text;
        options.onOut?.(text);
      },
      err: (text) => (err += text),
    },
    env: options.env ?? {},
    connect: options.connect ?? (() => Promise.resolve(ok(cluster))),
    now: () => nowMs,
    interruption: () => stop.signal,
    readInput: () => Promise.resolve(Buffer.from(options.input ?? '')),
  });
  return { status, out, err };
}

export const lines = (...text: readonly string[]): string => text.map((line) => `${line}\n`).join('');
