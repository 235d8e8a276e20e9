/**
 * `holdfast mirror open|close MIRROR --target T`: the copy of a volume at a target that is paused, for other uses. It is
 * exported on that target's host until it is closed, or until its source comes again.
 */
import type { AdminClient } from '../admin-client.ts';
import { refusedToChange, withCluster } from '../ask.ts';
import type { Context } from '../context.ts';
import { durationOption } from '../duration-option.ts';
import { exitStatus } from '../exit-status.ts';
import { show } from '../show.ts';
import { named, unknownName } from '../suggest.ts';
import { ok, sentence, trouble, wrong, type Ended, type Fallible } from '../trouble.ts';
import { findMirror } from './mirror.ts';
import { emptyRequest, runMirror, untilItEndsMs } from './mirror-run.ts';

export interface MirrorOpenOptions {
  readonly target?: string;
  readonly writable?: boolean;
  readonly wait?: string;
  readonly dryRun?: boolean;
}

export async function openMirror(
  context: Context,
  mirror: string,
  options: MirrorOpenOptions,
): Promise<Ended> {
  const { target, writable = false, dryRun = false } = options;
  if (target === undefined) return noTarget;
  const wait = await durationOption('--wait', options.wait, untilItEndsMs);
  if (wait.kind === 'error') return wait;
  const how = writable ? 'under an overlay that is thrown away' : 'read-only';
  return withCluster(context, async (client) => {
    if (dryRun) {
      const refused = await judged(client, 'open', mirror, target);
      if (refused !== null) return refused;
      const value = { mirror, target, writable, dryRun };
      await show(context, { value, lines: () => [`dry run: ${mirror} would be open on ${target}, ${how}`] });
      return ok(exitStatus.done);
    }
    const request = { ...emptyRequest, kind: 'open', mirror, target, writable };
    const done = await runMirror(context, client, request, wait.value);
    if (done.kind === 'error') return done;
    if (!done.value.over)
      return trouble(
        exitStatus.running,
        `${mirror} is still being opened on ${target}`,
        `That goes on without this command. To learn where it is: holdfast mirror close ${mirror} --target ${target}, and open it again.`,
      );
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
  const wait = await durationOption('--wait', options.wait, untilItEndsMs);
  if (wait.kind === 'error') return wait;
  return withCluster(context, async (client) => {
    if (dryRun) {
      const refused = await judged(client, 'close', mirror, target);
      if (refused !== null) return refused;
      const value = { mirror, target, dryRun };
      await show(context, { value, lines: () => [`dry run: ${mirror} would be closed on ${target}`] });
      return ok(exitStatus.done);
    }
    const request = { ...emptyRequest, kind: 'close', mirror, target };
    const done = await runMirror(context, client, request, wait.value);
    if (done.kind === 'error') return done;
    if (!done.value.over)
      return trouble(
        exitStatus.running,
        `${mirror} is still being closed on ${target}`,
        'That goes on without this command: close it again to see its end.',
      );
    const reason = done.value.says.map(sentence).join(' ');
    await show(context, { value: { mirror, target, outcome: 'done', reason }, lines: () => [reason] });
    return ok(exitStatus.done);
  });
}

const noTarget = wrong('which copy? --target SERVER is missing', 'Name the server whose copy is meant.');

/** States of a copy whose source is connected. */
const connected = ['initial-copy', 'resync', 'replicating'];

/** What the target would answer, as far as status tells. Null: it would do it. */
async function judged(
  client: AdminClient,
  kind: 'open' | 'close',
  mirror: string,
  target: string,
): Promise<Fallible<never> | null> {
  const refused = refusedToChange(client, `${kind} ${mirror}`);
  if (refused !== null) return refused;
  const found = await findMirror(client, mirror);
  if (found.kind === 'error') return found;
  const { targets } = found.value;
  const copy = named(targets, target);
  if (copy === undefined) return unknownName('target', target, Object.keys(targets));
  if (found.value.kind !== 'volume')
    return wrong(`${mirror} is a mirror of files: its copy can be read where it is`);
  if (kind === 'close') return null;
  const where = `${mirror} on ${target}`;
  if (connected.includes(copy.state))
    return trouble(exitStatus.failed, `${where}: its source is connected; pause it first`);
  return copy.consistent ? null : trouble(exitStatus.failed, `${where}: its copy is not complete`);
}
