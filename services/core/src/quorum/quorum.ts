/**
 * The loop of one quorum service. It commits renewals, keeps its view of the store and of who is heard, and, while it
 * leads, carries out what judge.ts decides.
 *
 *   U1  every change of a group is one transaction that compares the leader, the configuration, the maintenance, the
 *       group's record, and, where the owner was judged silent, the very renewal that was judged
 *   U2  one change per group under way at a time; after an unknown outcome the store is read at once. What is judged anew
 *       before that read compares the same revisions as the change whose outcome is not known, so at most one of them lands
 *   U3  who commanded a change is answered when it is on record, and not before: an operation that was accepted is there
 *   U4  deadlines wake the loop; nothing is polled but the store itself, as the truth behind the watch
 */

import { heartbeatMsOf } from '../pace.ts';
import type { GroupConfig } from '../config/types.ts';
import type { Draft } from '../draft.ts';
import { live } from '../keys.ts';
import type { BootMs, GroupId, MemberId, WallMs } from '../names.ts';
import type { EventRecord } from '../records.ts';
import type { Txn, TxnAnswer } from '../store.ts';
import { hear, heardHere, lastHeard } from '../vantage.ts';
import type { Case, Change, Judgement } from './case.ts';
import { carryOut } from './command.ts';
import { recorded, resultOf, type Asker } from './commanded.ts';
import { changeTxn, eventId, eventTxn } from './commit.ts';
import type { Decision } from './decision.ts';
import type { CommandResult, GroupCommand, QuorumAction, QuorumEvent, ReleaseCommand } from './events.ts';
import { inputsOf } from './inputs.ts';
import { judge } from './judge.ts';
import { beat, candidateAt, leaderPace, leads, letGo, takeLeadership } from './leadership.ts';
import { cameAbout, mayTry, overtaken } from './overtaken.ts';
import { lookAround, nobodyHeard } from './presence.ts';
import { dissolve, releaseRemoved } from './removed.ts';
import { batchEnded, enqueue, nextBatch, renewalDeadlineMs } from './renewing.ts';
import { decidesNothing, judgedAgainBy } from './routine.ts';
import { caseOf, quorumDraft, sceneOf, type Purpose, type QuorumState, type QuorumStep } from './state.ts';
import { absorb, absorbAll, type StoreView } from './view.ts';
import { decisionOf, kept, madeAgain, nothingWithheld } from './withheld.ts';

/** In heartbeats: the shorter the outage, the sooner it must be known what a watch did not tell. */
const readEveryBeats = 10;
const readEveryMsMin = 5_000;
const storeDeadlineMs = 1_500;

export function stepQuorum(state: QuorumState, event: QuorumEvent, now: BootMs, wall: WallMs): QuorumStep {
  const isRoutine = decidesNothing(state, event, now);
  const turn = new Turn(state, now, wall);
  turn.take(event);
  return isRoutine ? turn.rest() : turn.settle();
}

class Turn {
  private readonly state: Draft<QuorumState>;
  private readonly now: BootMs;
  private readonly wall: WallMs;
  private readonly actions: QuorumAction[] = [];
  private readonly viewBefore: StoreView;
  private reason: string | null = null;

  constructor(state: QuorumState, now: BootMs, wall: WallMs) {
    this.state = quorumDraft(state);
    this.now = now;
    this.wall = wall;
    this.viewBefore = state.view;
  }

  take(event: QuorumEvent): void {
    switch (event.kind) {
      case 'started':
      case 'wake':
        return;
      case 'heard': {
        this.state.vantage = hear(this.state.vantage, event.from, event.path, event.heartbeat, this.now);
        return;
      }
      case 'leaving':
        this.state.leaving = true;
        return;
      case 'relay':
        this.state.relayed = event.connected;
        return;
      case 'read':
        this.state.readingSince = null;
        if (event.answer.kind === 'unknown') return;
        this.absorbed(absorbAll(this.state.view, event.answer.revision, event.answer.rows, this.now));
        return;
      case 'changed':
        this.absorbed(absorb(this.state.view, event.revision, event.rows, this.now));
        return;
      case 'watch-lost':
        this.state.nextReadAt = this.now;
        return;
      case 'renew': {
        const { renewing, actions } = enqueue(this.state.renewing, event.request, this.now);
        this.state.renewing = renewing;
        this.actions.push(...actions);
        return;
      }
      case 'txn-ended':
        this.txnEnded(event.id, event.answer);
        return;
      case 'command':
        this.command(event);
        return;
    }
  }

  private absorbed(view: StoreView): void {
    if (view.config !== this.state.view.config) this.state.nextBeatAt = this.now; // L4 (leadership.ts)
    this.state.view = view;
    this.state.storeAnsweredAt = this.now;
  }

  private txnEnded(id: number, answer: TxnAnswer): void {
    const purpose = this.state.underway.get(id);
    if (purpose === undefined) return;
    const underway = new Map(this.state.underway);
    underway.delete(id);
    this.state.underway = underway;
    if (answer.kind === 'unknown')
      this.state.nextReadAt = this.now; // U2
    else this.absorbed(absorb(this.state.view, answer.revision, answer.rows, this.now));
    switch (purpose.kind) {
      case 'renewals': {
        const { renewing, actions } = batchEnded(this.state.renewing, answer);
        this.state.renewing = renewing;
        this.actions.push(...actions);
        return;
      }
      case 'lead':
        if (answer.kind === 'succeeded') this.note(null, 'leader', `${this.state.self} leads now`);
        return;
      case 'beat':
      case 'let-go':
        return;
      case 'change':
        if (purpose.asker !== null) this.answer(purpose.asker.id, recorded(purpose.asker.result, answer)); // U3
        this.changeEnded(purpose.group, purpose.change, answer);
        return;
      case 'would-have':
        if (answer.kind === 'compare-failed') this.state.nextReadAt = this.now;
        if (answer.kind !== 'succeeded') return;
        this.state.withheld = kept(this.state.withheld, purpose.group, purpose.decision);
        this.note(purpose.group, purpose.kind, purpose.reason);
        return;
    }
  }

  private changeEnded(group: GroupId, { what, record }: Change, answer: TxnAnswer): void {
    const { state, now } = this;
    if (answer.kind === 'succeeded') {
      state.overtaken = cameAbout(state.overtaken, group);
      this.note(group, what, record.reason);
    } else if (answer.kind === 'compare-failed') {
      state.overtaken = overtaken(state.overtaken, group, now, this.pace().heartbeatMs);
      state.nextReadAt = now;
    }
  }

  settle(): QuorumStep {
    this.read();
    this.lead();
    this.judgeAll();
    this.commitRenewals();
    if (pushWorthy(this.viewBefore, this.state.view)) this.actions.push({ kind: 'push' });
    const wakeAt = this.wakeAt();
    this.state.wakeAt = wakeAt;
    return { state: this.state, actions: this.actions, wakeAt, reason: this.reason };
  }

  /** Nothing was to be decided. */
  rest(): QuorumStep {
    this.commitRenewals();
    return { state: this.state, actions: this.actions, wakeAt: this.state.wakeAt, reason: null };
  }

  /** The watch is a hint; a read of everything live, on a period and after every doubt, is the truth. */
  private read(): void {
    const { readingSince, nextReadAt } = this.state;
    const busy = readingSince !== null && this.now < readingSince + 2 * storeDeadlineMs;
    if (busy || this.now < nextReadAt) return;
    this.state.readingSince = this.now;
    this.state.nextReadAt = this.now + this.readEveryMs();
    this.actions.push({ kind: 'read' });
  }

  private lead(): void {
    const { state, now } = this;
    if (state.leaving) {
      const txn = this.busyWith('let-go') ? null : letGo(state.view, state.self, state.incarnation);
      if (txn !== null) this.txn(txn, { kind: 'let-go', since: now });
      return;
    }
    if (state.storeAnsweredAt === null || this.busyWith('lead') || this.busyWith('beat')) return;
    const pace = this.pace();
    if (leads(state.view, state.self, state.incarnation)) {
      if (now < state.nextBeatAt || this.blind()) return; // L2 (leadership.ts)
      state.nextBeatAt = now + pace.beatMs;
      state.beats += 1;
      this.txn(beat(state.view, state.self, state.beats, now), { kind: 'beat', since: now }, pace.beatMs);
      return;
    }
    const from = this.candidateAt();
    if (from === null || now < from || now < state.nextBeatAt || this.blind()) return;
    state.nextBeatAt = now + pace.beatMs;
    this.txn(
      takeLeadership(state.view, state.self, state.incarnation, now),
      { kind: 'lead', since: now },
      pace.beatMs,
    );
  }

  /** L2 (leadership.ts): nobody at all was heard for a while, not even the agent on this host. */
  private blind(): boolean {
    const { vantage } = this.state;
    if (!this.state.relayed) return true;
    let latest = -Infinity;
    for (const member of vantage.ears.keys()) latest = Math.max(latest, heardHere(vantage, member) ?? latest);
    const beatMs = heartbeatMsOf(this.state.view.config?.value ?? null);
    return vantage.ears.size > 0 && this.now - latest >= 4 * beatMs;
  }

  private judgeAll(): void {
    const judgements = new Map<GroupId, Judgement>();
    const leading = this.leading() && !this.blind();
    const groups = leading ? this.state.view.config?.value.groups : undefined;
    this.lookAround(groups);
    for (const group of groups?.keys() ?? []) {
      const c = caseOf(this.state, group, this.now, this.wall);
      if (c === null) continue;
      const judged = judge(c);
      judgements.set(group, judged);
      if (judged.change !== null) this.put(c, judged.change);
      else if (judged.withheld !== undefined) this.tellWithheld(c, judged.reason, judged.withheld);
    }
    if (!this.leading()) this.state.withheld = nothingWithheld;
    if (leading) this.dissolve();
    this.state.judgements = judgements;
  }

  private lookAround(groups: ReadonlyMap<GroupId, GroupConfig> | undefined): void {
    const { presence: before } = this.state;
    const presence =
      groups === undefined
        ? nobodyHeard
        : lookAround(before, sceneOf(this.state, this.now), [...groups.values()]);
    this.state.presence = presence;
  }

  private dissolve(): void {
    const config = this.state.view.config?.value;
    if (config === undefined) return;
    const scene = sceneOf(this.state, this.now);
    for (const [group, held] of this.state.view.groups) {
      const change = config.groups.has(group) ? null : dissolve(scene, held.value, this.wall);
      if (change !== null) this.putRecord(group, held.modRevision, change);
    }
  }

  private put(
    c: Case,
    change: Change,
    commanded: Decision['commanded'] = null,
    asker: Asker | null = null,
  ): void {
    this.putRecord(c.config.name, c.recordRevision, change, { made: c, commanded }, asker);
  }

  /** U1. `decision`: null where nothing had to be judged. */
  private putRecord(
    group: GroupId,
    revision: bigint,
    change: Change,
    decision: Decision | null = null,
    asker: Asker | null = null,
  ): void {
    if (this.changing(group) || (asker === null && !mayTry(this.state.overtaken, group, this.now))) return;
    const { view } = this.state;
    const txn = changeTxn(view, revision, change, this.eventOf(group, change), decision);
    this.txn(txn, { kind: 'change', group, change, asker, since: this.now });
  }

  /** Once for each decision (withheld.ts). */
  private tellWithheld(c: Case, reason: string, change: Change): void {
    const group = c.config.name;
    const decision = decisionOf(change);
    const event = () => ({ ...this.eventOf(group, change), kind: 'would-have', reason, epoch: null });
    const { withheld, told } = madeAgain(this.state.withheld, c, decision, event);
    this.state.withheld = withheld;
    if (told.isKept || this.underwayFor(group, 'would-have')) return;
    const txn = eventTxn(this.state.view, c.recordRevision, change, told.puts);
    const purpose = {
      kind: 'would-have',
      group,
      decision,
      reason: told.event.reason,
      since: this.now,
    } as const;
    this.txn(txn, purpose);
  }

  private eventOf(group: GroupId, change: Change): EventRecord {
    const own = change.record.ownership;
    return {
      id: eventId(this.wall, group, this.state.view.revision),
      time: this.wall,
      group,
      server: own.kind === 'unowned' ? own.lastOwner : own.owner,
      kind: change.what,
      reason: change.record.reason,
      epoch: own.epoch,
      inputs: inputsOf(this.state, group, this.now),
    };
  }

  private command(event: Extract<QuorumEvent, { kind: 'command' }>): void {
    const result = this.commanded(event);
    if (result !== null) this.answer(event.id, result);
  }

  /** Null: it is answered when it is on record (U3). */
  private commanded(event: Extract<QuorumEvent, { kind: 'command' }>): CommandResult | null {
    const { command, by, dryRun } = event;
    if (!this.leading()) return { kind: 'not-leader', leader: this.state.view.leader?.value.member ?? null };
    if (command.kind === 'release') return this.release(event, command);
    const group = this.groupOf(command);
    const c = group === null ? null : caseOf(this.state, group, this.now, this.wall);
    if (c === null) return { kind: 'invalid', says: unknownTarget(this.state, command) };
    if (this.changing(c.config.name)) return this.busy(c.config.name);
    const commanded = carryOut(c, command, by);
    const result = resultOf(commanded);
    const change = commanded.kind === 'do' ? commanded.judgement.change : null;
    if (dryRun || change === null) return result;
    this.put(c, change, { command, by }, { id: event.id, result });
    return null;
  }

  private release(
    { id, by, dryRun }: Extract<QuorumEvent, { kind: 'command' }>,
    wanted: ReleaseCommand,
  ): CommandResult | null {
    const held = this.state.view.groups.get(wanted.group) ?? null;
    if (this.changing(wanted.group)) return this.busy(wanted.group);
    const commanded = releaseRemoved(sceneOf(this.state, this.now), held, wanted, by, this.wall);
    const result = resultOf(commanded);
    const change = commanded.kind === 'do' ? commanded.judgement.change : null;
    if (dryRun || change === null || held === null) return result;
    this.putRecord(wanted.group, held.modRevision, change, null, { id, result });
    return null;
  }

  private answer(id: number, result: CommandResult): void {
    this.actions.push({ kind: 'answer-command', id, result });
  }

  private groupOf(wanted: GroupCommand): GroupId | null {
    if ('group' in wanted) return wanted.group;
    for (const [group, held] of this.state.view.groups) {
      if (held.value.operation?.id === wanted.operation) return group;
    }
    return null;
  }

  private commitRenewals(): void {
    const next = nextBatch(this.state.renewing, this.state.nextTxn);
    if (next === null) return;
    this.state.renewing = next.renewing;
    this.txn(next.txn, { kind: 'renewals' }, renewalDeadlineMs(this.state.view.config?.value ?? null));
  }

  private txn(txn: Txn, purpose: Purpose, deadlineMs = storeDeadlineMs): void {
    const id = this.state.nextTxn;
    this.state.nextTxn += 1;
    this.state.underway = new Map(this.state.underway).set(id, purpose);
    this.actions.push({ kind: 'txn', id, txn, deadlineMs });
  }

  private leading(): boolean {
    const { view, self, incarnation, leaving } = this.state;
    return !leaving && leads(view, self, incarnation);
  }

  private changing(group: GroupId): boolean {
    return this.underwayFor(group, 'change');
  }

  /** A change that waits for a store that is silent is none to wait for: nothing can be decided. */
  private busy(group: GroupId): CommandResult {
    const silentMs = this.now - (this.state.storeAnsweredAt ?? -Infinity);
    if (silentMs >= 2 * storeDeadlineMs) return { kind: 'not-leader', leader: null };
    return { kind: 'refused', says: `another change of ${group} is under way; try again` };
  }

  private underwayFor(group: GroupId, kind: 'change' | 'would-have'): boolean {
    for (const p of this.state.underway.values()) if (p.kind === kind && p.group === group) return true;
    return false;
  }

  private busyWith(kind: Purpose['kind']): boolean {
    for (const purpose of this.state.underway.values()) if (purpose.kind === kind) return true;
    return false;
  }

  private readEveryMs(): number {
    return Math.max(readEveryMsMin, readEveryBeats * heartbeatMsOf(this.state.view.config?.value ?? null));
  }

  private pace() {
    return leaderPace(heartbeatMsOf(this.state.view.config?.value ?? null));
  }

  private candidateAt(): BootMs | null {
    const { view, vantage } = this.state;
    const pace = this.pace();
    const heardAt = (member: MemberId) => lastHeard(vantage, member, pace.heartbeatMs, this.now);
    return candidateAt(view, this.state, pace, heardAt);
  }

  private note(group: GroupId | null, what: string, reason: string): void {
    this.actions.push({ kind: 'note', group, what, reason });
    this.reason = reason;
  }

  private wakeAt(): BootMs {
    const { state } = this;
    let next = Infinity;
    const at = (time: BootMs) => {
      if (time > this.now && time < next) next = time;
    };
    at(state.nextReadAt);
    if (state.readingSince !== null) at(state.readingSince + 2 * storeDeadlineMs);
    const from = this.candidateAt();
    at(from === null ? state.nextBeatAt : Math.max(from, state.nextBeatAt));
    const heartbeatMs = heartbeatMsOf(state.view.config?.value ?? null);
    for (const j of state.judgements.values()) at(judgedAgainBy(j, this.now, heartbeatMs)); // O3 (routine.ts)
    for (const { until } of state.overtaken.values()) at(until);
    return next === Infinity ? this.now + this.readEveryMs() : next;
  }
}

function pushWorthy(a: StoreView, b: StoreView): boolean {
  return (
    a.groups !== b.groups ||
    a.config !== b.config ||
    a.members !== b.members ||
    a.maintenance !== b.maintenance ||
    a.pauses !== b.pauses
  );
}

function unknownTarget(state: QuorumState, wanted: GroupCommand): string {
  if ('operation' in wanted) return `no operation ${wanted.operation} is under way`;
  const names = [...(state.view.config?.value.groups.keys() ?? [])];
  return `there is no group ${wanted.group}; groups: ${names.length === 0 ? 'none' : names.join(', ')}`;
}

/** Prefix that the shell reads and watches. */
export const watchedPrefix = live;
