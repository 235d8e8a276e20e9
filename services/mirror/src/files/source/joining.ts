/**
 * How a source goes on with a target after both said hello: from the last position that both held, with the rest of a first
 * copy, or by comparing everything. Pure.
 *
 * J1. Common is what both histories say (core/mirror/position.ts), as far as this catalog can still tell what changed since.
 * J2. A copy that broke goes on only with the names that it began with (plan-copy.ts, K1); the source notes their moment.
 * J3. A target of a higher epoch is never sent anything.
 * J4. At the same position of the same epoch both have the same sum over all entries, where both can tell one: otherwise one
 *     of the two numbers means something else, as after a catalog that was restored from a backup.
 */

import { lastCommon, unknownChecksum, type Epoch, type History } from '@holdfast/core';
import type { Catalog } from '../../catalog/types.ts';
import { differsSays } from '../target/agreement.ts';
import { protocolVersion, type Hello, type RefusalCode } from '../../transport/types.ts';

export interface JoiningFacts {
  readonly cluster: string;
  readonly mirror: string;
  readonly member: string;
  readonly epoch: Epoch;
  readonly history: History;
  readonly selection: Uint8Array;
  readonly lastSequence: number;
  /** At `lastSequence`. */
  readonly checksum: string;
  readonly horizon: number;
  /** J2: the moment of the names of a copy that this target did not get to its end; null: there is none. */
  readonly copyEnd: number | null;
  /** A person wants everything to be compared. */
  readonly compare: boolean;
}

export type Joined =
  | { readonly kind: 'refused'; readonly code: RefusalCode; readonly says: string }
  /** What is above `from` is sent. */
  | { readonly kind: 'continue'; readonly from: number }
  /** A first copy: what is above `from`, with the names at `end`; null: those of now. */
  | { readonly kind: 'copy'; readonly from: number; readonly end: number | null }
  /** `says`: why, where a person should know; null: what was said before counts. */
  | { readonly kind: 'compare'; readonly says: string | null };

const compare = { kind: 'compare', says: null } as const;

export function join(facts: JoiningFacts, hello: Hello): Joined {
  const refused = refusal(facts, hello);
  if (refused !== null) return refused;
  if (facts.compare) return compare;
  if (hello.position === null) return hello.foreign ? compare : { kind: 'copy', from: 0, end: null };
  const common = lastCommon(facts.history, hello.history);
  if (common === null || common > facts.lastSequence) return compare;
  if (hello.consistent) {
    if (isContradicted(facts, hello)) return { kind: 'compare', says: differsSays };
    return common < facts.horizon ? compare : { kind: 'continue', from: common };
  }
  const { copyEnd } = facts;
  if (copyEnd === null || copyEnd < facts.horizon || common > copyEnd) return compare;
  return { kind: 'copy', from: common, end: copyEnd };
}

/** J4. */
function isContradicted(facts: JoiningFacts, { position }: Hello): boolean {
  if (position === null || position.epoch !== facts.epoch || position.sequence !== facts.lastSequence)
    return false;
  const sums = [position.checksum, facts.checksum];
  return !sums.includes(unknownChecksum) && position.checksum !== facts.checksum;
}

function refusal(facts: JoiningFacts, hello: Hello): Joined | null {
  const no = (code: RefusalCode, says: string): Joined => ({ kind: 'refused', code, says });
  if (hello.protocol !== protocolVersion) {
    return no(
      'protocol',
      `${hello.member} speaks version ${String(hello.protocol)} of the protocol, not ${String(protocolVersion)}`,
    );
  }
  if (hello.role !== 'target') return no('role', `${hello.member} is no target, but a ${hello.role}`);
  if (hello.cluster !== facts.cluster)
    return no('cluster', `${hello.member} belongs to the cluster ${hello.cluster}`);
  if (hello.mirror !== facts.mirror)
    return no('mirror', `${hello.member} answered for the mirror ${hello.mirror}`);
  if (hello.member !== facts.member)
    return no('role', `${facts.member} was called, and ${hello.member} answered`);
  // J3.
  if (hello.epoch > facts.epoch) {
    return no(
      'epoch',
      `${hello.member} has seen epoch ${hello.epoch.toString()}, and this source has ${facts.epoch.toString()}`,
    );
  }
  if (!hello.selection.equals(facts.selection))
    return no('selection', `${hello.member} mirrors another selection of files`);
  return null;
}

/** Of a catalog as it is now: what is gone and not final yet leaves the sum later, and without a number. */
export function checksumOf({ detached, checksum }: Pick<Catalog, 'detached' | 'checksum'>): string {
  return detached === 0 ? checksum : unknownChecksum;
}

/** What a target that holds everything up to a number holds of each epoch. */
export function historyUpTo(history: History, sequence: number): History {
  const rows: { epoch: Epoch; sequence: number }[] = [];
  for (const row of history) {
    rows.push({ epoch: row.epoch, sequence: Math.min(row.sequence, sequence) });
    if (row.sequence > sequence) return rows;
  }
  const last = rows.at(-1);
  if (last !== undefined) last.sequence = sequence;
  return rows;
}
