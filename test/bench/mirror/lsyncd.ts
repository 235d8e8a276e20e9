/** lsyncd beside us: with delay 0 and rsync as its carrier, to a daemon on the target. Source: the lsyncd manual, Layer 4. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { needPackages, type Installed } from '../peers/package.ts';
import type { Say } from '../series.ts';
import { until } from '../until.ts';
import { fileArrived } from './arrival.ts';
import { sourceName, type Ground } from './ground.ts';
import { niceAsWe, startRsync } from './rsync.ts';

export const needLsyncd = (say: Say): Installed =>
  needPackages(['lsyncd', 'rsync'], ['lsyncd', 'rsync'], say);

/** Runs it on the source while `act` does; the folders are those of the source and of the target. */
export async function withLsyncd<Result>(
  ground: Ground,
  act: (from: string, to: string) => Promise<Result>,
): Promise<Result> {
  const host = ground.lab.host(sourceName);
  const root = ground.fresh('b', 'lsyncd');
  const from = ground.fresh('a', 'lsyncd');
  const to = join(root, 'live');
  mkdirSync(from, { recursive: true });
  mkdirSync(to, { recursive: true });
  const daemon = await startRsync(ground, root);
  const file = join(host.dir, 'lsyncd.lua');
  writeFileSync(
    file,
    `settings { nodaemon = true, logfile = "${join(host.dir, 'lsyncd.log')}" }
sync { default.rsync, source = "${from}", target = "${daemon.url('live')}", delay = 0, rsync = { archive = true } }
`,
  );
  const child = host.spawn([...niceAsWe, 'lsyncd', file], { stdio: 'ignore' });
  child.on('error', () => undefined); // nothing arrives then
  try {
    const first = join(from, 'first');
    writeFileSync(first, 'x');
    await fileArrived(first, join(to, 'first'), 30_000);
    return await act(from, to);
  } finally {
    child.kill('SIGTERM');
    await until('lsyncd ends', () => child.exitCode !== null || child.signalCode !== null, {
      limitMs: 10_000,
    });
    await daemon.stop();
  }
}
