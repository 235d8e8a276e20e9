/** `holdfast check [GROUP]`: everything that would make a takeover fail tonight. */
import { ask, withCluster } from '../ask.ts';
import type { Context } from '../context.ts';
import { exitStatus } from '../exit-status.ts';
import { show } from '../show.ts';
import { suggestGroup } from '../suggest.ts';
import { count } from '../text/amounts.ts';
import type { Paint } from '../text/paint.ts';
import { ok, sentence, type Ended } from '../trouble.ts';

interface ProblemView {
  readonly name: string;
  readonly server: string;
  readonly says: string;
  readonly fix: string;
}

export function check(context: Context, group: string | undefined): Promise<Ended> {
  return withCluster(context, async (client) => {
    const reply = await ask(client.check({ group: group ?? '' }), 'check');
    if (reply.kind === 'error') return group === undefined ? reply : suggestGroup(client, group, reply.error);
    const problems = reply.value.problems.map(viewed);
    const warnings = reply.value.warnings.map(viewed);
    const value = { ok: problems.length === 0, problems, warnings };
    await show(context, {
      value,
      lines: (paint) => [...problemLines(problems, group, paint), ...warningLines(warnings, paint)],
    });
    return ok(problems.length === 0 ? exitStatus.done : exitStatus.failed);
  });
}

const viewed = ({ name, server, says, fix }: ProblemView): ProblemView => ({ name, server, says, fix });

function problemLines(problems: readonly ProblemView[], group: string | undefined, paint: Paint): string[] {
  const where = group ?? 'the cluster';
  if (problems.length === 0)
    return [`${paint('green', 'ok')}: nothing found that would make a takeover of ${where} fail`];
  return [
    paint('red', `${count(problems.length, 'problem')} in ${where}:`),
    ...problems.flatMap((problem) => lines(problem, paint)),
  ];
}

function warningLines(warnings: readonly ProblemView[], paint: Paint): string[] {
  if (warnings.length === 0) return [];
  return [
    '',
    paint('yellow', `${count(warnings.length, 'warning')}:`),
    ...warnings.flatMap((w) => lines(w, paint)),
  ];
}

function lines({ name, server, says, fix }: ProblemView, paint: Paint): string[] {
  return [
    '',
    paint('bold', server === '' ? name : `${server}: ${name}`),
    `  ${sentence(says)}`,
    ...(fix === '' ? [] : [`  ${paint('cyan', 'To do:')} ${sentence(fix)}`]),
  ];
}
