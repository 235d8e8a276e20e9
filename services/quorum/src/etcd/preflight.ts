/**
 * What must hold before etcd is started: data that is there when it should be, and free ports.
 *
 * P1: etcd 3.4 with an empty data directory founds a new cluster without a word, and then answers as if nothing had
 *     ever been written. So a later start (`initialCluster` null, by begun.ts) without a log in the data directory is
 *     refused.
 * P2: etcd 3.4 cuts a damaged log at the damage, keeps a copy named *.broken, and starts. What it cut may have been
 *     confirmed. `cutLogs` finds the copies, so that this is reported.
 */

import { accessSync, constants, readdirSync, statSync } from 'node:fs';
import { createServer } from 'node:net';
import { delimiter, join } from 'node:path';
import { joinAnew } from '@holdfast/wire/directory';
import { errorCode, errorText, isMissing, type EtcdFailure } from './failure.ts';
import type { EtcdOptions } from './flags.ts';

/** Null when there is such a program to start. */
export function checkProgram(binary: string): EtcdFailure | null {
  const folders = binary.includes('/') ? [''] : (process.env['PATH'] ?? '').split(delimiter);
  const found = folders.some((folder) => {
    try {
      accessSync(join(folder, binary), constants.X_OK);
      return true;
    } catch {
      return false;
    }
  });
  return found ? null : notInstalled(binary);
}

export function notInstalled(binary: string): EtcdFailure {
  const what = binary === 'etcd' ? 'etcd is not installed' : `etcd is not installed: there is no ${binary}`;
  return { kind: 'not-installed', says: `${what}: apt-get install etcd-server` };
}

/** Whether there is data to start from; a directory that can't be read may have some. */
export function mayHaveLog(dataDir: string): boolean {
  try {
    return hasLog(dataDir);
  } catch {
    // checkData says what is wrong with it before the next start.
    return true;
  }
}

function hasLog(dataDir: string): boolean {
  return namesIn(join(dataDir, 'member', 'wal')).some((name) => name.endsWith('.wal'));
}

/** Null when etcd may use the data directory. Deletes nothing. */
export function checkData(options: EtcdOptions): EtcdFailure | null {
  const { dataDir, initialCluster } = options;
  try {
    namesIn(dataDir);
    if (hasLog(dataDir)) return null;
    // P1
    const snapshots = namesIn(join(dataDir, 'member', 'snap')).some((name) => name.endsWith('.snap'));
    if (initialCluster !== null && !snapshots) return null;
    const advice = `If it is on a disk of its own, mount that; if it is lost, ${joinAnew}. Never put an older copy there`;
    return {
      kind: 'no-data',
      says: `the etcd log is missing from ${join(dataDir, 'member', 'wal')}. ${advice}`,
    };
  } catch (error) {
    const advice = 'Make it a directory that this user can read and write';
    return {
      kind: 'data-unreadable',
      says: `can't read etcd's data in ${dataDir}: ${errorText(error)}. ${advice}`,
    };
  }
}

/** P2: the copies of cut logs with the time of each cut. */
export function cutLogs(dataDir: string): ReadonlySet<string> {
  const dir = join(dataDir, 'member', 'wal');
  if (!mayHaveLog(dataDir)) return new Set();
  const broken = namesIn(dir).filter((name) => name.endsWith('.broken'));
  return new Set(broken.map((name) => `${join(dir, name)} ${statSync(join(dir, name)).mtimeMs}`));
}

/** Null when all ports of this etcd can be listened on. */
export async function checkPorts(
  options: Pick<EtcdOptions, 'clientPort' | 'peerPort' | 'listenAddresses'>,
): Promise<EtcdFailure | null> {
  for (const port of [options.clientPort, options.peerPort]) {
    for (const host of options.listenAddresses) {
      const code = await tryListen(host, port);
      if (code === 'EADDRINUSE') {
        const advice = 'Stop that process (ss -ltnp shows it) or choose another port';
        return {
          kind: 'port-in-use',
          says: `etcd can't listen on ${host} port ${port}: another process does. ${advice}`,
        };
      }
      if (code !== null)
        return {
          kind: 'exited',
          says: `etcd can't listen on ${host} port ${port}: ${code}. Is the address on this host?`,
        };
    }
  }
  return null;
}

function tryListen(host: string, port: number): Promise<string | null> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once('error', (error) => resolve(errorCode(error)));
    server.listen({ host, port, exclusive: true }, () => server.close(() => resolve(null)));
  });
}

/** @throws what the system says, except that a directory that is not there is empty. */
function namesIn(dir: string): string[] {
  try {
    return readdirSync(dir);
  } catch (error) {
    if (isMissing(error)) return [];
    throw error;
  }
}
