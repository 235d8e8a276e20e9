/**
 * What each server is really entitled to, counted a second time and apart from core: from what was sent, what was
 * committed, and what was promised. The audit judges every act by this ledger, never by what core believes.
 */

import type {
  BootMs,
  ClusterConfig,
  Epoch,
  GroupConfig,
  GroupId,
  GroupRecord,
  MemberId,
  RenewAnswer,
  TimeRules,
} from '@holdfast/core';

export interface Proof {
  readonly epoch: Epoch;
  /** `s`, on the host's boot clock. */
  readonly at: BootMs;
  /** Those that were told with the proof. */
  readonly rules: TimeRules;
}

interface Sent {
  readonly at: BootMs;
  readonly deadlineMs: number;
  readonly config: ClusterConfig | null;
}

interface Round {
  readonly epoch: Epoch;
  readonly round: number;
  readonly at: BootMs;
  readonly promised: Set<MemberId>;
}

/** One boot of one host. */
export class Ledger {
  private readonly proofs = new Map<GroupId, Proof>();
  private readonly rounds = new Map<GroupId, Round[]>();
  private readonly sent = new Map<number, Sent>();
  /** The last renewal that was confirmed in time, whatever it was confirmed for. */
  private last: Sent | null = null;
  readonly highest = new Map<GroupId, Epoch>();
  /** The epoch whose end a successor waits for. */
  readonly awaited = new Map<GroupId, Epoch>();

  proofOf(group: GroupId, epoch: Epoch): Proof | null {
    const proof = this.proofs.get(group);
    return proof?.epoch === epoch ? proof : null;
  }

  renewalSent(attempt: number, sent: Sent): void {
    this.sent.set(attempt, sent);
    for (const old of this.sent.keys()) if (old < attempt - 8) this.sent.delete(old);
  }

  renewed(self: MemberId, incarnation: number, attempt: number, answer: RenewAnswer, now: BootMs): void {
    if (answer.kind === 'no-answer') return;
    this.sawAll(self, answer.groups);
    const sent = this.sent.get(attempt);
    if (sent === undefined || now > sent.at + sent.deadlineMs) return;
    const confirmed =
      answer.kind === 'committed' ||
      (answer.current?.incarnation === incarnation && answer.current.counter === attempt);
    if (!confirmed) return;
    if (this.last === null || this.last.at < sent.at) this.last = sent;
    this.proveAll(self, answer.groups, sent);
  }

  /** News of the store: the last renewal entitles to what it gives, from when that renewal was sent. */
  hinted(self: MemberId, groups: readonly GroupRecord[]): void {
    this.sawAll(self, groups);
    if (this.last !== null) this.proveAll(self, groups, this.last);
  }

  private proveAll(self: MemberId, groups: readonly GroupRecord[], sent: Sent): void {
    for (const { group, ownership } of groups) {
      const rules = sent.config?.groups.get(group)?.rules;
      if (rules !== undefined && ownership.kind !== 'unowned' && ownership.owner === self)
        this.prove(group, { epoch: ownership.epoch, at: sent.at, rules });
    }
  }

  private sawAll(self: MemberId, groups: readonly GroupRecord[]): void {
    for (const { group, ownership } of groups) {
      this.saw(group, ownership.epoch);
      const after = ownership.kind === 'owned' ? ownership.after : undefined;
      if (after?.server === self) this.awaited.set(group, after.epoch);
    }
  }

  saw(group: GroupId, epoch: Epoch): void {
    if (epoch > (this.highest.get(group) ?? -1n)) this.highest.set(group, epoch);
  }

  private prove(group: GroupId, proof: Proof): void {
    const before = this.proofs.get(group);
    const { epoch, at } = proof;
    if (before !== undefined && (before.epoch > epoch || (before.epoch === epoch && before.at >= at))) return;
    this.proofs.set(group, proof);
  }

  asked(group: GroupId, epoch: Epoch, round: number, at: BootMs): void {
    const rounds = (this.rounds.get(group) ?? []).slice(-7);
    if (rounds.some((r) => r.round === round)) return;
    this.rounds.set(group, [...rounds, { epoch, round, at, promised: new Set() }]);
  }

  promised(config: GroupConfig, self: MemberId, epoch: Epoch, round: number, by: MemberId): void {
    const found = this.rounds.get(config.name)?.find((r) => r.round === round && r.epoch === epoch);
    if (found === undefined) return;
    found.promised.add(by);
    const full = config.servers.every((s) => s === self || found.promised.has(s));
    const rules = this.proofOf(config.name, epoch)?.rules ?? config.rules;
    if (full) this.prove(config.name, { epoch, at: found.at, rules });
  }
}
