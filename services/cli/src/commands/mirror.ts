/**
 * `holdfast mirror pause|resume|resync|verify MIRROR [--target T]`. A pause is part of the desired state and outlives
 * every restart; a resync or a comparison is done once, by the source.
 */
import type { AdminClient } from '../admin-client.ts';
import { ask, refusedToChange, withCluster } from '../ask.ts';
import type { Context } from '../context.ts';
import { durationOption } from '../duration-option.ts';
import { exitStatus } from '../exit-status.ts';
import { show } from '../show.ts';
import { named, unknownName } from '../suggest.ts';
import { ok, sentence, trouble, type Ended, type Fallible } from '../trouble.ts';
import { verifyLines } from '../view/mirror-lines.ts';
import { placeView, type DifferenceView, type MirrorView, type VerifyView } from '../view/mirror-view.ts';
import { statusView, type StatusView } from '../view/status-view.ts';
import { emptyRequest, runMirror, untilItEndsMs, type MirrorAnswers } from './mirror-run.ts';

export interface MirrorOptions {
  readonly target?: string;
  readonly reason?: string;
  readonly repair?: boolean;
  readonly wait?: string;
  readonly dryRun?: boolean;
}

export async function pauseMirror(
  context: Context,
  mirror: string,
  pause: boolean,
  options: MirrorOptions,
): Promise<Ended> {
  const { target = '', reason = '', dryRun = false } = options;
  const verb = pause ? 'pause' : 'resume';
  return withCluster(context, async (client) => {
    const reply = await ask(
      client.pauseMirror({ mirror, target, pause, reason, dryRun }),
      `mirror ${verb} ${mirror}`,
    );
    if (reply.kind === 'error')
      return reply.error.status === exitStatus.wrong ? explained(client, mirror, target, reply) : reply;
    const { changed } = reply.value;
    const to = target === '' ? 'every target' : target;
    const what = `${mirror} to ${to}`;
    const state = pause ? 'paused' : 'running';
    const said = changed ? `${what} is ${state}` : `${what} was ${state} already`;
    const planned = changed ? `dry run: ${what} would be ${state}` : `dry run: ${said}`;
    const value = { mirror, target: target === '' ? null : target, paused: pause, changed, dryRun };
    await show(context, { value, lines: () => [dryRun ? planned : said] });
    return ok(exitStatus.done);
  });
}

export async function resyncMirror(context: Context, mirror: string, options: MirrorOptions): Promise<Ended> {
  const wait = await durationOption('--wait', options.wait, untilItEndsMs);
  if (wait.kind === 'error') return wait;
  const { target = '', dryRun = false } = options;
  return withCluster(context, async (client) => {
    if (dryRun)
      return planned(context, client, mirror, target, 'would be compared as a whole and brought in step');
    const request = { ...emptyRequest, kind: 'resync', mirror, target };
    const done = await runMirror(context, client, request, wait.value);
    if (done.kind === 'error')
      return done.error.status === exitStatus.wrong ? explained(client, mirror, target, done) : done;
    const { says, over } = done.value;
    if (!over)
      return trouble(
        exitStatus.running,
        `the resync of ${mirror} is still running`,
        `It goes on without this command: holdfast get mirrors ${mirror}`,
      );
    const reason = says.map(sentence).join(' ');
    const value = { mirror, target: target === '' ? null : target, outcome: 'done', reason };
    await show(context, { value, lines: () => [reason === '' ? `${mirror} is in step` : reason] });
    return ok(exitStatus.done);
  });
}

export async function verifyMirror(context: Context, mirror: string, options: MirrorOptions): Promise<Ended> {
  const wait = await durationOption('--wait', options.wait, untilItEndsMs);
  if (wait.kind === 'error') return wait;
  const { target = '', repair = false, dryRun = false } = options;
  return withCluster(context, async (client) => {
    if (dryRun) return planned(context, client, mirror, target, 'would be compared');
    const request = { ...emptyRequest, kind: 'verify', mirror, target, repair };
    const done = await runMirror(context, client, request, wait.value);
    if (done.kind === 'error')
      return done.error.status === exitStatus.wrong ? explained(client, mirror, target, done) : done;
    if (!done.value.over)
      return trouble(
        exitStatus.running,
        `${mirror} was still being compared when --wait ended; the comparison is given up`,
        'Nothing was changed. Run it again with a longer --wait, or without one.',
      );
    const views = verifyViews(done.value);
    const [only] = views;
    const value = views.length === 1 && only !== undefined ? only : views;
    const says = done.value.says.map(sentence);
    await show(context, { value, lines: (paint) => [...verifyLines(views, paint), ...says] });
    const differs = views.some((view) => view.differing > 0 || view.says !== '');
    return ok(differs ? exitStatus.failed : exitStatus.done);
  });
}

function verifyViews({ verified, differences }: MirrorAnswers): readonly VerifyView[] {
  return verified.map(({ target, compared, differing, mended, says }) => {
    const named = (isMended: boolean): DifferenceView[] =>
      differences
        .filter((one) => one.target === target && one.mended === isMended)
        .map((one) => ({ ...placeView(one), kind: one.kind }));
    return {
      target,
      compared: Number(compared),
      differing: Number(differing),
      differences: named(false),
      mended: named(true),
      mendedCount: Number(mended),
      says,
    };
  });
}

async function planned(
  context: Context,
  client: AdminClient,
  mirror: string,
  target: string,
  what: string,
): Promise<Ended> {
  const refused = refusedToChange(client, `ask for ${mirror}`);
  if (refused !== null) return refused;
  const found = await findMirror(client, mirror);
  if (found.kind === 'error') return found;
  if (found.value.source === null)
    return trouble(exitStatus.refused, `refused: ${mirror} has no source at the moment`);
  const targets = Object.keys(found.value.targets).filter((name) => target === '' || name === target);
  if (targets.length === 0) return unknownName('target', target, Object.keys(found.value.targets));
  const value = { dryRun: true, mirror, source: found.value.source, targets };
  await show(context, { value, lines: () => targets.map((name) => `dry run: ${mirror} at ${name} ${what}`) });
  return ok(exitStatus.done);
}

/** Refused as wrong: is the name of the mirror or of the target mistyped? */
async function explained(
  client: AdminClient,
  mirror: string,
  target: string,
  found: Fallible<never>,
): Promise<Fallible<never>> {
  const known = await findMirror(client, mirror);
  if (known.kind === 'error') return known.error.status === exitStatus.wrong ? known : found;
  const targets = Object.keys(known.value.targets);
  return target === '' || targets.includes(target) ? found : unknownName('target', target, targets);
}

/** Every mirror of the cluster by the name that commands take: GROUP/NAME, or its own. */
export function allMirrors(status: StatusView): Readonly<Record<string, MirrorView>> {
  const ofGroups = Object.entries(status.groups).flatMap(([group, { mirrors }]) =>
    Object.entries(mirrors).map(([name, view]) => [`${group}/${name}`, view] as const),
  );
  return Object.fromEntries([...ofGroups, ...Object.entries(status.mirrors)]);
}

export async function findMirror(client: AdminClient, name: string): Promise<Fallible<MirrorView>> {
  const reply = await ask(client.status(), 'status');
  if (reply.kind === 'error') return reply;
  const all = allMirrors(statusView(reply.value));
  const found = named(all, name);
  return found === undefined ? unknownName('mirror', name, Object.keys(all)) : ok(found);
}
