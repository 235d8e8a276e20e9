/**
 * rsync beside us: a daemon on the target, without encryption, to which the source pushes. Sources: rsync(1),
 * rsyncd.conf(5).
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { monotonicMs } from '../lines.ts';
import { needPackages, type Installed } from '../peers/package.ts';
import type { Say } from '../series.ts';
import { until } from '../until.ts';
import { sourceName, syncDisks, targetName, type Ground } from './ground.ts';

export const needRsync = (say: Say): Installed => needPackages(['rsync'], ['rsync'], say);

export interface Rsync {
  /** The address of a folder beneath the one that the daemon writes to. */
  url(folder: string): string;
  /** Copies what is in `from` into the daemon's folder of that name. Seconds until rsync has ended. */
  push(from: string, folder: string, options?: readonly string[]): Promise<number>;
  stop(): Promise<void>;
}

const pushMsMax = 300_000;
/** As our mirror process runs: else whoever competes for the processors decides the comparison. */
export const niceAsWe = ['nice', '-n', '5'] as const;

/** Starts the daemon; `root` is a folder of the target. */
export async function startRsync(ground: Ground, root: string): Promise<Rsync> {
  const host = ground.lab.host(targetName);
  const source = ground.lab.host(sourceName);
  const address = host.addresses.service;
  mkdirSync(root, { recursive: true });
  const file = join(host.dir, 'rsyncd.conf');
  writeFileSync(file, `use chroot = no\nuid = 0\ngid = 0\n[m]\npath = ${root}\nread only = no\n`);
  const log = `--log-file=${join(host.dir, 'rsyncd.log')}`;
  const argv = [
    ...niceAsWe,
    'rsync',
    '--daemon',
    '--no-detach',
    `--address=${address}`,
    `--config=${file}`,
    log,
  ];
  const child = host.spawn(argv, { stdio: 'ignore' });
  child.on('error', () => undefined); // it does not answer then
  const url = (folder: string): string => `rsync://${address}/m/${folder}/`;
  await until('the rsync daemon answers', async () => (await source.exec(['rsync', url('.')])).status === 0, {
    limitMs: 10_000,
  });
  return {
    url,
    push: async (from, folder, options = []) => {
      syncDisks();
      const startMs = monotonicMs();
      const argv = [...niceAsWe, 'rsync', '-a', '--delete', ...options, `${from}/`, url(folder)];
      const ended = await source.exec(argv, { timeoutMs: pushMsMax });
      if (ended.status !== 0) throw new Error(`rsync failed: ${ended.stderr.trim()}`);
      return (monotonicMs() - startMs) / 1000;
    },
    stop: async () => {
      child.kill('SIGTERM');
      await until('the rsync daemon ends', () => child.exitCode !== null || child.signalCode !== null, {
        limitMs: 10_000,
      });
    },
  };
}
