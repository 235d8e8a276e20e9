/** What becomes of what somebody commanded. */

import type { TxnAnswer } from '../store.ts';
import type { Judgement } from './case.ts';
import type { CommandResult } from './events.ts';

export type Commanded =
  | { readonly kind: 'do'; readonly judgement: Judgement; readonly steps: readonly string[] }
  | { readonly kind: 'no'; readonly result: CommandResult };

/** Who waits to be told, and what, once it is on record. */
export interface Asker {
  readonly id: number;
  readonly result: CommandResult;
}

/** What the one who commanded it is told when the change that it needed has ended so. */
export function recorded(result: CommandResult, answer: TxnAnswer): CommandResult {
  switch (answer.kind) {
    case 'succeeded':
      return result;
    case 'compare-failed':
      return {
        kind: 'refused',
        says: 'something else changed at the same moment, nothing was begun; ask again',
      };
    case 'unknown':
      return { kind: 'unknown', says: answer.says };
  }
}

/** What the one who commanded it is told, if nothing has to be recorded or that is done. */
export function resultOf(commanded: Commanded): CommandResult {
  if (commanded.kind === 'no') return commanded.result;
  const { judgement, steps } = commanded;
  const id = judgement.change?.record.operation?.id ?? judgement.change?.ended?.id ?? '';
  return { kind: 'accepted', operation: id, reason: judgement.reason, steps };
}
