/**
 * One member's agent: puts core's loop and the adapters together, and starts and ends them in order.
 *
 *   A1  before the loop is told anything, the sockets are open and the guard was asked what it watches over
 *   A2  `keep` stops the loop at once and touches nothing: the kernel and the guard hold the deadlines
 */

import { setTimeout as pause } from 'node:timers/promises';
import {
  newAgent,
  recall,
  type AgentEvent,
  type AgentState,
  type BootMs,
  type ClusterConfig,
  type GroupId,
  type Revision,
  type Started,
} from '@holdfast/core';
import {
  describeProblem,
  openMemberDirectory,
  pathIn,
  updateKnownMembers,
  type KnownMember,
  type MemberDirectory,
} from '@holdfast/wire/directory';
import type { Journal } from '@holdfast/wire/journal';
import type { Log } from '@holdfast/wire/log';
import { AddressBook, toMembers, type HostAddresses } from './address-book.ts';
import { BootRule } from './boot-rule.ts';
import { ClockWatch } from './clock-watch.ts';
import { CommandRuns, type KillMarked } from './command-runs.ts';
import { ConfigCache, type CachedConfig } from './config-cache.ts';
import type { Devices } from './devices.ts';
import { EpochGate } from './epoch-gate.ts';
import { Fencing } from './fencing.ts';
import { GroupQueue } from './group-queue.ts';
import { GuardLink } from './guard-link.ts';
import { HeadStart } from './head-start.ts';
import type { HeardRelay } from './heard-relay.ts';
import { Heartbeats } from './heartbeats.ts';
import type { Host } from './host.ts';
import { journalMoves } from './journal-moves.ts';
import { Loop } from './loop.ts';
import type { Memory } from './memory.ts';
import { Metrics } from './metrics.ts';
import { MirrorLink } from './mirror-link.ts';
import { PendingNotes } from './pending-notes.ts';
import { Performer } from './performer.ts';
import type { Platform } from './platform/platform.ts';
import { Preflight } from './preflight.ts';
import { QuorumServices } from './quorum-services.ts';
import { Renewing } from './renewing.ts';
import { Resources } from './resources.ts';
import { ServiceAddresses } from './service-addresses.ts';
import { ServiceNames, type OwnName } from './service-names.ts';
import { Sightings } from './sightings.ts';
import { Space } from './space.ts';
import { TakeoverWalk } from './takeover-walk.ts';
import { Tallies } from './tallies.ts';
import { Watching } from './watching.ts';

export interface AgentOptions {
  readonly directory: MemberDirectory;
  readonly incarnation: bigint;
  readonly version: string;
  readonly platform: Platform;
  readonly journal: Journal;
  readonly log: Log;
  readonly killMarked: KillMarked;
  readonly hostAddresses: HostAddresses;
  /** The guard's socket; null on a member that has none (a witness). */
  readonly guardSocket: string | null;
  /** The mirror process's socket; null on a member that has none (a witness). */
  readonly mirrorSocket: string | null;
  /** Default: every address. */
  readonly metricsAddress?: string;
}

/** What was read from the disk and opened before there is an agent. */
export interface Prepared {
  readonly memory: Memory;
  readonly devices: Devices;
  readonly ownName: OwnName;
  readonly cached: CachedConfig | null;
  readonly relay: HeardRelay;
}

const guardStartMs = 3_000;
const guardAnswerMs = 1_000;
const disarmMs = 500;
const keepAgainMs = 5_000;

export class Agent implements Host {
  readonly self: string;
  readonly platform: Platform;
  readonly journal: Journal;
  readonly log: Log;
  /** Resolves when everything was given up in order. */
  readonly released: Promise<void>;
  readonly #options: AgentOptions;
  readonly #prepared: Prepared;
  readonly #loop: Loop;
  readonly #book: AddressBook;
  readonly #headStart: HeadStart;
  readonly #notes: PendingNotes;
  readonly #guard: GuardLink | null;
  readonly #mirrors: MirrorLink | null;
  readonly #services: QuorumServices;
  readonly #names: ServiceNames;
  readonly #heartbeats: Heartbeats;
  readonly #walk: TakeoverWalk;
  readonly #bootRule: BootRule;
  readonly #watching: Watching;
  readonly #preflight: Preflight;
  readonly #metrics: Metrics;
  readonly #configCache: ConfigCache;
  #saving: Promise<void> = Promise.resolve();
  #closed = false;

  constructor(options: AgentOptions, prepared: Prepared) {
    const { directory, platform } = options;
    const { memory, devices } = prepared;
    this.self = directory.record.id;
    this.platform = platform;
    this.journal = options.journal;
    this.log = options.log;
    this.#options = options;
    this.#prepared = prepared;
    let tellReleased: () => void = () => undefined;
    this.released = new Promise((resolve) => {
      tellReleased = resolve;
    });
    const known = withOurselves(directory);
    this.#book = new AddressBook(this.self, known, options.hostAddresses);
    this.#loop = new Loop(this.#firstState(known), {
      bootMs: () => this.bootMs(),
      perform: (action) => performer.perform(action),
      stepped: (before, after, reason, now) => this.#stepped(before, after, reason, now),
    });
    const gate = new EpochGate();
    const tallies = new Tallies();
    const clocks = new ClockWatch();
    const runs = new CommandRuns(this.self, platform.commands, options.killMarked);
    const resources = new Resources(platform, runs, directory.path);
    const addresses = new ServiceAddresses(this, devices, gate, () => this.#heartbeats.look());
    this.#headStart = new HeadStart(addresses, prepared.memory);
    this.#notes = new PendingNotes(this.self);
    this.#names = new ServiceNames(this, directory.path, prepared.ownName);
    this.#guard = this.#openGuard(() => fencing);
    const { mirrorSocket } = options;
    const mirrors = mirrorSocket === null ? null : new MirrorLink(mirrorSocket, this);
    this.#mirrors = mirrors;
    this.#services = new QuorumServices(this.self, directory.credentials, this.#book);
    const sightings = new Sightings(this, addresses, (action) => this.#heartbeats.send(action));
    this.#heartbeats = new Heartbeats(this, {
      cluster: directory.record.cluster,
      key: directory.heartbeatKey ?? Buffer.alloc(0),
      incarnation: options.incarnation,
      port: directory.record.ports.heartbeat,
      book: this.#book,
      relay: prepared.relay,
      tallies,
      clocks,
      onSighting: (message) => void sightings.heard(message),
    });
    const guard = this.#guard;
    const names = this.#names;
    const fencing = new Fencing(this, { gate, runs, resources, addresses, names, guard });
    const walkParts = {
      gate,
      queue: new GroupQueue(),
      runs,
      resources,
      addresses,
      names,
      memory,
      guard,
      mirrors,
    };
    this.#walk = new TakeoverWalk(this, walkParts);
    this.#bootRule = new BootRule(this, { addresses, names, resources });
    const performer = new Performer(this, {
      ...walkParts,
      book: this.#book,
      heartbeats: this.#heartbeats,
      renewing: new Renewing(this, this.#services, this.#notes, tallies),
      walk: this.#walk,
      fencing,
      bootRule: this.#bootRule,
      sightings,
      tallies,
      exit: () => void this.#release().then(tellReleased),
    });
    this.#configCache = new ConfigCache(directory.path);
    this.#watching = new Watching(this, this.#services, prepared.cached?.revision ?? -1n, {
      configured: (config, revision, raw) => this.#configured(config, revision, raw),
      members: (rows) => this.#membersCame(rows),
    });
    const { certificate } = directory;
    const services = this.#services;
    const problems = (): number | null => this.#preflight.found;
    this.#metrics = new Metrics(this, { tallies, notes: this.#notes, guard, problems });
    const ports = (): readonly string[] => [...this.#heartbeats.troubles, ...this.#metrics.troubles];
    this.#preflight = new Preflight(this, {
      services,
      addresses,
      names,
      clocks,
      guard,
      mirrors,
      space: new Space(),
      directory: directory.path,
      certificate,
      ports,
      leftovers: () => this.#bootRule.left,
    });
  }

  bootMs(): BootMs {
    return this.platform.clock.bootMs();
  }

  state(): AgentState {
    return this.#loop.state;
  }

  dispatch(event: AgentEvent): void {
    this.#loop.dispatch(event);
  }

  note(group: GroupId | null, what: string, reason: string): void {
    this.journal.write('note', { group, what, reason });
    this.log.info(what, reason, group === null ? undefined : { group });
    this.#notes.add(group, what, reason, Date.now());
  }

  problemsChanged(): void {
    this.#preflight.check();
  }

  /**
   * Resolves when it is at work: sockets bound, the former life recalled, the loop running. With a sentence, nothing was begun:
   * another process has the port of the heartbeats, and nothing runs here that would be lost.
   */
  async start(): Promise<string | null> {
    this.#guard?.start();
    const [started, taken] = await Promise.all([this.#recall(), this.#heartbeats.bind()]);
    if (this.#closed) return null;
    if (taken[0] !== undefined && started.held.length === 0) return taken[0];
    for (const says of this.#prepared.memory.garbage) this.note(null, 'state-lost', says);
    const { held, promises } = started;
    this.journal.write('started', { incarnation: this.#options.incarnation, held, promises });
    this.dispatch(started); // A1
    const { cached } = this.#prepared;
    if (cached !== null) this.#useConfig(cached.config, cached.revision);
    this.#watching.start();
    await this.#metrics.listen(this.#options.directory.record.ports.metrics, this.#options.metricsAddress);
    this.#preflight.check();
    return null;
  }

  /** Gives up every group in order; `released` tells the end. */
  release(why: string): void {
    this.dispatch({ kind: 'release-all', why });
  }

  /** A2. Resolves when sockets and timers are gone. */
  async keep(): Promise<void> {
    this.#loop.stop();
    await this.#close();
  }

  async #release(): Promise<void> {
    await this.#guard?.disarm(disarmMs);
    this.#loop.stop();
    await this.#close();
  }

  async #close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    this.#bootRule.close();
    this.#heartbeats.close();
    this.#guard?.close();
    this.#mirrors?.close();
    this.#metrics.close();
    const { memory, devices, relay } = this.#prepared;
    const written = [memory, devices, this.#configCache, this.#names].map((part) => part.close());
    const ending = [this.#watching.close(), this.#preflight.close(), this.#saving, ...written];
    this.#services.close();
    relay.close();
    await Promise.all(ending);
  }

  #firstState(known: readonly KnownMember[]): AgentState {
    const { directory, incarnation, version, platform } = this.#options;
    const role = directory.record.role === 'server' ? 'server' : 'witness';
    const bootId = platform.clock.bootId();
    const members = toMembers(known);
    const id = { self: this.self, role, members, incarnation: Number(incarnation), bootId, version } as const;
    return newAgent(id, this.bootMs());
  }

  async #recall(): Promise<Started> {
    const { memory, cached } = this.#prepared;
    const guard = await this.#guardState();
    return recall({
      self: this.self,
      bootId: this.platform.clock.bootId(),
      now: this.bootMs(),
      holdings: memory.holdings,
      holdingsLost: memory.holdingsLost,
      promises: memory.promises,
      promisesLost: memory.promisesLost,
      guard,
      config: cached?.config ?? null,
    });
  }

  async #guardState() {
    const guard = this.#guard;
    if (guard === null) return null;
    if (!(await guard.connected(guardStartMs))) {
      this.log.warn('guard', `no guard answers at ${this.#options.guardSocket ?? ''}`);
      return null;
    }
    return guard.state(guardAnswerMs);
  }

  #openGuard(fencing: () => Fencing): GuardLink | null {
    const path = this.#options.guardSocket;
    if (path === null) return null;
    return new GuardLink(path, {
      fencing: (group, epoch, reason) => {
        this.journal.write('guard-fencing', { group, epoch, reason });
        this.log.warn('guard-fencing', reason, { group });
        fencing().guardFencing(group, epoch, reason);
      },
      fenced: (group, epoch, ended) => {
        this.journal.write('guard-fenced', { group, epoch, ended });
        fencing().guardFenced(group, epoch, ended);
      },
      connected: (yes) => {
        this.journal.write('guard', { connected: yes });
        if (!yes && !this.#closed) this.log.warn('guard', 'the connection to the guard is lost');
      },
      trouble: (says) => this.note(null, 'guard', says),
    });
  }

  #stepped(before: AgentState, after: AgentState, reason: string | null, now: BootMs): void {
    journalMoves(this.journal, before, after, reason);
    this.#headStart.look(after, now);
    if (after.members.size === 1 && after.nextBeatAt !== before.nextBeatAt) this.#heartbeats.beatAlone();
  }

  #configured(config: ClusterConfig, revision: Revision, raw: unknown): void {
    this.#useConfig(config, revision, true);
    void this.#keepConfig(revision, raw);
    this.#preflight.check();
  }

  /** Others count on it only when it is on the disk (docs/adr/0079). */
  async #keepConfig(revision: Revision, raw: unknown): Promise<void> {
    for (let told = false; !this.#closed && revision >= this.state().configRevision; told = true) {
      const ended = await this.#configCache.set(revision, raw);
      if (ended.kind === 'done') {
        this.dispatch({ kind: 'config-kept', revision });
        return;
      }
      if (!told) this.log.error('state', ended.says);
      await pause(keepAgainMs, undefined, { ref: false });
    }
  }

  #useConfig(config: ClusterConfig, revision: Revision, unkept = false): void {
    this.journal.write('configured', { revision, groups: [...config.groups.keys()] });
    this.#walk.configured(config.groups.values());
    const first = this.state().config === null;
    this.dispatch({ kind: 'configured', config, revision, unkept });
    if (first) this.#names.attached(config.groups.values());
    // An identity may give one of our paths another address.
    void this.#heartbeats.bind();
  }

  #membersCame(rows: readonly KnownMember[]): void {
    const before = new Map(this.#book.known.map((m) => [m.id, m]));
    // A row tells three of the ports; what else is known stays.
    const known = rows.map((row) => {
      const ports = before.get(row.id)?.ports ?? row.ports;
      return {
        ...row,
        ports: { ...ports, grpc: row.ports.grpc, heartbeat: row.ports.heartbeat, mirror: row.ports.mirror },
      };
    });
    this.#book.update(known);
    this.#services.locate(this.state());
    this.dispatch({ kind: 'members', members: toMembers(known) });
    void this.#heartbeats.bind();
    this.#saving = this.#saving.then(() => this.#saveMembers(known));
  }

  /** For the next start. The quorum service beside us may have written meanwhile, so it is read again first. */
  async #saveMembers(known: readonly KnownMember[]): Promise<void> {
    const opened = await openMemberDirectory(this.#options.directory.path);
    const saved = opened.kind === 'ok' ? await updateKnownMembers(opened.value, known) : opened;
    if (saved.kind === 'error') this.log.error('directory', describeProblem(saved.error));
  }
}

/** The known members, ourselves among them. */
function withOurselves({ record }: MemberDirectory): readonly KnownMember[] {
  const { id, role, addresses, ports, members } = record;
  if (members.some((m) => m.id === id)) return members;
  return [...members, { id, role, addresses, ports, voter: false }];
}

export function mirrorSocketOf(directory: MemberDirectory): string | null {
  return directory.record.role === 'server' ? pathIn(directory.path, 'run', 'mirror.sock') : null;
}

export function guardSocketOf(directory: MemberDirectory): string | null {
  return directory.record.role === 'server' ? pathIn(directory.path, 'run', 'guard.sock') : null;
}
