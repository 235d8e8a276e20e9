/**
 * How a member that joined gets its vote: it asks the voters in turn, and does what they answer.
 *
 *   E1  whatever goes wrong meanwhile may pass: it is told once, and tried again, and nothing else ends because of it
 */

import { setTimeout as sleep } from 'node:timers/promises';
import { members } from '@holdfast/proto';
import type { KnownMember, MemberDirectory } from '@holdfast/wire/directory';
import type { Log } from '@holdfast/wire/log';
import { RpcPool } from '@holdfast/wire/rpc';
import { parseFirstStart, type FirstStart } from './voting.ts';

export interface Enrolling {
  readonly self: string;
  readonly credentials: MemberDirectory['credentials'];
  readonly log: Log;
  known(): readonly KnownMember[];
  isOver(): boolean;
  /** Starts this member's etcd, unless it runs already. */
  start(first: FirstStart): Promise<void>;
  becomeVoter(): Promise<void>;
}

const everyMs = 500;
const callMs = 6_000;
const againMs = 5_000;

/** Resolves when this member votes. */
export async function enrolUntilVoter(one: Enrolling, afterFailureMs = againMs): Promise<void> {
  let told = '';
  while (!one.isOver()) {
    try {
      const says = await step(one);
      if (says === null) return;
      if (says !== told) one.log.info('enrol', says);
      told = says;
      await sleep(everyMs);
    } catch (error) {
      // E1
      const says = error instanceof Error ? error.message : String(error);
      if (says !== told) one.log.error('enrol', `this member can't vote: ${says}; it is tried again`);
      told = says;
      await sleep(afterFailureMs);
    }
  }
}

/** What this member waits for; null: it votes. */
async function step(one: Enrolling): Promise<string | null> {
  const others = one.known().filter((m) => m.id !== one.self);
  const voters = others.filter((m) => m.voter);
  const pool = new RpcPool(
    { kind: 'member', credentials: one.credentials },
    (voters.length > 0 ? voters : others).map((m) => ({
      id: m.id,
      addresses: m.addresses,
      port: m.ports.grpc,
    })),
  );
  const answer = await pool.call(
    members.MembersService.enrol,
    { member: one.self },
    { deadlineMs: callMs, hedgeMs: callMs },
  );
  pool.update([]);
  if (answer.kind === 'error') return answer.error.message;
  switch (answer.value.answer?.$case) {
    case 'voter':
      await one.becomeVoter();
      return null;
    case 'start':
      await one.start(parseFirstStart(answer.value.answer.value));
      return 'etcd runs here; its vote is awaited';
    case 'wait':
      return answer.value.answer.value;
    case undefined:
      return 'another member gave no answer that this version knows';
  }
}
