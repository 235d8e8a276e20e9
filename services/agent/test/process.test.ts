/** The agent's process: how it starts, what it tells its parent, how it ends. As a witness, so that it touches nothing. */
import { spawn, type ChildProcess } from 'node:child_process';
import { createSocket } from 'node:dgram';
import { mkdtemp, rm } from 'node:fs/promises';
import { Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { randomBytes } from 'node:crypto';
import { fileURLToPath } from 'node:url';
import { createMemberDirectory, defaultPorts } from '@holdfast/wire/directory';
import { createAuthority, createSigningRequest, issueCertificate } from '@holdfast/wire/pki';

const limitMs = 15_000;

interface Ended {
  readonly status: number | null;
  readonly ms: number;
}

class Process {
  readonly child: ChildProcess;
  readonly ended: Promise<Ended>;
  said = '';
  printed = '';
  readonly #lifeline: Socket;
  readonly #limit: NodeJS.Timeout;

  constructor(dir: string) {
    const path = (name: string): string => fileURLToPath(new URL(name, import.meta.url));
    const began = performance.now();
    this.child = spawn(
      process.execPath,
      [
        '--conditions=source',
        '--import',
        path('platform-typescript.mjs'),
        path('../src/main.ts'),
        '--dir',
        dir,
      ],
      { stdio: ['ignore', 'ignore', 'pipe', 'pipe'], env: { ...process.env, HOLDFAST_LIFELINE: '3' } },
    );
    const lifeline = this.child.stdio[3];
    if (!(lifeline instanceof Socket)) throw new Error('no lifeline');
    this.#lifeline = lifeline;
    lifeline.on('data', (chunk: Buffer) => (this.said += chunk.toString()));
    lifeline.on('error', () => lifeline.destroy());
    this.child.stderr?.on('data', (chunk: Buffer) => (this.printed += chunk.toString()));
    this.#limit = setTimeout(() => this.child.kill('SIGKILL'), limitMs);
    this.ended = new Promise((resolve) => {
      this.child.on('close', (status) => {
        clearTimeout(this.#limit);
        resolve({ status, ms: performance.now() - began });
      });
    });
  }

  async ready(): Promise<void> {
    const over = this.ended.then(() => true);
    while (!this.said.includes('ready')) {
      const next = new Promise<boolean>((resolve) => setTimeout(() => resolve(false), 10));
      if (await Promise.race([over, next])) throw new Error(`it ended: ${this.printed}`);
    }
  }

  /** As when the parent dies. */
  cut(): void {
    this.#lifeline.destroy();
  }
}

describe('the process of an agent', () => {
  let folder = '';
  const heartbeat = 40_000 + (process.pid % 20_000);
  const running: Process[] = [];
  const start = (dir: string): Process => {
    const started = new Process(dir);
    running.push(started);
    return started;
  };

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'holdfast-process-'));
    const authority = await createAuthority('acme');
    const { request, key } = await createSigningRequest('w');
    const issued = await issueCertificate(authority, request, {
      peer: { cluster: 'acme', role: 'witness', id: 'w' },
      addresses: ['127.0.0.1'],
    });
    if (issued.kind === 'error') throw new Error(issued.error.says);
    const created = await createMemberDirectory(join(folder, 'w'), {
      record: {
        format: 1,
        cluster: 'acme',
        id: 'w',
        role: 'witness',
        addresses: ['127.0.0.1'],
        ports: { ...defaultPorts, grpc: 1, heartbeat, metrics: heartbeat },
        members: [],
        externalEtcd: null,
      },
      authority: authority.certificate,
      authorityKey: authority.key,
      certificate: issued.value,
      key,
      heartbeatKey: randomBytes(32),
    });
    if (created.kind === 'error') throw new Error(JSON.stringify(created.error));
  });

  afterEach(async () => {
    for (const one of running.splice(0)) {
      one.child.kill('SIGKILL');
      await one.ended;
    }
  });

  afterAll(() => rm(folder, { recursive: true, force: true }));

  it('says what is wrong with its directory, and that a restart would not help', async () => {
    const wrong = start(join(folder, 'nothing-here'));
    expect(await wrong.ended).toMatchObject({ status: 2 });
    expect(JSON.parse(wrong.said)).toMatchObject({ type: 'fatal' });
    expect(wrong.printed).toContain('nothing-here');
  });

  it('says that another process has the port of its heartbeats', async () => {
    const other = createSocket({ type: 'udp4', reuseAddr: true });
    await new Promise<void>((bound) => other.bind({ port: heartbeat, address: '127.0.0.1' }, bound));
    try {
      const agent = start(join(folder, 'w'));
      expect(await agent.ended).toMatchObject({ status: 2 });
      const { type, says } = JSON.parse(agent.said) as { readonly type: string; readonly says: string };
      expect(type).toBe('fatal');
      expect(says).toContain(`127.0.0.1 port ${heartbeat}/udp: another process has it`);
    } finally {
      other.close();
    }
  });

  it('tells when it is ready, and ends in order when it is asked to', async () => {
    const agent = start(join(folder, 'w'));
    await agent.ready();
    agent.child.kill('SIGTERM');
    expect(await agent.ended).toMatchObject({ status: 0 });
  });

  it.each([
    ['is told to keep everything', (agent: Process) => void agent.child.kill('SIGHUP')],
    ['its parent dies', (agent: Process) => agent.cut()],
  ])('ends at once when %s', async (_, happen) => {
    const agent = start(join(folder, 'w'));
    await agent.ready();
    happen(agent);
    expect(await agent.ended).toMatchObject({ status: 0 });
  });
});
