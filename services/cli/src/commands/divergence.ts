/**
 * `holdfast mirror divergence MIRROR [list|show|restore|discard]`: what a former owner wrote and never replicated. It is
 * kept by the member that wrote it, until a person discards it.
 *
 * V1. Nothing is called done that was not seen to its end: a person discards next what was restored.
 * V2. A list from which something is missing says so, and who was not asked is a failure.
 */
import { isAbsolute } from 'node:path';
import { withCluster } from '../ask.ts';
import type { Context } from '../context.ts';
import { durationOption } from '../duration-option.ts';
import { exitStatus } from '../exit-status.ts';
import { show } from '../show.ts';
import { ok, sentence, trouble, wrong, type Ended, type Fallible } from '../trouble.ts';
import { keptLines } from '../view/mirror-lines.ts';
import { keptView } from '../view/mirror-view.ts';
import { emptyRequest, runMirror, untilItEndsMs } from './mirror-run.ts';

export type DivergenceAction = 'list' | 'show' | 'restore' | 'discard';

export interface DivergenceOptions {
  readonly to?: string;
  readonly target?: string;
  readonly all?: boolean;
  readonly wait?: string;
  readonly dryRun?: boolean;
}

export async function divergence(
  context: Context,
  mirror: string,
  action: DivergenceAction,
  path: string | undefined,
  options: DivergenceOptions,
): Promise<Ended> {
  const bad = problem(action, path, options);
  if (bad !== null) return bad;
  const wait = await durationOption('--wait', options.wait, untilItEndsMs);
  if (wait.kind === 'error') return wait;
  const { to = '', target = '', dryRun = false } = options;
  const changes = action === 'restore' || action === 'discard';
  // What would be changed is what would be shown.
  const kind = !changes ? action : dryRun ? (path === undefined ? 'list' : 'show') : action;
  const request = { ...emptyRequest, mirror, kind, path: path ?? '', to, target };
  return withCluster(context, async (client) => {
    const done = await runMirror(context, client, request, wait.value);
    if (done.kind === 'error') return done;
    const { over, incomplete, unnamed } = done.value;
    if (!over) return cutOff(mirror, kind, to); // V1
    const rows = done.value.kept.map(keptView);
    const says = [...done.value.says, ...(unnamed > 0 ? [`${unnamed} more are not named here`] : [])];
    const status = incomplete ? exitStatus.failed : exitStatus.done; // V2
    if (!changes || dryRun)
      for (const one of says) context.terminal.err(`holdfast: warning: ${sentence(one)}\n`);
    if (!changes) {
      const value = action === 'show' ? (rows[0] ?? null) : rows;
      const nothing = rows.length === 0 && says.length > 0;
      await show(context, { value, lines: (paint, wide) => (nothing ? [] : keptLines(rows, paint, wide)) });
      return ok(status);
    }
    // Blocks about which a person has to choose first lie in the copy itself.
    const meant = rows.filter((row) => row.kept || 'path' in row).length;
    const reason = dryRun
      ? `dry run: ${meant === 1 ? '1 entry' : `${meant} entries`} would be ${action === 'discard' ? 'discarded' : 'restored'}`
      : says.map(sentence).join(' ');
    const outcome = incomplete ? 'failed' : 'done';
    const value = { mirror, action, path: path ?? null, dryRun, outcome, reason };
    await show(context, { value, lines: () => [reason === '' ? 'done' : reason] });
    return ok(status);
  });
}

/** V1. The other end gives up a restore with the command; what it discards, it discards to the end. */
function cutOff(mirror: string, kind: DivergenceAction, to: string): Fallible<never> {
  switch (kind) {
    case 'list':
    case 'show':
      return trouble(
        exitStatus.running,
        `what diverged of ${mirror} was not told to its end when --wait ended`,
        'Ask again with a longer --wait, or without one.',
      );
    case 'restore':
      return trouble(
        exitStatus.running,
        `the restore from ${mirror} was not finished when --wait ended, and is given up`,
        `${to} may have a part of it, and what was kept is still kept. Restore it again to an empty folder, with a longer --wait or without one.`,
      );
    case 'discard':
      return trouble(
        exitStatus.running,
        `the discarding from ${mirror} is still running`,
        `It goes on without this command: holdfast mirror divergence ${mirror} list`,
      );
  }
}

function problem(action: DivergenceAction, path: string | undefined, { to, all }: DivergenceOptions) {
  if (action === 'list' && path !== undefined)
    return wrong('list takes no path', 'Use `show PATH` for one entry.');
  if ((action === 'show' || action === 'restore') && path === undefined)
    return wrong(`${action} needs a path`, 'The list has them: holdfast mirror divergence MIRROR list.');
  if (action === 'discard' && (path === undefined) === (all !== true))
    return wrong('discard needs either a path or --all', 'What is discarded is gone.');
  if (action === 'restore' && to === undefined)
    return wrong(
      'restore needs --to FOLDER',
      'Name an existing folder of the member that keeps it; nothing in it is overwritten.',
    );
  if (to !== undefined && !isAbsolute(to))
    return wrong(`--to: ${JSON.stringify(to)} is not absolute`, 'Write it from the root on, such as /tmp.');
  if (to !== undefined && action !== 'restore') return wrong(`${action} takes no --to`);
  return null;
}
