/**
 * `holdfast mirror divergence MIRROR [list|show|restore|discard]`: what a former owner wrote and never replicated. It is
 * kept by the member that wrote it, until a person discards it.
 */
import { isAbsolute } from 'node:path';
import { withCluster } from '../ask.ts';
import type { Context } from '../context.ts';
import { exitStatus } from '../exit-status.ts';
import { show } from '../show.ts';
import { ok, sentence, wrong, type Ended } from '../trouble.ts';
import { keptLines } from '../view/mirror-lines.ts';
import { keptView } from '../view/mirror-view.ts';
import { emptyRequest, runMirror } from './mirror-run.ts';

export type DivergenceAction = 'list' | 'show' | 'restore' | 'discard';

export interface DivergenceOptions {
  readonly to?: string;
  readonly target?: string;
  readonly all?: boolean;
  readonly dryRun?: boolean;
}

const waitMs = 600_000;

export async function divergence(
  context: Context,
  mirror: string,
  action: DivergenceAction,
  path: string | undefined,
  options: DivergenceOptions,
): Promise<Ended> {
  const bad = problem(action, path, options);
  if (bad !== null) return bad;
  const { to = '', target = '', dryRun = false } = options;
  const changes = action === 'restore' || action === 'discard';
  // What would be changed is what would be shown.
  const kind = !changes ? action : dryRun ? (path === undefined ? 'list' : 'show') : action;
  const request = { ...emptyRequest, mirror, kind, path: path ?? '', to, target };
  return withCluster(context, async (client) => {
    const done = await runMirror(context, client, request, waitMs);
    if (done.kind === 'error') return done;
    const rows = done.value.kept.map(keptView);
    if (!changes) {
      const value = action === 'show' ? (rows[0] ?? null) : rows;
      await show(context, { value, lines: (paint, wide) => keptLines(rows, paint, wide) });
      return ok(exitStatus.done);
    }
    // Blocks about which a person has to choose first lie in the copy itself.
    const meant = rows.filter((row) => row.kept || 'path' in row).length;
    const reason = dryRun
      ? `dry run: ${meant === 1 ? '1 entry' : `${meant} entries`} would be ${action === 'discard' ? 'discarded' : 'restored'}`
      : done.value.says.map(sentence).join(' ');
    const value = { mirror, action, path: path ?? null, dryRun, outcome: 'done', reason };
    await show(context, { value, lines: () => [reason === '' ? 'done' : reason] });
    return ok(exitStatus.done);
  });
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
