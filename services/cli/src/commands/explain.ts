/** `holdfast explain GROUP`: why it is where it is, as a colleague would tell it. */
import { ask, withCluster } from '../ask.ts';
import type { Context } from '../context.ts';
import { exitStatus } from '../exit-status.ts';
import { show } from '../show.ts';
import { suggestGroup } from '../suggest.ts';
import type { Paint } from '../text/paint.ts';
import { ok, sentence, type Ended } from '../trouble.ts';

interface Explanation {
  readonly group: string;
  readonly now: string;
  readonly prospects: readonly { readonly server: string; readonly says: string }[];
  readonly blockers: readonly string[];
  readonly rules: string;
}

export function explain(context: Context, group: string): Promise<Ended> {
  return withCluster(context, async (client) => {
    const reply = await ask(client.explain({ group }), `explain ${group}`);
    if (reply.kind === 'error') return suggestGroup(client, group, reply.error);
    const { now, prospects, blockers, rules } = reply.value;
    const value: Explanation = {
      group,
      now,
      prospects: prospects.map(({ server, says }) => ({ server, says })),
      blockers,
      rules,
    };
    await show(context, { value, lines: (paint) => prose(value, paint) });
    return ok(exitStatus.done);
  });
}

function prose({ group, now, prospects, blockers, rules }: Explanation, paint: Paint): string[] {
  const ahead = prospects.map(
    ({ server, says }) => `  If ${paint('bold', server)} died now: ${sentence(says)}`,
  );
  const inTheWay =
    blockers.length === 0
      ? ['Nothing stands in the way of a takeover.']
      : [
          'In the way of a takeover:',
          ...blockers.map((blocker) => `  ${paint('yellow', sentence(blocker))}`),
        ];
  return [
    `${paint('bold', group)}: ${sentence(now)}`,
    ...(ahead.length === 0 ? [] : ['', ...ahead]),
    '',
    ...inTheWay,
    ...(rules === '' ? [] : ['', sentence(rules)]),
  ];
}
