/**
 * The loop of one member's agent. It renews, listens, and keeps every group of this server in the state that its
 * entitlement allows.
 *
 *   A1  nothing starts from local state: first every address of a former life goes (boot rule), then the owner is
 *       read together with a committed renewal
 *   A2  the guard is told the new deadline before anything is started or extended under it
 *   A3  the deadline itself wakes the loop; nothing is polled
 *   A4  others are told of a configuration, and may count on it, when the next life of this agent would know it, too
 */

import type { GroupConfig, LeavingGroup } from '../config/types.ts';
import type { Draft } from '../draft.ts';
import type { BootMs, GroupId, MemberId, Revision } from '../names.ts';
import type { GroupRecord } from '../records.ts';
import { hear, heardHere } from '../vantage.ts';
import { arming } from './arming.ts';
import { adopted, changeStepEnded, clearFor, isAtRest } from './changing.ts';
import {
  actsUnder,
  begun,
  configured,
  giveOwnBack,
  informed,
  ownBack,
  strip,
  withFormerLife,
  withGroup,
} from './configuring.ts';
import { beatsAt } from './beat.ts';
import { pinged, pingSilentPaths } from './diagnosis.ts';
import type { AgentAction, AgentEvent } from './events.ts';
import { seeForeign } from './foreign.ts';
import { type GroupState, newGroupState, newlyBegun, newlyFenced, groupDraft } from './holding.ts';
import { acquireWhenEntitled, fencedUnbegun, onTime, seeRecord, waitsForProof } from './ownership.ts';
import { askedSince, askToHold, holdRequested, promiseKept, promiseReceived } from './promises.ts';
import { type Account, afterTheMove, type Proof, renewalAnswered, renewWhenDue } from './renewal.ts';
import { takeRoutine } from './routine.ts';
import { monitored, monitorsDue, restarted } from './resources.ts';
import { look, observerOf, sighted, sightingDue } from './sighting.ts';
import { keepSpare, spareEveryMs } from './spare.ts';
import {
  agentDraft,
  groupsOf,
  mayExit,
  paceOf,
  pathsBetween,
  reportsOf,
  toldOf,
  type AgentState,
  type AgentStep,
} from './state.ts';
import { heartbeatMsOf } from '../pace.ts';
import { identityMoved } from '../step.ts';
import { fenceCommandOf, type Here, type Moved } from './here.ts';
import { mirrorNews, ordering, sameCast, watchData } from './mirroring.ts';
import { dutiesFrom, wakeAt } from './wake.ts';
import { fenceEnded, startFence, stepEnded } from './walk.ts';

export function stepAgent(state: AgentState, event: AgentEvent, now: BootMs): AgentStep {
  const routine = takeRoutine(state, event, now);
  if (routine !== null) return routine;
  const turn = new Turn(state, now);
  if (event.kind === 'wake' && state.dutiesAt !== null && now < state.dutiesAt) return turn.beatOnly();
  turn.keepDeadlines();
  turn.take(event);
  return turn.settle();
}

/** One event's worth of work: takes the event, then settles everything that is due. */
class Turn {
  private readonly state: Draft<AgentState>;
  private readonly before: AgentState;
  private readonly now: BootMs;
  private readonly actions: AgentAction[] = [];
  private reason: string | null = null;

  constructor(state: AgentState, now: BootMs) {
    this.before = state;
    this.state = agentDraft(state);
    this.now = now;
  }

  /** A3: first of all, what is over is over. A process that was frozen finds old news before its own timer. */
  keepDeadlines(): void {
    if (!this.state.started) return;
    for (const name of this.state.groups.keys()) this.move(name, (g, here) => onTime(g, here));
  }

  take(event: AgentEvent): void {
    switch (event.kind) {
      case 'started':
        Object.assign(this.state, begun(this.state, event, this.now)); // A1
        return;
      case 'stripped':
        this.state.stripping = Math.max(0, this.state.stripping - 1);
        this.state.stripped = this.state.stripping === 0;
        return;
      case 'heard':
        this.heard(event);
        return;
      case 'configured':
        this.configure(event);
        return;
      case 'config-kept':
        if (event.revision === this.state.configRevision)
          Object.assign(this.state, toldOf(groupsOf(this.state))); // A4
        return;
      case 'members':
        this.state.members = new Map(event.members.map((m) => [m.id, m]));
        return;
      case 'maintenance':
        this.state.maintenance = event.maintenance;
        return;
      case 'pauses':
        this.state.pauses = event.pauses;
        return;
      case 'mirrors': {
        const { mirrorsTold, actions } = mirrorNews(this.state.mirrorsTold, event.reports, this.now);
        this.state.mirrors = event.reports;
        this.state.mirrorsAt = this.now;
        this.state.mirrorsTold = mirrorsTold;
        this.actions.push(...actions);
        return;
      }
      case 'renewed':
        this.renewed(event);
        return;
      case 'hint':
        // O5 (ownership.ts): the proof that there is still stands.
        this.see(event.groups, event.revision, this.state.renewal.proof);
        return;
      case 'step-ended':
        this.move(event.group, (g, here) => changeStepEnded(g, event, here) ?? stepEnded(g, event, here));
        return;
      case 'fence-ended':
        this.move(event.group, (g, here) => {
          return fencedUnbegun(g, event.epoch, here) ?? fenceEnded(g, event.epoch, event.ended, here);
        });
        return;
      case 'monitored':
        this.move(event.group, (g, here) => monitored(g, event, here));
        return;
      case 'restarted':
        this.move(event.group, (g, here) => restarted(g, event, here));
        return;
      case 'promise-kept':
        this.actions.push(...promiseKept(event, this.pathsTo(event.to)));
        return;
      case 'pinged':
        this.state.pings = pinged(this.state.pings, event);
        return;
      case 'sighted':
        this.move(event.group, (g) => sighted(g, event.round, event.verdict, event.says, this.now));
        return;
      case 'release-all':
        this.state.leaving ??= event.why;
        return;
      case 'wake':
        return;
    }
  }

  private configure({ config, revision, unkept }: Extract<AgentEvent, { kind: 'configured' }>): void {
    const first = this.state.config === null;
    const ours = groupsOf({ ...this.state, config });
    const strangers = first ? ours : ours.filter(({ name }) => !this.state.groups.has(name));
    this.state.own = [...this.state.own, ...ownBack(this.state, config)];
    Object.assign(this.state, configured(this.state, config, revision));
    for (const group of groupsOf(this.state)) {
      const g = informed(this.groupState(group.name), group, this.before.config, config, this.state.self);
      this.putGroup(first ? withFormerLife(g, group, this.state, this.now) : g);
    }
    // A4. Others judge by it from the next renewal on.
    if (unkept !== true) Object.assign(this.state, toldOf(groupsOf(this.state)));
    this.state.nextBeatAt = this.now;
    if (first || strangers.length > 0) this.strip(strangers, first ? config.leaving : []);
  }

  private strip(groups: readonly GroupConfig[], leaving: readonly LeavingGroup[] = []): void {
    const { state, actions } = strip(this.state, groups, leaving);
    Object.assign(this.state, state);
    this.actions.push(...actions);
  }

  private heard(event: Extract<AgentEvent, { kind: 'heard' }>): void {
    const { from, path, message: m } = event;
    switch (m.kind) {
      case 'heartbeat': {
        const before = heardHere(this.state.vantage, from);
        this.state.vantage = hear(this.state.vantage, from, path, m, this.now);
        // A member that was silent is back: others should not have to wait a period to learn it.
        const silent = before === null || this.now - before > 2.5 * heartbeatMsOf(this.state.config);
        if (silent) this.state.nextBeatAt = this.now;
        return;
      }
      case 'hold-request':
        this.move(m.group, (g, here) => holdRequested(g, from, path, m, here, this.state.vantage));
        return;
      case 'hold-promise':
        this.move(m.group, (g, here) => promiseReceived(g, from, m, here));
        return;
      case 'sighting-request':
        this.actions.push(look(from, path, m.round, m.addresses));
        return;
      case 'sighting':
        // The shell compares link addresses and says `sighted`.
        return;
    }
  }

  private renewed(event: Extract<AgentEvent, { kind: 'renewed' }>): void {
    const { renewal, proof } = renewalAnswered(
      this.state.renewal,
      event.attempt,
      event.answer,
      paceOf(this.state),
      this.now,
    );
    const impostor = renewal.impostor !== this.state.renewal.impostor ? renewal.impostor : null;
    this.state.renewal = renewal;
    if (proof !== null) this.state.groups = askedSince(this.state, proof.asks); // P5 (promises.ts)
    if (event.answer.kind !== 'no-answer') this.see(event.answer.groups, event.answer.revision, proof);
    if (impostor === null) return;
    this.actions.push({ kind: 'note', group: null, what: 'impostor', reason: impostor });
    this.reason = impostor;
    for (const name of this.state.groups.keys()) this.move(name, (g, here) => startFence(g, impostor, here));
  }

  private see(records: readonly GroupRecord[], revision: Revision, proof: Proof | null): void {
    for (const record of records) {
      const { group } = record;
      if (this.state.groups.has(group) && this.groupConfig(group) !== null)
        this.move(group, (g, here) => seeRecord(g, record, revision, proof, here));
      else Object.assign(this.state, seeForeign(this.state, this.groupState(group), record, revision));
    }
  }

  /** Everything that is due now, in an order that keeps A2. */
  settle(): AgentStep {
    if (this.state.started && this.state.config !== null) {
      this.adopt();
      for (const name of this.state.groups.keys()) this.settleGroup(name);
    }
    // Others may take over at once: they should not have to wait for a period or a commit to learn it.
    const fenced = newlyFenced(this.before.groups, this.state.groups);
    if (fenced) this.state.nextBeatAt = this.now;
    if (fenced || newlyBegun(this.before.groups, this.state.groups))
      this.state.renewal = afterTheMove(this.state.renewal, this.now);
    this.giveOwnBack();
    this.state.actsUnder = actsUnder(this.state);
    const word = fenced ? this.beats() : [];
    this.renew();
    this.actions.push(...this.beats());
    this.ping();
    const arming = this.arm();
    const ordering = this.orderMirrors();
    this.maybeExit();
    const actions = [...arming, ...word, ...ordering, ...this.actions];
    return this.ended(actions, dutiesFrom(this.state, this.account(), this.proofWanted()));
  }

  /** Nothing but heartbeats and pings is due. */
  beatOnly(): AgentStep {
    this.actions.push(...this.beats());
    this.ping();
    return this.ended(this.actions, this.state.dutiesAt);
  }

  private ended(actions: readonly AgentAction[], dutiesAt: BootMs | null): AgentStep {
    const next = wakeAt(this.state, dutiesAt);
    this.state.dutiesAt = dutiesAt;
    this.state.wakeAt = next;
    return { state: this.state, actions, wakeAt: next, reason: this.reason };
  }

  /** H3 (holding.ts): configurations that waited come into force where nothing is under way any more. */
  private adopt(): void {
    const strangers: GroupConfig[] = [];
    for (const { group: name, next } of this.state.groups.values()) {
      const before = this.groupConfig(name);
      if (next === null || before === null || !isAtRest(this.groupState(name))) continue;
      const clearing = clearFor(this.groupState(name), next, this.here(before));
      if (clearing !== null) {
        this.moved(clearing, name);
        continue;
      }
      this.state.config = withGroup(this.state.config, next);
      this.putGroup({ ...this.groupState(name), next: null });
      // A2: the guard learns what it may have to end before any of it begins.
      this.state.armed = [];
      this.move(name, (g, here) => adopted(g, before, here));
      if (identityMoved(before, next)) strangers.push(next);
    }
    if (strangers.length > 0) this.strip(strangers);
  }

  private settleGroup(name: GroupId): void {
    const config = this.groupConfig(name);
    if (config === null) return;
    const { state } = this;
    const here = this.here(config);
    const paths = (to: MemberId) => this.pathsTo(to);
    let g = this.groupState(name);
    g = this.moved(onTime(g, here), name);
    g = this.moved(askToHold(g, state.renewal.failingSince !== null, here, paths), name);
    g = this.moved(acquireWhenEntitled(g, state.vantage, here), name);
    g = this.moved(monitorsDue(g, config, this.now), name);
    if (g.sighting !== null) g = this.moved(sightingDue(g, here, observerOf(state, this.now), paths), name);
    g = this.moved(keepSpare(g, state.vantage, here, state.nextSpareAt), name);
    g = this.moved(watchData(g, state.mirrors), name);
    if (state.leaving !== null && g.holding.kind === 'active' && g.wantsRelease === null)
      this.putGroup({ ...g, wantsRelease: state.leaving });
  }

  private giveOwnBack(): void {
    const { own, actions } = giveOwnBack(this.state, this.now);
    if (actions.length === 0) return;
    this.state.own = own;
    this.actions.push(...actions);
  }

  private renew(): void {
    if (!this.state.started || this.state.role !== 'server') return;
    const { renewal, actions } = renewWhenDue(
      this.state.renewal,
      this.account(),
      paceOf(this.state),
      this.now,
      this.proofWanted(),
    );
    this.state.renewal = renewal;
    this.actions.push(...actions);
  }

  private account(): Account {
    const { waits, asks, mirrors, leaving, actsUnder, stripped } = this.state;
    return {
      reports: reportsOf(this.state),
      waits,
      asks,
      leaving: leaving !== null,
      actsUnder,
      clearing: !stripped,
      mirrors,
    };
  }

  private proofWanted(): boolean {
    return this.state.stripped && [...this.state.groups.values()].some((g) => waitsForProof(g, this.state));
  }

  private beats(): readonly AgentAction[] {
    const { state, now } = this;
    const beatMs = heartbeatMsOf(state.config);
    if (state.nextSpareAt <= now) state.nextSpareAt = now + spareEveryMs;
    if (!state.started || now < state.nextBeatAt) return [];
    // From the due time, not from now, so that delays do not add up; and never twice for one missed.
    state.nextBeatAt = Math.max(state.nextBeatAt + beatMs, now + beatMs / 2);
    return beatsAt(state, now);
  }

  private ping(): void {
    const { state, now } = this;
    if (!state.started || (state.nextPingAt !== null && now < state.nextPingAt)) return;
    const asked = pingSilentPaths(
      state.pings,
      state.vantage,
      state.members.values(),
      (m) => this.pathsTo(m),
      heartbeatMsOf(state.config),
      now,
    );
    state.pings = asked.pings;
    state.nextPingAt = asked.nextAt;
    this.actions.push(...asked.actions);
  }

  /** A2: a new deadline goes to the guard first, then to the kernel for every address that is here. */
  private arm(): readonly AgentAction[] {
    const { armed, actions } = arming(this.state, this.now);
    this.state.armed = armed;
    return actions;
  }

  private orderMirrors(): readonly AgentAction[] {
    if (!this.state.started || sameCast(this.before, this.state)) return [];
    const { orders, actions } = ordering(this.state, this.state.mirrorOrders);
    this.state.mirrorOrders = orders;
    return actions;
  }

  private maybeExit(): void {
    if (!mayExit(this.state)) return;
    this.state.exiting = true;
    this.actions.push({ kind: 'exit' });
  }

  private pathsTo(to: MemberId): readonly number[] {
    return pathsBetween(this.state, to);
  }

  private groupConfig(name: GroupId): GroupConfig | null {
    return this.state.config?.groups.get(name) ?? null;
  }

  private groupState(name: GroupId): GroupState {
    const { groups, epochs, ahead } = this.state;
    return groups.get(name) ?? newGroupState(name, epochs.get(name) ?? 0n, ahead.get(name));
  }

  private putGroup(g: GroupState): GroupState {
    if (this.state.groups.get(g.group) === g) return g;
    const kept = groupDraft(g);
    this.state.groups = new Map(this.state.groups).set(g.group, kept);
    return kept;
  }

  private move(name: GroupId, transition: (g: GroupState, here: Here) => Moved): void {
    const config = this.groupConfig(name);
    if (config !== null) this.moved(transition(this.groupState(name), this.here(config)), name);
  }

  private moved({ group, actions }: Moved, name: GroupId): GroupState {
    const kept = this.putGroup(group);
    if (actions.length === 0) return kept;
    this.actions.push(...actions);
    const note = actions.find((a) => a.kind === 'note');
    if (note !== undefined) this.reason = `${name}: ${note.reason}`;
    return kept;
  }

  private here(config: GroupConfig): Here {
    return {
      self: this.state.self,
      now: this.now,
      config,
      stripped: this.state.stripped,
      leaving: this.state.leaving !== null,
      fenceCommand: (server) => fenceCommandOf(this.state.config, config.name, server),
    };
  }
}
