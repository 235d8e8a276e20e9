/** Carries out a renewal: records as text to a quorum service, its answer back as an event, notes along with it. */

import { setImmediate as nextTurn } from 'node:timers/promises';
import {
  encode,
  parseGroup,
  parseRenewal,
  type AgentAction,
  type GroupRecord,
  type RenewAnswer,
} from '@holdfast/core';
import type { agents } from '@holdfast/proto';
import { isDefinite } from '@holdfast/wire/rpc';
import type { Host } from './host.ts';
import type { PendingNotes } from './pending-notes.ts';
import type { QuorumServices } from './quorum-services.ts';
import type { Tallies } from './tallies.ts';

type Renew = Extract<AgentAction, { kind: 'renew' }>;

export class Renewing {
  readonly #host: Host;
  readonly #services: QuorumServices;
  readonly #notes: PendingNotes;
  readonly #tallies: Tallies;
  /** The last trouble that was told: the same one again is no news. */
  #told = '';
  /** When the last renewal that was committed was sent. */
  #provenAt: number | null = null;

  constructor(host: Host, services: QuorumServices, notes: PendingNotes, tallies: Tallies) {
    this.#host = host;
    this.#services = services;
    this.#notes = notes;
    this.#tallies = tallies;
  }

  async renew(action: Renew): Promise<void> {
    const began = this.#host.bootMs();
    // A step that was ordered together with it, and that clients wait for, goes first. `s` was counted before.
    await nextTurn();
    const notes = this.#notes.next();
    this.#services.locate(this.#host.state());
    const answer = await this.#services.renew(
      {
        server: this.#host.self,
        previous: action.previous === null ? '' : encode(action.previous),
        next: encode(action.next),
        notes,
      },
      action.deadlineMs,
    );
    this.#tallies.lastRenewalMs = this.#host.bootMs() - began;
    if (answer.kind === 'error') {
      this.#tallies.renewalsFailed += 1;
      const { message } = answer.error;
      this.#tell(isDefinite(answer) ? `a renewal was refused: ${message}` : message);
      this.#answered(action, { kind: 'no-answer', says: message });
      return;
    }
    const reply = answer.value;
    if (reply.committed) {
      this.#notes.committed(notes);
      this.#tallies.renewalsCommitted += 1;
      this.#wellAgain(began);
    }
    this.#answered(action, this.#read(reply));
  }

  #answered(action: Renew, answer: RenewAnswer): void {
    this.#host.dispatch({ kind: 'renewed', attempt: action.attempt, answer });
  }

  #read(reply: agents.RenewReply): RenewAnswer {
    const { revision } = reply;
    const groups = readGroups(reply.groups, (says) => this.#tell(says));
    if (reply.committed) return { kind: 'committed', revision, groups };
    if (reply.current === '') return { kind: 'conflict', current: null, revision, groups };
    const current = parseRenewal(reply.current);
    if (current.kind === 'ok') return { kind: 'conflict', current: current.value, revision, groups };
    return { kind: 'no-answer', says: `the renewal in the store can't be read: ${current.says}` };
  }

  #tell(says: string): void {
    if (says === this.#told) return;
    this.#told = says;
    this.#host.log.warn('renewal', says);
    this.#host.journal.write('renewal', { says });
  }

  /** After trouble, with how long the owner lived on older proof or on promises. */
  #wellAgain(sentAt: number): void {
    const gapMs = this.#provenAt === null ? null : Math.round(sentAt - this.#provenAt);
    this.#provenAt = sentAt;
    if (this.#told === '') return;
    this.#told = '';
    const after = gapMs === null ? '' : ` again, ${gapMs} ms after the last one`;
    this.#host.log.info('renewal', `renewals are committed${after}`);
    this.#host.journal.write('renewal', { says: '', gapMs });
  }
}

/** The records that can be read; the others are left out and said. */
export function readGroups(
  texts: readonly string[],
  garbage: (says: string) => void,
): readonly GroupRecord[] {
  return texts.flatMap((text) => {
    const parsed = parseGroup(text);
    if (parsed.kind === 'ok') return [parsed.value];
    garbage(parsed.says);
    return [];
  });
}
