/**
 * News from a quorum service, as a stream: group records, the configuration, the members, maintenance. All of it is a
 * hint; authority comes with a committed renewal.
 *
 *   W1  the stream says something every 2 s: silence means that it is broken, and the next service is watched
 *   W2  a service whose member is not heard is left at once: at a takeover, news must not wait for a dead host
 *   W3  another service than the nearest is only watched for a while: then the nearest is tried again
 */

import { setTimeout as pause } from 'node:timers/promises';
import {
  configFromJson,
  heartbeatMsOf,
  lastHeard,
  noMaintenance,
  noPauses,
  parseMaintenance,
  parsePauses,
  type ClusterConfig,
  type MaintenanceRecord,
  type Revision,
} from '@holdfast/core';
import type { agents } from '@holdfast/proto';
import { defaultPorts, isAddress, isName, type KnownMember } from '@holdfast/wire/directory';
import { withinMs } from './within.ts';
import type { Host } from './host.ts';
import type { QuorumServices } from './quorum-services.ts';
import { readGroups } from './renewing.ts';

const silenceMs = 5_000;
/** Whether the service of another host is still worth to be watched; one of this host only has to speak (W1). */
const lookMs = 500;
const heartbeatsMissed = 3;
const againMs = 500;
const awayMsMin = 5_000;
const awayMsMax = 60_000;
const pathsMax = 8;

export interface WatchListener {
  configured(config: ClusterConfig, revision: Revision, raw: unknown): void;
  members(known: readonly KnownMember[]): void;
}

type WatchEnd = { readonly kind: 'broken' | 'silent'; readonly says: string } | { readonly kind: 'home' };

const broken = (says: string): WatchEnd => ({ kind: 'broken', says });

export class Watching {
  readonly #host: Host;
  readonly #services: QuorumServices;
  readonly #listener: WatchListener;
  readonly #stop = new AbortController();
  #ended: Promise<void> = Promise.resolve();
  #last = { groups: '', members: '', maintenance: '', pauses: '' };
  #configRevision: Revision;
  #told = '';
  /** W3. */
  #awayMs = awayMsMin;

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
      const end = await this.#follow();
      if (closed()) return;
      if (end.kind === 'home') {
        this.#services.home();
        continue;
      }
      this.#tell(end.says);
      this.#services.turn();
      // Interrupted by `close`, and then there is nothing more to do.
      if (end.kind === 'broken') await pause(againMs, undefined, { signal }).catch(() => undefined);
    }
  }

  /** Until the stream ends or is to be left; says why. */
  async #follow(): Promise<WatchEnd> {
    const stream = this.#services.watch(this.#stop.signal);
    const began = this.#host.bootMs();
    try {
      for (;;) {
        const next = stream.next();
        const reason = await this.#await(next, began);
        if (reason !== null) return reason;
        const item = await next;
        if (item.done === true) return broken('the quorum service ended the watch');
        if (item.value.kind === 'error') return broken(item.value.error.message);
        this.#tell('');
        if (this.#services.isHome) this.#awayMs = awayMsMin;
        this.#take(item.value.value);
      }
    } finally {
      await stream.return?.();
    }
  }

  /** Null once the next news is there; else why it is not waited for any longer. */
  async #await(next: Promise<unknown>, began: number): Promise<WatchEnd | null> {
    const asked = this.#host.bootMs();
    const own = this.#services.watched === this.#host.self;
    while (!(await withinMs(next, own ? silenceMs : lookMs))) {
      const now = this.#host.bootMs();
      if (now - asked >= silenceMs) return broken('the quorum service that is watched fell silent'); // W1
      const member = this.#services.watched;
      if (member !== null && this.#isSilent(member, now))
        return { kind: 'silent', says: `${member}, whose quorum service was watched, is not heard` }; // W2
      if (!this.#services.isHome && now - began >= this.#awayMs) {
        this.#awayMs = Math.min(2 * this.#awayMs, awayMsMax);
        return { kind: 'home' }; // W3
      }
    }
    return null;
  }

  #isSilent(member: string, now: number): boolean {
    if (member === this.#host.self) return false;
    const { vantage, config } = this.#host.state();
    if (!vantage.ears.has(member)) return false;
    const heartbeatMs = heartbeatMsOf(config);
    return now - lastHeard(vantage, member, heartbeatMs, now) > heartbeatsMissed * heartbeatMs;
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
    if (news.pauses !== this.#last.pauses) {
      this.#last.pauses = news.pauses;
      this.#takePauses(news.pauses);
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

  #takePauses(text: string): void {
    const parsed = text === '' ? { kind: 'ok' as const, value: noPauses } : parsePauses(text);
    if (parsed.kind === 'garbage') this.#host.log.warn('watch', parsed.says);
    else this.#host.dispatch({ kind: 'pauses', pauses: parsed.value });
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
      mirror: port(row.mirrorPort, defaultPorts.mirror),
      heartbeat: port(row.heartbeatPort, defaultPorts.heartbeat),
    },
  };
}
