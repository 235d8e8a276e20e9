/**
 * Where etcd's leader belongs: with a witness (docs/adr/0022). The death of etcd's leader costs an election, 1 to 2 s
 * without a commit, and after a short outage's F an owner without commits and promises fences. A witness owns nothing:
 * while it leads, the death of a server costs no election, and when it dies itself both servers are there to promise.
 *
 *   D1  only a leader hands over, only from a server to a witness that votes, is heard on every path, and is near
 *   D2  it was so at several looks in a row: a witness that comes and goes is not given anything
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

/** The first witness that could lead (D1); null: there is none, or this member is a witness itself. */
export function worthyWitness(state: QuorumState, heartbeatMs: number, now: number): MemberId | null {
  if (state.witness) return null;
  for (const { value: member } of state.view.members.values()) {
    if (member.role !== 'witness' || !member.voter || member.id === state.self) continue;
    const heard = [...member.addresses.keys()].map((path) => heardOnPath(state.vantage, member.id, path));
    const silent = heard.some((at) => at === null || now - at >= beatsMissed * heartbeatMs);
    const paths = [...(state.vantage.ears.get(member.id)?.paths.values() ?? [])];
    if (!silent && paths.some(({ rttMs }) => rttMs !== null && rttMs < nearMs)) return member.id;
  }
  return null;
}

export class EtcdLeader {
  readonly #seats: EtcdSeats;
  #seen: { readonly witness: MemberId | null; readonly looks: number } = { witness: null, looks: 0 };

  constructor(seats: EtcdSeats) {
    this.#seats = seats;
  }

  /** To be called on a period. Resolves to a sentence when the leader was handed over, or could not be. */
  async look(witness: MemberId | null): Promise<string | null> {
    const looks = witness !== null && witness === this.#seen.witness ? this.#seen.looks + 1 : 1;
    this.#seen = { witness, looks };
    if (witness === null || looks < looksMin) return null; // D2
    this.#seen = { witness, looks: 0 };
    const { self, tls, ownStatus, endpointOf } = this.#seats;
    const [own, its] = [endpointOf(self), endpointOf(witness)];
    if (own === null || its === null) return null;
    const mine = await ownStatus(statusMs);
    if (mine.kind !== 'ok' || mine.status.leader !== mine.status.member) return null;
    const theirs = await statusOf(its, tls, statusMs);
    if (theirs.kind !== 'ok' || theirs.status.leader !== mine.status.member) return null;
    const moved = await moveLeader(own, tls, theirs.status.member, moveMs);
    return moved.kind === 'ok'
      ? `etcd is led by ${witness} now, a witness, so that no server's death costs an election`
      : `etcd could not be handed over to ${witness}: ${moved.says}`;
  }
}
