/**
 * A volume on one server and its copy on another, and nbdkit with an image of the same size beside it: both on the same disk,
 * both reached through a Unix socket.
 */
import { spawn } from 'node:child_process';
import { existsSync, mkdirSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { sourceName, targetName, type Ground } from '../mirror/ground.ts';
import { until } from '../until.ts';

export interface VolumeTerms {
  readonly sizeMebibytes: number;
  readonly mode?: 'async' | 'sync';
  readonly encrypt?: 'always' | 'never';
}

export interface VolumeStage {
  readonly name: string;
  readonly uri: string;
  /** Of the export; and the target's image. */
  readonly socket: string;
  readonly copy: string;
  readonly sizeBytes: number;
  inStep(): Promise<void>;
  pause(): Promise<void>;
  resume(): Promise<void>;
}

const settleMs = 120_000;
const startMs = 20_000;

/** Complete at the target, but for one that is too big to wait for: that one is exported, and its copy has begun. */
export async function stageVolume(
  ground: Ground,
  terms: VolumeTerms,
  { complete = true } = {},
): Promise<VolumeStage> {
  const { cluster, lab } = ground;
  const name = ground.freshName('disk');
  const image = (side: 'a' | 'b'): string => {
    const folder = ground.fresh(side, 'volume');
    mkdirSync(folder, { recursive: true });
    return join(folder, 'image');
  };
  const file = join(lab.dir, 'volume.yaml');
  const copy = image(targetName);
  writeFileSync(file, configuration(name, terms, image(sourceName), copy));
  await cluster.must(sourceName, 'apply', '-f', file);
  const inStep = (): Promise<void> => ground.settled({ name, from: '', to: '' }, settleMs);
  if (complete) await inStep();
  else
    await cluster.until(
      sourceName,
      `the first copy of ${name} under way`,
      (status) => status.mirrors[name]?.targets[targetName]?.state === 'initial-copy',
      settleMs,
    );
  const socket = join(lab.host(sourceName).dir, 'run', `nbd-${name}.sock`);
  return {
    name,
    socket,
    copy,
    uri: `nbd+unix:///${name}?socket=${socket}`,
    sizeBytes: terms.sizeMebibytes * 1_048_576,
    inStep,
    pause: async () => {
      await cluster.must(sourceName, 'mirror', 'pause', name);
      await cluster.until(
        sourceName,
        `${name} paused`,
        (status) => status.mirrors[name]?.targets[targetName]?.state === 'paused',
        settleMs,
      );
    },
    resume: async () => {
      await cluster.must(sourceName, 'mirror', 'resume', name);
    },
  };
}

function configuration(name: string, terms: VolumeTerms, from: string, to: string): string {
  const { sizeMebibytes, mode = 'async', encrypt = 'always' } = terms;
  return `groups:
  d3:
    servers: [${sourceName}, ${targetName}]
    outage: 10s
    takeover: observe
    failback: manual
    identity: { mode: add, addresses: [10.77.0.100/24] }
mirrors:
  ${name}:
    from: { server: ${sourceName}, volume: { path: ${from}, size: ${sizeMebibytes}MiB, mode: ${mode} } }
    to: [${targetName}]
    path: ${to}
    encrypt: ${encrypt}
`;
}

/** nbdkit with a file, until the answer's `stop` is called. */
export async function stageNbdkit(
  ground: Ground,
  sizeBytes: number,
): Promise<{ readonly uri: string; readonly stop: () => void }> {
  const folder = ground.fresh(sourceName, 'nbdkit');
  mkdirSync(folder, { recursive: true });
  const [image, socket] = [join(folder, 'image'), join(folder, 's')];
  writeFileSync(image, '');
  truncateSync(image, sizeBytes);
  const child = spawn('nbdkit', ['-f', '--exit-with-parent', '-U', socket, 'file', image], {
    stdio: 'ignore',
  });
  child.on('error', () => undefined);
  await until('nbdkit answers', () => existsSync(socket) && child.exitCode === null, { limitMs: startMs });
  return {
    uri: `nbd+unix:///?socket=${socket}`,
    stop: () => {
      child.kill('SIGTERM');
      rmSync(folder, { recursive: true, force: true });
    },
  };
}
