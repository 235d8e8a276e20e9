/** What becomes of what somebody commanded. */

import type { Judgement } from './case.ts';
import type { CommandResult } from './events.ts';

export type Commanded =
  | { readonly kind: 'do'; readonly judgement: Judgement; readonly steps: readonly string[] }
  | { readonly kind: 'no'; readonly result: CommandResult };

/** What the one who commanded it is told. */
export function resultOf(commanded: Commanded): CommandResult {
  if (commanded.kind === 'no') return commanded.result;
  const { judgement, steps } = commanded;
  const id = judgement.change?.record.operation?.id ?? judgement.change?.ended?.id ?? '';
  return { kind: 'accepted', operation: id, reason: judgement.reason, steps };
}
