/**
 * News from a quorum service, as a stream: group records, the configuration, the members, maintenance. All of it is a
 * hint; authority comes with a committed renewal. The stream says something every 2 s, so silence means that it is
 * broken, and the next service is watched.
 */

import { setTimeout as pause } from 'node:timers/promises';
import {
  configFromJson,
  noMaintenance,
  parseMaintenance,
  type ClusterConfig,
  type MaintenanceRecord,
  type Revision,
} from '@holdfast/core';
import type { agents } from '@holdfast/proto';
import { defaultPorts, isAddress, isName, type KnownMember } from '@holdfast/wire/directory';
import { withinMs } from './epoch-gate.ts';
import type { Host } from './host.ts';
import type { QuorumServices } from './quorum-services.ts';
import { readGroups } from './renewing.ts';

const silenceMs = 5_000;
const againMs = 500;
const pathsMax = 8;

export interface WatchListener {
  configured(config: ClusterConfig, revision: Revision, raw: unknown): void;
  members(known: readonly KnownMember[]): void;
}

export class Watching {
  readonly #host: Host;
  readonly #services: QuorumServices;
  readonly #listener: WatchListener;
  readonly #stop = new AbortController();
  #ended: Promise<void> = Promise.resolve();
  #last = { groups: '', members: '', maintenance: '' };
  #configRevision: Revision;
  #told = '';

  constructor(host: Host, services: QuorumServices, configRevision: Revision, listener: WatchListener) {
    this.#host = host;
    this.#services = services;
    this.#configRevision = configRevision;
    this.#listener = listener;
  }

  start(): void {
    this.#ended = this.#run();
  }

  async close(): Promise<void> {
    this.#stop.abort();
    await this.#ended;
  }

  async #run(): Promise<void> {
    const { signal } = this.#stop;
    const closed = (): boolean => signal.aborted;
    while (!closed()) {
      this.#services.locate(this.#host.state());
      const says = await this.#follow();
      if (closed()) return;
      this.#tell(says);
      this.#services.turn();
      // Interrupted by `close`, and then there is nothing more to do.
      await pause(againMs, undefined, { signal }).catch(() => undefined);
    }
  }

  /** Until the stream ends or falls silent; says which. */
  async #follow(): Promise<string> {
    const stream = this.#services.watch(this.#stop.signal);
    try {
      for (;;) {
        const next = stream.next();
        if (!(await withinMs(next, silenceMs))) return 'the quorum service that is watched fell silent';
        const item = await next;
        if (item.done === true) return 'the quorum service ended the watch';
        if (item.value.kind === 'error') return item.value.error.message;
        this.#tell('');
        this.#take(item.value.value);
      }
    } finally {
      await stream.return?.();
    }
  }

  #take(news: agents.WatchReply): void {
    // Members and configuration first: what comes with them is judged by them.
    this.#takeMembers(news.members);
    this.#takeConfig(news);
    const maintenance = news.maintenance;
    if (maintenance !== this.#last.maintenance) {
      this.#last.maintenance = maintenance;
      this.#takeMaintenance(maintenance);
    }
    const groups = news.groups.join('\n');
    if (groups === this.#last.groups) return;
    this.#last.groups = groups;
    for (const [index, text] of news.groups.entries()) {
      const records = readGroups([text], (says) => this.#host.log.warn('watch', says));
      const revision = news.groupRevisions[index];
      if (revision !== undefined) this.#host.dispatch({ kind: 'hint', revision, groups: records });
    }
  }

  #takeConfig(news: agents.WatchReply): void {
    if (news.config === '' || news.configRevision <= this.#configRevision) return;
    let raw: unknown;
    try {
      raw = JSON.parse(news.config);
    } catch {
      this.#host.log.error('configuration', 'the configuration that came is not JSON; the old one stays');
      return;
    }
    const parsed = configFromJson(raw);
    if (parsed.kind === 'invalid') {
      const says = parsed.errors.join('; ');
      this.#host.log.error('configuration', `${says}; the old one stays`);
      return;
    }
    this.#configRevision = news.configRevision;
    this.#listener.configured(parsed.config, news.configRevision, raw);
  }

  #takeMembers(rows: readonly agents.MemberRow[]): void {
    const text = JSON.stringify(rows);
    if (rows.length === 0 || text === this.#last.members) return;
    const known = rows.flatMap((row) => knownMember(row) ?? []);
    if (!known.some((m) => m.id === this.#host.self)) {
      this.#tell(`${this.#host.self} is not among the members of the cluster (any more)`);
      return;
    }
    this.#last.members = text;
    this.#listener.members(known);
  }

  #takeMaintenance(text: string): void {
    let maintenance: MaintenanceRecord = noMaintenance;
    if (text !== '') {
      const parsed = parseMaintenance(text);
      if (parsed.kind === 'garbage') {
        this.#host.log.warn('watch', parsed.says);
        return;
      }
      maintenance = parsed.value;
    }
    this.#host.dispatch({ kind: 'maintenance', maintenance });
  }

  #tell(says: string): void {
    if (says === this.#told) return;
    this.#told = says;
    if (says !== '') this.#host.log.warn('watch', says);
  }
}

/** Null for a row that is no host. Ports that are not told keep their defaults. */
function knownMember(row: agents.MemberRow): KnownMember | null {
  const { id, role, addresses, voter } = row;
  if (!isName(id) || (role !== 'server' && role !== 'witness')) return null;
  if (addresses.length === 0 || addresses.length > pathsMax || !addresses.every(isAddress)) return null;
  const port = (given: number, usual: number): number => (given > 0 && given < 65_536 ? given : usual);
  return {
    id,
    role,
    addresses: [...addresses],
    voter,
    ports: {
      ...defaultPorts,
      grpc: port(row.grpcPort, defaultPorts.grpc),
      heartbeat: port(row.heartbeatPort, defaultPorts.heartbeat),
    },
  };
}
