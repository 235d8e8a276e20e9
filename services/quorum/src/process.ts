/**
 * The quorum process of one member: its gRPC door, its etcd when it votes, and the service between them.
 *
 *   a founder      starts a new etcd of one
 *   a member       asks to be enrolled, and starts its etcd when told; until then it only answers Enrol and Join
 *                  through others
 *   external etcd  every member is a client of it, and none runs its own
 */

import { readFileSync } from 'node:fs';
import { heartbeatMsOf, keys } from '@holdfast/core';
import type { admin } from '@holdfast/proto';
import {
  bootMs,
  nextIncarnation,
  describeProblem,
  isLost,
  pathIn,
  updateKnownMembers,
  type KnownMember,
  type MemberDirectory,
} from '@holdfast/wire/directory';
import { openJournal, type Journal } from '@holdfast/wire/journal';
import { createLog, type Log } from '@holdfast/wire/log';
import {
  adminService,
  agentsService,
  failure,
  listenRpc,
  membersService,
  type RpcServer,
} from '@holdfast/wire/rpc';
import { admit, forgetTokens } from './admission.ts';
import { adminHandlers } from './admin-calls.ts';
import { agentHandlers } from './agent-calls.ts';
import { DeadPaths, isSilentAt, lostVoters } from './dead-paths.ts';
import { LeftAddresses } from './left-addresses.ts';
import { EtcdLeader, heardWitness } from './etcd-leader.ts';
import { hasBegun, markBegun } from './etcd/begun.ts';
import { createEtcdMembers, type EtcdMembers } from './etcd/members.ts';
import { mayPass } from './etcd/failure.ts';
import type { EtcdTls } from './etcd/endpoints.ts';
import { checkPorts, checkProgram } from './etcd/preflight.ts';
import { createEtcdStore } from './etcd/store.ts';
import { startEtcd, type RunningEtcd, type StartEtcdAnswer } from './etcd/supervisor.ts';
import { enrolUntilVoter } from './enrolment.ts';
import { forgetOldest } from './history.ts';
import { encodeMember, parseMemberRow, toKnown } from './member-row.ts';
import { OtherMembers } from './other-members.ts';
import { listenAddresses, ownEtcd } from './own-etcd.ts';
import { openRelay, type Relay } from './relay.ts';
import { QuorumService } from './service.ts';
import type { Store } from './store.ts';
import { bracketed, VoterHealth } from './voter-health.ts';
import { peerUrlsOf, Voting, type FirstStart } from './voting.ts';

/** It did not start. */
export class StartFailure extends Error {
  /** The installation or the configuration is wrong: a restart can't help. A disk that is full or hangs may be well again. */
  readonly hopeless: boolean;

  constructor(says: string, hopeless: boolean) {
    super(says);
    this.hopeless = hopeless;
  }
}

const pruneEveryMs = 600_000;
/** As long as a store that is well may take to hear that we lead no more. */
const leaveMs = 1_000;
const stopMs = 5_000;
/** Not looked at more often, and only when something is heard: a dead path is told by what comes over another one. */
const pathEveryMs = 100;
const leaderEveryMs = 5_000;

export class QuorumProcess {
  private readonly directory: MemberDirectory;
  private readonly log: Log;
  private readonly journal: Journal;
  private known: readonly KnownMember[];
  private server: RpcServer | null = null;
  private etcd: RunningEtcd | null = null;
  /** The start of it that was begun last. */
  private etcdStart: Promise<StartEtcdAnswer> | null = null;
  private etcdMembers: EtcdMembers | null = null;
  private voting: Voting | null = null;
  private service: QuorumService | null = null;
  private relay: Relay | null = null;
  private readonly health: VoterHealth;
  private endpoints = '';
  /** Of a voter. */
  private paths: DeadPaths | null = null;
  private left: LeftAddresses | null = null;
  private pathsLookedAt = -Infinity;
  /** Aborted: it ends. */
  private readonly ending = new AbortController();
  private readonly timers = new Set<NodeJS.Timeout>();

  constructor(directory: MemberDirectory) {
    this.directory = directory;
    this.known = directory.record.members;
    this.health = new VoterHealth(directory.record.id);
    this.log = createLog({ process: 'quorum', member: directory.record.id });
    this.journal = openJournal({
      directory: directory.path,
      process: 'quorum',
      onFailure: (error) => this.log.warn('journal', String(error)),
    });
  }

  /** Resolves when the door is open and, for a voter, the service runs. */
  async start(): Promise<void> {
    await this.listen();
    const { record } = this.directory;
    if (record.externalEtcd !== null) {
      await this.serve(false);
      return;
    }
    const self = this.known.find((m) => m.id === record.id);
    if (self?.voter === true || hasBegun(this.directory, false)) await this.startEtcd(this.founding(), 'new');
    if (self?.voter === true) {
      await this.serve(true);
      return;
    }
    await this.mustBeAbleToVote();
    void enrolUntilVoter({
      self: record.id,
      credentials: this.directory.credentials,
      log: this.log,
      known: () => this.known,
      isOver: () => this.isEnding(),
      start: async (first) => {
        if (this.etcd === null) await this.startEtcd(first, 'existing');
      },
      becomeVoter: () => this.becomeVoter(),
    });
  }

  async close(): Promise<void> {
    this.ending.abort();
    for (const timer of this.timers) clearTimeout(timer);
    await this.service?.leave(leaveMs);
    this.relay?.close();
    await this.server?.close(1_000);
    this.service?.close();
    this.etcdMembers?.close();
    this.health.close();
    // One that is only starting runs already, and nobody else would end it.
    const begun = await this.etcdStart;
    if (begun?.kind === 'started') await begun.etcd.stop(stopMs);
    await this.journal.close();
  }

  private isEnding(): boolean {
    return this.ending.signal.aborted;
  }

  private async listen(): Promise<void> {
    const others = new OtherMembers(this.directory, () => this.known);
    const around = {
      directory: this.directory,
      current: () => this.service,
      voters: () => this.etcdMembers,
      storeHealth: () =>
        this.directory.record.externalEtcd === null
          ? this.health.ask(this.known, this.tls())
          : Promise.resolve(new Map()),
      forward: (member: string, request: admin.StartOperationRequest) => others.start(member, request),
      mirrors: {
        self: this.directory.record.id,
        socket: pathIn(this.directory.path, 'run', 'mirror.sock'),
        state: () => this.service?.state ?? null,
        pass: (member: string, request: admin.RunMirrorRequest, signal: AbortSignal) =>
          others.runMirror(member, request, signal),
      },
    };
    const listening = await listenRpc({
      credentials: this.directory.credentials,
      port: this.directory.record.ports.grpc,
      services: [
        adminService(adminHandlers(around)),
        agentsService(agentHandlers(() => this.service)),
        membersService({
          join: (request) =>
            this.service === null
              ? Promise.resolve(
                  failure(
                    'unreachable',
                    `${this.directory.record.id} does not vote yet: join through another member`,
                  ),
                )
              : admit(this.directory, this.service, request, Date.now()),
          enrol: (request) =>
            this.voting === null
              ? Promise.resolve(failure('unreachable', 'this member does not vote yet: ask another'))
              : this.voting.enrol(request.member, bootMs()),
        }),
      ],
      onFault: ({ method, error }) => this.log.error('fault', `${method}: ${String(error)}`),
    });
    if (listening.kind === 'error') throw new StartFailure(listening.error.says, true);
    this.server = listening.value;
  }

  // -- etcd ----------------------------------------------------------------------------------------------------

  private founding(): FirstStart {
    const { record } = this.directory;
    return [{ name: record.id, peerUrls: peerUrlsOf(record) }];
  }

  private async startEtcd(first: FirstStart | null, state: 'new' | 'existing'): Promise<void> {
    if (this.isEnding()) throw new StartFailure('it ends: etcd is not started', false);
    this.etcdStart = startEtcd(
      {
        ...ownEtcd(this.directory),
        initialCluster: hasBegun(this.directory, state === 'new') ? null : first,
        initialState: state,
        hurry: this.ending.signal,
      },
      {
        died: (failed, restartInMs) => {
          const next = restartInMs === null ? 'it is not started again' : `next start in ${restartInMs} ms`;
          this.log.error('etcd-died', `${failed.says}; ${next}`);
        },
        started: (pid, how) => this.log.info('etcd', `etcd ${how}, pid ${pid}`),
        warned: (says) => this.log.warn('etcd', says),
      },
    );
    const answer = await this.etcdStart;
    if (answer.kind !== 'started') throw new StartFailure(answer.says, !mayPass(answer));
    if (this.isEnding()) throw new StartFailure('it ended while etcd started', false);
    this.etcd = answer.etcd;
    await this.markBegun();
  }

  private async markBegun(): Promise<void> {
    const says = await markBegun(this.directory, Date.now());
    if (says !== null) throw new StartFailure(says, false);
  }

  /** Told now, while whoever installs this member looks, and not on the night on which it is given a vote. */
  private async mustBeAbleToVote(): Promise<void> {
    if (this.etcd !== null) return;
    const { etcdClient: clientPort, etcdPeer: peerPort } = this.directory.record.ports;
    const ports = { clientPort, peerPort, listenAddresses: listenAddresses(this.directory.record) };
    const lack = checkProgram('etcd') ?? (await checkPorts(ports));
    if (lack !== null) throw new StartFailure(lack.says, true);
  }

  private async becomeVoter(): Promise<void> {
    // A member gets its vote when its etcd has caught up: one that has none to start lost it.
    if (this.etcd === null) await this.startEtcd(null, 'existing');
    await this.markBegun();
    await this.serve(true);
    this.log.info('enrol', 'this member votes now');
  }

  // -- service -------------------------------------------------------------------------------------------------

  private async serve(own: boolean): Promise<void> {
    const { record } = this.directory;
    const incarnation = await nextIncarnation(this.directory.path);
    if (incarnation.kind === 'error') {
      const { error } = incarnation;
      throw new StartFailure(describeProblem(error), isLost(error));
    }
    const service = new QuorumService({
      self: record.id,
      witness: record.role === 'witness',
      incarnation: Number(incarnation.value),
      store: this.openStore(),
      log: this.log,
      journal: this.journal,
    });
    this.service = service;
    const members = own
      ? createEtcdMembers({ endpoints: [this.localEndpoint()], tls: this.tls(), localFirst: true })
      : null;
    this.etcdMembers = members;
    if (members !== null) {
      this.voting = new Voting(
        members,
        () => service.storeNow,
        () => lostVoters(service.state, bootMs()),
      );
    }
    service.onPush(() => this.membersChanged());
    service.start();
    this.relay = openRelay(pathIn(this.directory.path, 'run', 'heard.sock'), {
      heard: (from, path, heartbeat) => {
        service.dispatch({ kind: 'heard', from, path, heartbeat });
        void this.leaveDeadPaths();
      },
      connected: (connected) => service.dispatch({ kind: 'relay', connected }),
      garbled: (says) => this.log.warn('relay', says),
    });
    // With an etcd of others, every member offers the service, and none has a vote to lose.
    void this.recordSelf(own || record.externalEtcd !== null);
    this.every(pruneEveryMs, () => this.prune());
    if (members === null) return;
    this.paths = new DeadPaths((says) => this.log.warn('path-dead', says));
    this.left = new LeftAddresses((says) => this.log.warn('address-left', says));
    const leader = new EtcdLeader({
      self: record.id,
      tls: this.tls(),
      ownStatus: (deadlineMs) => members.status(deadlineMs),
      endpointOf: (id) => this.etcdEndpointOf(id),
    });
    this.every(leaderEveryMs, () => this.placeEtcdLeader(leader));
  }

  private openStore(): Store {
    const endpoints = this.storeEndpoints();
    this.endpoints = endpoints.join();
    return createEtcdStore({
      endpoints,
      tls: this.tls(),
      localFirst: this.directory.record.externalEtcd === null,
      isSilent: (index) => this.isSilentStore(index),
    });
  }

  private storeEndpoints(): readonly string[] {
    const { record } = this.directory;
    if (record.externalEtcd !== null) return record.externalEtcd.endpoints;
    return [record.id, ...this.otherVoters()].flatMap((id) => this.etcdEndpointOf(id) ?? []);
  }

  private otherVoters(): readonly string[] {
    return this.known.filter((m) => m.voter && m.id !== this.directory.record.id).map((m) => m.id);
  }

  /** Over a member's last path: the first is the service network. */
  private etcdEndpointOf(id: string): string | null {
    if (id === this.directory.record.id) return this.localEndpoint();
    const member = this.known.find((m) => m.id === id);
    const address = member?.addresses.at(-1);
    return address === undefined ? null : `${bracketed(address)}:${member?.ports.etcdClient ?? 0}`;
  }

  private isSilentStore(index: number): boolean {
    const state = this.service?.state;
    const member = index === 0 ? undefined : this.otherVoters()[index - 1];
    if (this.directory.record.externalEtcd !== null || state === undefined || member === undefined)
      return false;
    const path = (state.view.members.get(member)?.value.addresses.length ?? 1) - 1;
    return isSilentAt(state, member, path, heartbeatMsOf(state.view.config?.value ?? null), bootMs());
  }

  private localEndpoint(): string {
    return `127.0.0.1:${this.directory.record.ports.etcdClient}`;
  }

  /** Null where an external etcd is spoken to in the clear, as its endpoints say. */
  private tls(): EtcdTls | null {
    const { authority, certificate, key, record } = this.directory;
    const external = record.externalEtcd;
    if (external?.endpoints.every((e) => e.startsWith('http://')) === true) return null;
    const file = (path: string | undefined, otherwise: string): string =>
      path === undefined ? otherwise : readFileSync(path, 'utf8');
    return {
      ca: file(external?.caFile, authority),
      cert: file(external?.certFile, certificate),
      key: file(external?.keyFile, key),
      ...(external === null ? { serverName: 'localhost' } : {}),
    };
  }

  /** The founder records itself; everybody else was recorded when it joined. */
  private async recordSelf(voter: boolean): Promise<void> {
    const { record } = this.directory;
    while (!this.isEnding() && this.service !== null) {
      const { view, storeAnsweredAt } = this.service.state;
      if (storeAnsweredAt !== null && view.members.has(record.id)) return;
      if (storeAnsweredAt !== null && (record.role === 'server' || record.role === 'witness')) {
        const row = {
          id: record.id,
          role: record.role,
          addresses: [...record.addresses],
          voter,
          ports: record.ports,
        };
        const key = keys.member(record.id);
        const answer = await this.service.storeNow.txn(
          {
            compares: [{ kind: 'mod-revision', key, revision: 0n }],
            puts: [{ key, value: encodeMember(row) }],
            deletes: [],
            reads: [key],
          },
          2_000,
        );
        if (answer.kind !== 'unknown')
          this.service.dispatch({ kind: 'changed', revision: answer.revision, rows: answer.rows });
      }
      await this.pause(100);
    }
  }

  /** Keeps what is known of the members on disk, and the store's endpoints in step with the voters. */
  private membersChanged(): void {
    const service = this.service;
    if (service === null) return;
    const rows = [...service.state.view.members.values()].flatMap((held) => {
      const row = parseMemberRow(held.text);
      return row === null ? [] : [toKnown(row)];
    });
    if (rows.length === 0 || JSON.stringify(rows) === JSON.stringify(this.known)) return;
    this.known = rows;
    void updateKnownMembers(this.directory, rows).then((saved) => {
      if (saved.kind === 'error') this.log.error('members', describeProblem(saved.error));
    });
    if (this.storeEndpoints().join() !== this.endpoints) service.useStore(this.openStore());
  }

  private async leaveDeadPaths(): Promise<void> {
    const state = this.service?.state;
    if (state === undefined || this.paths === null) return;
    if (performance.now() - this.pathsLookedAt < pathEveryMs) return;
    this.pathsLookedAt = performance.now();
    await this.left?.leave(this.directory.record.ports.etcdPeer);
    await this.paths.leave(state, this.known, heartbeatMsOf(state.view.config?.value ?? null), bootMs());
  }

  private async placeEtcdLeader(leader: EtcdLeader): Promise<void> {
    const state = this.service?.state;
    if (state === undefined || this.isEnding()) return;
    const heartbeatMs = heartbeatMsOf(state.view.config?.value ?? null);
    const says = await leader.look(heardWitness(state, heartbeatMs, bootMs()));
    if (says === null) return;
    this.log.info('etcd-leader', says);
    this.journal.write('etcd-leader', { says });
  }

  private async prune(): Promise<void> {
    if (this.service === null || this.service.state.view.leader?.value.member !== this.directory.record.id)
      return;
    const { storeNow } = this.service;
    const says = (await forgetOldest(storeNow)) ?? (await forgetTokens(storeNow, Date.now()));
    if (says !== null) this.log.warn('history', `what is old could not be dropped: ${says}`);
  }

  private every(ms: number, work: () => Promise<void>): void {
    const timer = setInterval(() => void work(), ms);
    timer.unref();
    this.timers.add(timer);
  }

  private pause(ms: number): Promise<void> {
    return new Promise((resolve) => setTimeout(resolve, ms));
  }
}
