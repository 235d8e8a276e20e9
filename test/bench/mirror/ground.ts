/**
 * Two servers with real processes and a folder for data on each, for mirrors without a failover. A group without
 * resources is there too, so that renewals and heartbeats have somebody to serve.
 *
 *   G1  the lab is tied to this process, and the folders are inside of it: no end of the benchmark leaves anything
 *   G2  every measurement begins with nothing waiting to be written to the disk
 *   G3  a mirror has a name that was never used before: it starts with an empty catalog
 *   G4  many files are not deleted before the end: ext4 passes over inodes that were freed within the last minutes, one
 *       by one, and whoever creates files next pays for it (Linux, fs/ext4/ialloc.c, recently_deleted)
 */
import { spawnSync } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { bringUp, type LabCluster } from '@holdfast/cli';
import { createLab, type Lab } from '@holdfast/lab';
import { monotonicMs } from '../lines.ts';
import type { Say } from '../series.ts';
import { until } from '../until.ts';
import { Disks } from './disks.ts';

export const sourceName = 'a';
export const targetName = 'b';
export type Side = typeof sourceName | typeof targetName;

export interface Copy {
  readonly name: string;
  /** Folders of a and of b, absolute. */
  readonly from: string;
  readonly to: string;
  /** More lines of its configuration: `throttle: 100Mbit`. */
  readonly terms?: readonly string[];
}

export interface Ground {
  readonly lab: Lab;
  readonly cluster: LabCluster;
  /** What was compared at the end of a part: how many entries were not the same on both sides. */
  readonly compared: { readonly what: string; readonly differing: number }[];
  /** A folder that is not there yet, in which to put data. */
  fresh(side: Side, what: string): string;
  freshName(what: string): string;
  /**
   * Applies a configuration with these mirrors and no others. Resolves, when the source's mirror process got its order
   * for the last one, to that moment (CLOCK_MONOTONIC); the command itself may take longer.
   */
  order(copies: readonly Copy[]): Promise<{ readonly orderedMs: number; readonly applied: Promise<unknown> }>;
  /** Waits until the status tells that the copy is complete and nothing is behind. */
  settled(copy: Copy, limitMs: number): Promise<void>;
  pid(side: Side, process: 'agent' | 'mirror'): number;
  /** Deletes data with that many files, or leaves it for the end (G4). */
  discard(files: number, ...folders: readonly string[]): void;
}

const orderMsMax = 20_000;
const deletedFilesMax = 100;
const client = 'client';

/** 25 % of the outage without a heartbeat is a suspicion; long enough for a machine that carries both servers. */
export const outageMs = 10_000;

function configuration(copies: readonly Copy[]): string {
  const mirrors = copies.map(
    ({ name, from, to, terms = [] }) => `  ${name}:
    from: { server: ${sourceName}, files: { root: ${from} } }
    to: [${targetName}]
    root: ${to}
${terms.map((term) => `    ${term}\n`).join('')}`,
  );
  return `groups:
  d3:
    servers: [${sourceName}, ${targetName}]
    outage: ${outageMs / 1000}s
    takeover: observe
    failback: manual
    identity: { mode: add, addresses: [10.77.0.100/24] }
${mirrors.length === 0 ? '' : `mirrors:\n${mirrors.join('')}`}`;
}

/** G2: everything that was written before is on the disk. */
export function syncDisks(): void {
  spawnSync('sync', { timeout: 120_000 });
}

/** `diskBytes`: at most, of the disk of each server (disks.ts). */
export async function withGround<Result>(
  say: Say,
  diskBytes: number,
  act: (ground: Ground) => Promise<Result>,
): Promise<Result> {
  const place = mkdtempSync(join(tmpdir(), 'holdfast-bench-'));
  const dir = join(place, 'lab');
  const servers = [sourceName, targetName] as const;
  mkdirSync(join(place, 'disks'));
  const disks = new Disks(join(place, 'disks'), servers, diskBytes, say);
  let lab: Lab | null = null;
  try {
    lab = await createLab({ dir, hosts: [sourceName, targetName, client], tied: true });
    const cluster = await bringUp(lab, { config: configuration([]) });
    for (const name of servers) await disks.give(lab.host(name));
    return await act(new MirrorGround(lab, cluster, disks));
  } catch (error) {
    if (lab !== null) say(`what the hosts wrote down is kept in ${keepEvidence(lab)}`);
    throw error;
  } finally {
    await lab?.down();
    disks.remove();
    rmSync(place, { recursive: true, force: true });
  }
}

class MirrorGround implements Ground {
  readonly lab: Lab;
  readonly cluster: LabCluster;
  readonly compared: { what: string; differing: number }[] = [];
  readonly #disks: Disks;
  #number = 0;

  constructor(lab: Lab, cluster: LabCluster, disks: Disks) {
    this.lab = lab;
    this.cluster = cluster;
    this.#disks = disks;
  }

  fresh(side: Side, what: string): string {
    this.#number += 1;
    return join(this.#disks.data(side), `${what}-${this.#number}`);
  }

  /** G3. */
  freshName(what: string): string {
    this.#number += 1;
    return `${what}-${this.#number}`;
  }

  async order(copies: readonly Copy[]): Promise<{ orderedMs: number; applied: Promise<unknown> }> {
    const file = join(this.lab.dir, 'mirrors.yaml');
    writeFileSync(file, configuration(copies));
    const applied = this.cluster.must(sourceName, 'apply', '-f', file);
    const last = copies.at(-1);
    if (last === undefined) {
      await applied;
      return { orderedMs: monotonicMs(), applied };
    }
    // The first thing that a mirror process does for a new mirror is to make its folder.
    const folder = join(this.#disks.records(sourceName), last.name);
    const ordered = until(`${last.name} reaches ${sourceName}`, () => existsSync(folder) && monotonicMs(), {
      limitMs: orderMsMax,
      everyMs: 1,
    });
    // A command that fails ends the wait.
    const orderedMs = await Promise.race([ordered, applied.then(() => ordered)]);
    return { orderedMs, applied };
  }

  async settled({ name }: Copy, limitMs: number): Promise<void> {
    await this.cluster.until(
      sourceName,
      `the copy ${name} in step`,
      (status) => {
        const row = status.mirrors[name]?.targets[targetName];
        return row?.state === 'replicating' && row.consistent && row.behindBytes === 0;
      },
      limitMs,
    );
  }

  pid(side: Side, process: 'agent' | 'mirror'): number {
    const text = readFileSync(join(this.lab.host(side).dir, 'run', `${process}.pid`), 'utf8');
    return Number.parseInt(text, 10);
  }

  /** G4. */
  discard(files: number, ...folders: readonly string[]): void {
    if (files > deletedFilesMax) return;
    for (const folder of folders) rmSync(folder, { recursive: true, force: true });
  }
}

function keepEvidence(lab: Lab): string {
  const folder = mkdtempSync(join(tmpdir(), 'holdfast-bench-evidence-'));
  for (const host of lab.hosts)
    for (const part of ['journal', 'run']) {
      const from = join(host.dir, part);
      if (!existsSync(from)) continue;
      mkdirSync(join(folder, host.name), { recursive: true });
      // Sockets cannot be copied, and say nothing.
      cpSync(from, join(folder, host.name, part), {
        recursive: true,
        filter: (file) => !file.endsWith('.sock'),
      });
    }
  return folder;
}
