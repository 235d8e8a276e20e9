/**
 * A small cluster for stories: members a and b run real agents with real heartbeats on loopback addresses, w is a
 * quorum service. Hosts, guards and decisions are fakes.
 */
import { randomBytes } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseConfig, type ClusterConfig } from '@holdfast/core';
import {
  createMemberDirectory,
  defaultPorts,
  nextIncarnation,
  openMemberDirectory,
  pathIn,
  type KnownMember,
  type MemberDirectory,
} from '@holdfast/wire/directory';
import { openJournal, type Journal } from '@holdfast/wire/journal';
import type { Log } from '@holdfast/wire/log';
import { createAuthority, createSigningRequest, issueCertificate, type Authority } from '@holdfast/wire/pki';
import type { Agent } from '../src/agent.ts';
import { canonical } from '../src/address-book.ts';
import { createAgent } from '../src/create-agent.ts';
import { FakeGuard } from './fake-guard.ts';
import { FakeNetwork, type FakeHost } from './fake-network.ts';
import { FakeQuorum } from './fake-quorum.ts';

const cluster = 'acme';
let used = 0;

export interface Station {
  readonly name: string;
  readonly dir: string;
  readonly host: FakeHost;
  readonly guard: FakeGuard;
  readonly logged: string[];
  agent: Agent;
  /** Another agent on the same directory, as after a crash. */
  restart(): Promise<void>;
  /** The agent ends at once and leaves everything. */
  kill(): Promise<void>;
}

export interface StoryOptions {
  readonly config?: ClusterConfig;
  /** Which members run an agent. */
  readonly stations?: readonly string[];
}

export class Story {
  readonly network = new FakeNetwork();
  readonly quorum = new FakeQuorum();
  readonly stations = new Map<string, Station>();
  readonly #folder: string;
  readonly #closers: (() => Promise<unknown>)[] = [];

  private constructor(folder: string) {
    this.#folder = folder;
  }

  static async begin(options: StoryOptions = {}): Promise<Story> {
    const story = new Story(await mkdtemp(join(tmpdir(), 'holdfast-agent-')));
    await story.#build(options);
    return story;
  }

  station(name: string): Station {
    const station = this.stations.get(name);
    if (station === undefined) throw new Error(`there is no ${name} in this story`);
    return station;
  }

  async end(): Promise<void> {
    for (const close of this.#closers.splice(0).reverse()) await close();
    await rm(this.#folder, { recursive: true, force: true });
  }

  async #build({ config = oneGroup(), stations = ['a', 'b'] }: StoryOptions): Promise<void> {
    used += 1;
    const net = `127.${50 + (process.pid % 150)}.${used}`;
    const authority = await createAuthority(cluster);
    const heartbeatKey = randomBytes(32);
    const credentialsOf = this.#issuer(authority);
    await this.quorum.open((await credentialsOf('w', 'witness')).credentials, `${net}.9`);
    this.#closers.push(() => this.quorum.close());
    const ports = { ...defaultPorts, heartbeat: 20_000 + (process.pid % 20_000) };
    const member = (id: string, role: 'server' | 'witness', at: number): KnownMember => ({
      id,
      role,
      addresses: role === 'witness' ? [`${net}.9`] : [`${net}.${at}`, `${net}.${100 + at}`],
      voter: role === 'witness',
      ports: { ...ports, grpc: role === 'witness' ? this.quorum.port : ports.grpc },
    });
    this.quorum.known.push(member('a', 'server', 1), member('b', 'server', 2), member('w', 'witness', 9));
    this.quorum.configure(config);
    for (const name of stations) {
      const me = this.quorum.known.find((m) => m.id === name);
      if (me === undefined) throw new Error(`${name} is no member`);
      const { certificate, key } = await credentialsOf(name, 'server');
      const dir = join(this.#folder, name);
      const created = await createMemberDirectory(dir, {
        record: {
          format: 1,
          cluster,
          id: name,
          role: 'server',
          addresses: me.addresses,
          ports: { ...ports, metrics: 30_000 + (process.pid % 20_000) + 2 * used + stations.indexOf(name) },
          members: this.quorum.known,
          externalEtcd: null,
        },
        authority: authority.certificate,
        authorityKey: authority.key,
        certificate,
        key,
        heartbeatKey,
      });
      if (created.kind === 'error') throw new Error(JSON.stringify(created.error));
      await this.#open(name, dir, me);
    }
  }

  #issuer(authority: Authority) {
    return async (id: string, role: 'server' | 'witness') => {
      const { request, key } = await createSigningRequest(id);
      const issued = await issueCertificate(authority, request, {
        peer: { cluster, role, id },
        addresses: ['127.0.0.1'],
      });
      if (issued.kind === 'error') throw new Error(issued.error.says);
      const certificate = issued.value;
      return {
        certificate,
        key,
        credentials: { cluster, authority: authority.certificate, certificate, key },
      };
    };
  }

  async #open(name: string, dir: string, me: KnownMember): Promise<void> {
    const host = this.network.host(name);
    const guard = new FakeGuard(host, pathIn(dir, 'run', 'guard.sock'));
    await guard.open();
    this.#closers.push(() => guard.close());
    const logged: string[] = [];
    const own = new Set(me.addresses.map(canonical));
    const begin = async (): Promise<Agent> => {
      const { agent, journal } = await startAgent(dir, host, own, logged);
      ending = async () => {
        await agent.keep();
        await journal.close();
      };
      return agent;
    };
    let ending: () => Promise<void> = () => Promise.resolve();
    const station: Station = {
      name,
      dir,
      host,
      guard,
      logged,
      agent: await begin(),
      kill: () => ending(),
      restart: async () => {
        await ending();
        station.agent = await begin();
      },
    };
    this.stations.set(name, station);
    this.#closers.push(() => ending());
  }
}

async function startAgent(
  dir: string,
  host: FakeHost,
  own: ReadonlySet<string>,
  logged: string[],
): Promise<{ agent: Agent; journal: Journal }> {
  const opened = await openMemberDirectory(dir);
  if (opened.kind === 'error') throw new Error(JSON.stringify(opened.error));
  const directory: MemberDirectory = opened.value;
  const incarnation = await nextIncarnation(dir);
  if (incarnation.kind === 'error') throw new Error(JSON.stringify(incarnation.error));
  const journal = openJournal({ directory: dir, process: 'agent' });
  const created = await createAgent({
    directory,
    incarnation: incarnation.value,
    version: '0.1.0',
    platform: host.platform(),
    journal,
    log: logInto(logged),
    killMarked: (mark) => {
      host.kill(mark);
      return Promise.resolve([]);
    },
    hostAddresses: () => own,
    guardSocket: pathIn(dir, 'run', 'guard.sock'),
    mirrorSocket: pathIn(dir, 'run', 'mirror.sock'),
    metricsAddress: '127.0.0.1',
  });
  if (created.kind === 'failed') throw new Error(created.says);
  const lack = await created.agent.start();
  if (lack !== null) throw new Error(lack);
  return { agent: created.agent, journal };
}

function logInto(lines: string[]): Log {
  const at = (level: string) => (kind: string, reason: string) =>
    void lines.push(`${level} ${kind}: ${reason}`);
  return { error: at('error'), warn: at('warn'), info: at('info'), debug: at('debug') };
}

export const serviceAddress = '10.77.0.100/24';

/** One group of a and b; `more` is written into it. */
export function oneGroup(more: Record<string, unknown> = {}, outage = '8s'): ClusterConfig {
  const parsed = parseConfig(
    {
      groups: {
        d3: {
          servers: ['a', 'b'],
          outage,
          identity: { mode: 'add', addresses: [serviceAddress], interface: 'eth0', hostname: 'd3-main' },
          resources: [
            { name: 'app', command: { start: ['app-start'], stop: ['app-stop'], status: ['app-status'] } },
          ],
          ...more,
        },
      },
    },
    'story.yaml',
    null,
  );
  if (parsed.kind === 'invalid') throw new Error(parsed.errors.join('\n'));
  return parsed.config;
}

/** Waits for a condition, never longer than `limitMs`. */
export async function until(
  what: string,
  condition: () => boolean | Promise<boolean>,
  limitMs = 6_000,
): Promise<void> {
  const endMs = performance.now() + limitMs;
  while (!(await condition())) {
    if (performance.now() > endMs) throw new Error(`waited in vain until ${what}`);
    await new Promise((next) => setTimeout(next, 5));
  }
}
