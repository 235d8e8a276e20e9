/**
 * `holdfast recover --alone`: the majority of the votes is gone for good, and a person says so. On the host of a member that votes, whose
 * `run` is stopped; it asks nobody, since there is nobody to ask.
 */
import { join } from 'node:path';
import type { MemberDirectory } from '@holdfast/wire/directory';
import type { Context } from '../context.ts';
import { exitStatus } from '../exit-status.ts';
import { endLeftover, leftoverMs, leftoverNames } from '../run/pid-file.ts';
import { show } from '../show.ts';
import { directoryTrouble, ok, trouble, wrong, type Ended, type Fallible } from '../trouble.ts';

export interface RecoverOptions {
  readonly without?: readonly string[];
  readonly dryRun?: boolean;
}

export async function recover(
  context: Context,
  { without = [], dryRun = false }: RecoverOptions,
): Promise<Ended> {
  const [{ lockDirectory, openMemberDirectory }, { mayRecover }] = await Promise.all([
    import('@holdfast/wire/directory'),
    import('@holdfast/quorum/recovery'),
  ]);
  const opened = await openMemberDirectory(context.dir);
  if (opened.kind === 'error') return directoryTrouble(opened.error);
  const { path, record } = opened.value;
  const judged = mayRecover(record, without);
  if (judged.kind !== 'may') return (judged.kind === 'wrong' ? wrong : refused)(judged.says, judged.fix);
  const lock = await lockDirectory(path, 'run');
  if (lock.kind === 'error') {
    if (lock.error.kind !== 'locked') return directoryTrouble(lock.error);
    return refused(`${path}: ${lock.error.says}`, 'Stop that one first: systemctl stop holdfast.');
  }
  try {
    return await recoverLocked(context, opened.value, judged.others, dryRun);
  } finally {
    await lock.value.release();
  }
}

async function recoverLocked(
  context: Context,
  directory: MemberDirectory,
  others: readonly string[],
  dryRun: boolean,
): Promise<Ended> {
  const { recoverAlone, whoAnswers } = await import('@holdfast/quorum/recovery');
  const { id } = directory.record;
  const there = await whoAnswers(directory.record);
  if (there.length > 0)
    return refused(`${there.join(' and ')} ${isOrAre(there)} running`, fixOf(there, others));
  if (dryRun) {
    await tell(context, id, others, true);
    return ok(exitStatus.done);
  }
  const cleared = await clearLeftovers(directory.path);
  if (cleared.kind === 'error') return cleared;
  const recovered = await recoverAlone(directory, context.now(), context.interruption());
  if (recovered.kind === 'failed')
    return trouble(exitStatus.failed, recovered.says, 'The same command goes on where it was.');
  await tell(context, id, recovered.without, false);
  return ok(exitStatus.done);
}

const refused = (says: string, fix: string): Fallible<never> =>
  trouble(exitStatus.refused, `refused: ${says}`, fix);

const isOrAre = ({ length }: readonly string[]): string => (length === 1 ? 'is' : 'are');

function fixOf(there: readonly string[], others: readonly string[]): string {
  const voter = there.find((name) => others.includes(name));
  if (voter !== undefined)
    return `${voter} votes: start this member as well, and see whether there is a majority (holdfast status).`;
  return 'Stop it there as well (systemctl stop holdfast), and start it again when this member runs.';
}

/** As `run` does: what was left by one that was killed might still write. */
async function clearLeftovers(path: string): Promise<Fallible<null>> {
  for (const name of leftoverNames) {
    if ((await endLeftover(join(path, 'run'), name, leftoverMs)) === 'stuck')
      return trouble(exitStatus.failed, `the ${name} of an earlier run can't be killed; see run/${name}.pid`);
  }
  return ok(null);
}

async function tell(
  context: Context,
  id: string,
  without: readonly string[],
  dryRun: boolean,
): Promise<void> {
  const names = without.join(' and ');
  await show(context, {
    value: { recovered: id, without, dryRun },
    lines: (paint) =>
      dryRun
        ? [`dry run: ${id} would go on with the only vote; those of ${names} would be gone`]
        : [
            `${paint('green', 'recovered')}: ${id} has the only vote now; those of ${names} are gone`,
            'Next:',
            '  holdfast run                    on this host (or its service)',
            '  holdfast status                 who owned what; a group of a lost server may need: holdfast failover GROUP --to SERVER --force',
            '  holdfast token --role witness   and two members that join, so that one may be lost again',
          ],
  });
}
