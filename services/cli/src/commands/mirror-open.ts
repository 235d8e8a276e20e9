/**
 * `holdfast mirror open|close MIRROR --target T`: the copy of a volume at a target that is paused, for other uses. It is
 * exported on that target's host until it is closed, or until its source comes again.
 */
import { withCluster } from '../ask.ts';
import type { Context } from '../context.ts';
import { exitStatus } from '../exit-status.ts';
import { show } from '../show.ts';
import { ok, sentence, wrong, type Ended } from '../trouble.ts';
import { emptyRequest, runMirror } from './mirror-run.ts';

export interface MirrorOpenOptions {
  readonly target?: string;
  readonly writable?: boolean;
  readonly dryRun?: boolean;
}

const waitMs = 60_000;

export async function openMirror(
  context: Context,
  mirror: string,
  options: MirrorOpenOptions,
): Promise<Ended> {
  const { target, writable = false, dryRun = false } = options;
  if (target === undefined) return noTarget;
  const how = writable ? 'under an overlay that is thrown away' : 'read-only';
  if (dryRun) {
    const value = { mirror, target, writable, dryRun };
    await show(context, { value, lines: () => [`dry run: ${mirror} would be open on ${target}, ${how}`] });
    return ok(exitStatus.done);
  }
  return withCluster(context, async (client) => {
    const done = await runMirror(
      context,
      client,
      { ...emptyRequest, kind: 'open', mirror, target, writable },
      waitMs,
    );
    if (done.kind === 'error') return done;
    const uri = done.value.says[0] ?? '';
    const value = { mirror, target, writable, export: uri };
    await show(context, { value, lines: () => [`${mirror} is open on ${target}, ${how}: ${uri}`] });
    return ok(exitStatus.done);
  });
}

export async function closeMirror(
  context: Context,
  mirror: string,
  options: MirrorOpenOptions,
): Promise<Ended> {
  const { target, dryRun = false } = options;
  if (target === undefined) return noTarget;
  if (dryRun) {
    const value = { mirror, target, dryRun };
    await show(context, { value, lines: () => [`dry run: ${mirror} would be closed on ${target}`] });
    return ok(exitStatus.done);
  }
  return withCluster(context, async (client) => {
    const done = await runMirror(context, client, { ...emptyRequest, kind: 'close', mirror, target }, waitMs);
    if (done.kind === 'error') return done;
    const reason = done.value.says.map(sentence).join(' ');
    await show(context, { value: { mirror, target, outcome: 'done', reason }, lines: () => [reason] });
    return ok(exitStatus.done);
  });
}

const noTarget = wrong('which copy? --target SERVER is missing', 'Name the server whose copy is meant.');
