/**
 * Holdfast on the stage: two servers and a witness with real processes, one group without resources, driven by the real
 * command line. What the benchmark knows of the product it knows as any user does.
 */
import { cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { bringUp, type LabCluster } from '@holdfast/cli';
import type { Status } from './history.ts';
import { monotonicMs } from './lines.ts';
import { serverNames, virtualAddress, withStage, type ServerName, type Stage } from './stage.ts';
import { until } from './until.ts';

export interface Pair {
  readonly stage: Stage;
  readonly cluster: LabCluster;
  readonly outageMs: number;
  /**
   * Waits until nothing is left of the last fault: one active owner, all members heard, all votes there, and for as long
   * as an outage. A server that has just booted is heard before its renewals count, and until then it is no standby.
   */
  settled(): Promise<ServerName>;
}

export const group = 'd3';

const settleMsMax = 90_000;
const stableMsMax = 5_000;
const witness = 'w';
/** What the lab asks for the status with, again and again. */
const statusReader = 'standing-program';

/** As many failovers as a benchmark makes would be held otherwise. */
const configuration = (outage: string): string => `groups:
  ${group}:
    servers: [${serverNames.join(', ')}]
    outage: ${outage}
    takeover: automatic
    failback: manual
    failoversPerHour: 100
    identity: { mode: add, addresses: [${virtualAddress}/24] }
`;

export function withPair<Result>(
  outageSeconds: number,
  say: (line: string) => void,
  act: (pair: Pair) => Promise<Result>,
): Promise<Result> {
  return withStage([...serverNames, witness, 'client'], async (stage) => {
    try {
      const cluster = await bringUp(stage.lab, { config: configuration(`${outageSeconds}s`) });
      const outageMs = outageSeconds * 1000;
      const pair = { stage, cluster, outageMs, settled: () => settled(stage, cluster, outageMs) };
      await pair.settled();
      return await act(pair);
    } catch (error) {
      say(`what the hosts wrote down is kept in ${keepEvidence(stage)}`);
      throw error;
    }
  });
}

function keepEvidence(stage: Stage): string {
  const folder = mkdtempSync(join(tmpdir(), 'holdfast-bench-evidence-'));
  for (const host of stage.lab.hosts)
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

function isSettled(status: Status): boolean {
  const voters = Object.values(status.quorum.members).filter(({ voter }) => voter);
  const of = status.groups[group];
  return (
    status.quorum.healthy &&
    voters.length === 3 &&
    voters.every(({ healthy }) => healthy) &&
    serverNames.every((name) => status.servers[name]?.state === 'up') &&
    of?.phase === 'active' &&
    of.operation === null
  );
}

async function settled(stage: Stage, cluster: LabCluster, outageMs: number): Promise<ServerName> {
  let sinceMs: number | undefined;
  const isStable = (status: Status): boolean => {
    sinceMs = isSettled(status) ? (sinceMs ?? monotonicMs()) : undefined;
    return sinceMs !== undefined && monotonicMs() - sinceMs >= Math.min(outageMs, stableMsMax);
  };
  const status = await cluster.until(witness, 'a settled cluster', isStable, settleMsMax);
  const owner = serverNames.find((name) => name === status.groups[group]?.owner);
  await until('the kernel of the owner alone holds the address', () => stage.holder() === owner, {
    limitMs: 10_000,
  });
  if (owner === undefined) throw new Error(`${status.groups[group]?.owner ?? 'nobody'} is no server`);
  return owner;
}

/** Everything of ours that runs on a server, without what only measures. */
export function ourPids(stage: Stage, name: ServerName): number[] {
  const responder = stage.servers[name].pid();
  return stage.lab
    .host(name)
    .views()
    .filter(({ pid, command }) => pid !== responder && !command.includes(statusReader))
    .map(({ pid }) => pid);
}

/** The process that `run` started under this name. */
export function pidOf(stage: Stage, name: ServerName, process: 'agent' | 'guard' | 'quorum'): number {
  const text = readFileSync(join(stage.lab.host(name).dir, 'run', `${process}.pid`), 'utf8');
  return Number.parseInt(text, 10);
}

/** Powers a server on again and starts its member, as its service would at boot. */
export async function bootAgain({ stage, cluster }: Pair, name: ServerName): Promise<void> {
  await stage.lab.host(name).powerOn();
  await stage.servers[name].start();
  cluster.run(name);
}
