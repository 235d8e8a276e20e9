/** A group's folder and its copies, as a story looks at them: from the hosts themselves, past everything of ours. */
import { join } from 'node:path';
import type { Scene } from './story.ts';
import { until } from './until.ts';
import type { Status, World } from './world.ts';

/** The folder that is mirrored; /srv is each host's own. */
export const root = '/srv/d3';
export const mirror = 'd3/data';

/** Any step of a small copy. */
export const stepMs = 20_000;

/** Lines of a group. */
export const mirrorLines = `    mirrors:
      data: { files: { root: ${root} }, scanEvery: 10s }
`;

/** Where a host's /srv really is: written to from there, nothing of ours is in the way. */
export const behindBack = (world: World, host: string, path: string): string =>
  join(world.lab.dir, 'hosts', host, 'disk', root, path);

export type CopyState = NonNullable<Status['groups'][string]>['mirrors'][string]['targets'][string];

export const mirrorsOf = (status: Status): Status['groups'][string]['mirrors'] =>
  status.groups['d3']?.mirrors ?? {};

export const copyIn = (status: Status, target: string): CopyState | undefined =>
  mirrorsOf(status)['data']?.targets[target];

/** A shell's words on a host; must succeed. Standard output. */
export async function sh(world: World, host: string, script: string): Promise<string> {
  const { status, stdout, stderr } = await world.lab.host(host).exec(['sh', '-ec', script]);
  if (status !== 0) throw new Error(`on ${host}: ${script}: status ${status}: ${stderr}`);
  return stdout;
}

/** Every entry with its kind, mode, owner, time to the nanosecond, size, link target and contents; ours left out. */
export const listing = (world: World, host: string, folder = root): Promise<string> =>
  sh(
    world,
    host,
    // Our own folder counts among the links of the root. A file may go while this looks: then it looks again.
    `cd ${folder} && find . -path './.holdfast-*' -prune -o -type d -printf '%p %y %m %U %G %T@\\n' | sort &&
     find . -path './.holdfast-*' -prune -o ! -type d -printf '%p %y %m %U %G %T@ %n %s %l\\n' | sort &&
     find . -path './.holdfast-*' -prune -o -type f -print0 | sort -z | { xargs -0r sha256sum || echo moving; }`,
  );

/** Until the copy is replicating with nothing behind. */
export function inStep(world: World, target: string, limitMs: number, from = 'w'): Promise<Status> {
  return world.until(from, `${target} in step`, limitMs, (status) => {
    const copy = copyIn(status, target);
    return copy?.state === 'replicating' && copy.consistent && copy.behindBytes === 0 && copy.behindMs === 0;
  });
}

/** Until both hosts have the same files, with everything that belongs to a file. */
export async function alike(
  world: World,
  one: string,
  other: string,
  limitMs: number,
  folders = { one: root, other: root },
): Promise<void> {
  let seen: readonly string[] = [];
  await until(
    `${one} and ${other} have the same files`,
    limitMs,
    async () => {
      seen = await Promise.all([listing(world, one, folders.one), listing(world, other, folders.other)]);
      return seen[0] === seen[1];
    },
    () => differing(seen),
  );
}

function differing([one = '', other = '']: readonly string[]): string {
  const [mine, theirs] = [one.split('\n'), other.split('\n')];
  const only = (a: readonly string[], b: readonly string[]): string[] =>
    a.filter((line) => !b.includes(line));
  return [...only(mine, theirs).map((line) => `- ${line}`), ...only(theirs, mine).map((line) => `+ ${line}`)]
    .slice(0, 20)
    .join('\n');
}

export interface KeptEntry {
  readonly path: string;
  readonly change: string;
  readonly from: string;
  readonly kept: boolean;
}

export const diverged = (world: World, from: string, name = mirror): Promise<KeptEntry[]> =>
  world.json<KeptEntry[]>(from, 'mirror', 'divergence', name, 'list');

/** The owner and the standby of a story, with everything of the last one out of the way and the copy in step. */
export async function ready({ world, owner, standby }: Scene): Promise<void> {
  await sh(world, owner, `mkdir -p ${root}`);
  await inStep(world, standby, 60_000);
  await sh(
    world,
    owner,
    `cd ${root} && find . -mindepth 1 -maxdepth 1 ! -name '.holdfast-*' -exec rm -rf {} +`,
  );
  if ((await diverged(world, 'w')).length > 0)
    await world.cluster.must('w', 'mirror', 'divergence', mirror, 'discard', '--all');
  await alike(world, owner, standby, stepMs);
  await inStep(world, standby, stepMs);
}
