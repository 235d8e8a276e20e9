/**
 * Where etcd's leader belongs: with a witness (docs/adr/0022). The death of etcd's leader costs an election, 1 to 2 s
 * without a commit, and after a short outage's F an owner without commits and promises fences. A witness owns nothing:
 * while it leads, the death of a server costs no election, and when it dies itself both servers are there to promise.
 *
 *   D1  only a leader hands over, only from a server to a witness that votes, is heard on every path, and is near
 *   D2  it was heard at several looks in a row: a witness that comes and goes is not given anything. Near is whose shortest
 *       round trip of these is: the longer ones are those of a busy host, not of the line
 *   D3  what is in the way is told once, and again when it is something else
 */

import { heardOnPath, type MemberId, type QuorumState } from '@holdfast/core';
import { moveLeader, statusOf, type StatusAnswer } from './etcd/members.ts';
import type { EtcdTls } from './etcd/endpoints.ts';

/** Beats that may be missed. */
const beatsMissed = 2.5;
/** A commit waits for its leader twice: one that is far away would slow everything down. */
const nearMs = 20;
const looksMin = 3;
const statusMs = 500;
const moveMs = 2_000;

export interface EtcdSeats {
  readonly self: MemberId;
  readonly tls: EtcdTls | null;
  /** Of the etcd beside us, over a connection that stays: it is asked again and again. */
  readonly ownStatus: (deadlineMs: number) => Promise<StatusAnswer>;
  /** `host:port` of a member's etcd; null when the member is not known. */
  readonly endpointOf: (member: MemberId) => string | null;
}

/** A witness that is heard, and how far away it seems now. */
export interface HeardWitness {
  readonly member: MemberId;
  /** Null: not known yet. */
  readonly rttMs: number | null;
}

/** The first witness that is heard as D1 wants it; null: there is none, or this member is a witness itself. */
export function heardWitness(state: QuorumState, heartbeatMs: number, now: number): HeardWitness | null {
  if (state.witness) return null;
  for (const { value: member } of state.view.members.values()) {
    if (member.role !== 'witness' || !member.voter || member.id === state.self) continue;
    const heard = [...member.addresses.keys()].map((path) => heardOnPath(state.vantage, member.id, path));
    if (heard.some((at) => at === null || now - at >= beatsMissed * heartbeatMs)) continue;
    const paths = [...(state.vantage.ears.get(member.id)?.paths.values() ?? [])];
    const rtts = paths.flatMap(({ rttMs }) => rttMs ?? []);
    return { member: member.id, rttMs: rtts.length === 0 ? null : Math.min(...rtts) };
  }
  return null;
}

/** D2. */
export class SteadyWitness {
  #member: MemberId | null = null;
  /** Of its latest looks. */
  #rtts: readonly number[] = [];

  /** Who may lead by this look and those before it; null: nobody yet. */
  look(heard: HeardWitness | null): MemberId | null {
    if (heard?.member !== this.#member) this.#rtts = [];
    this.#member = heard?.member ?? null;
    if (heard === null) return null;
    this.#rtts = [...this.#rtts, heard.rttMs ?? Infinity].slice(-looksMin);
    return this.#rtts.length === looksMin && Math.min(...this.#rtts) < nearMs ? heard.member : null;
  }

  /** It was asked: it is looked at anew. */
  forget(): void {
    this.#rtts = [];
  }
}

export class EtcdLeader {
  readonly #seats: EtcdSeats;
  readonly #steady = new SteadyWitness();
  #told = '';

  constructor(seats: EtcdSeats) {
    this.#seats = seats;
  }

  /** To be called on a period. Resolves to a sentence when the leader was handed over, or could not be. */
  async look(heard: HeardWitness | null): Promise<string | null> {
    const witness = this.#steady.look(heard);
    if (witness === null) return null;
    this.#steady.forget();
    const hindrance = await this.#handOver(witness);
    if (hindrance === null) {
      this.#told = '';
      return `etcd is led by ${witness} now, a witness, so that no server's death costs an election`;
    }
    if (hindrance === this.#told) return null; // D3
    this.#told = hindrance;
    return hindrance === '' ? null : `etcd could not be handed over to ${witness}: ${hindrance}`;
  }

  /** Null: done. Else what is in the way; empty: it is not ours to hand over. */
  async #handOver(witness: MemberId): Promise<string | null> {
    const { self, tls, ownStatus, endpointOf } = this.#seats;
    const [own, its] = [endpointOf(self), endpointOf(witness)];
    if (own === null || its === null) return '';
    const mine = await ownStatus(statusMs);
    if (mine.kind !== 'ok') return `our own: ${mine.says}`;
    if (mine.status.leader !== mine.status.member) return '';
    const theirs = await statusOf(its, tls, statusMs);
    if (theirs.kind !== 'ok') return theirs.says;
    if (theirs.status.leader !== mine.status.member) return 'it does not follow';
    const moved = await moveLeader(own, tls, theirs.status.member, moveMs);
    return moved.kind === 'ok' ? null : moved.says;
  }
}
