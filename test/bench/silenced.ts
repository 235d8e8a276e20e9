/**
 * Our processes on the owner are silenced while its host lives on: all killed, or the agent frozen. The address must never
 * be on two servers. What is watched is each kernel's own list of addresses.
 */
import { ourPids, pidOf, type Pair } from './pair.ts';
import { otherServer, type ServerName, type Stage } from './stage.ts';
import { until } from './until.ts';

export type Silence = 'killed' | 'frozen';

const graceMs = 30_000;

/** Milliseconds during which the address may have been on both; 0 is what must be. Throws when nobody took over. */
export async function silenceOwner(pair: Pair, silence: Silence): Promise<number> {
  const { stage, cluster, outageMs } = pair;
  const owner = await pair.settled();
  const standby = otherServer(owner);
  const sharedBefore = stage.sharedMs();
  const undo = silence === 'killed' ? await killAll(stage, owner) : await freezeAgent(stage, owner);
  await until(`${standby} holds the address`, () => stage.servers[standby].holdsNow(), {
    limitMs: outageMs + graceMs,
    everyMs: 5,
  });
  await until(`${owner} has lost the address`, () => !stage.servers[owner].holdsNow(), {
    limitMs: outageMs + graceMs,
    everyMs: 5,
  });
  // What a late awakening would do belongs to the run.
  if (silence === 'killed') cluster.run(owner);
  else await undo();
  await pair.settled();
  return stage.sharedMs() - sharedBefore;
}

async function killAll(stage: Stage, owner: ServerName): Promise<() => Promise<void>> {
  await until(
    `everything of ours on ${owner} is gone`,
    () => {
      const left = ourPids(stage, owner);
      for (const pid of left) killIfThere(pid);
      return left.length === 0;
    },
    { limitMs: 10_000, everyMs: 1 },
  );
  return () => Promise.resolve();
}

function killIfThere(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
  }
}

async function freezeAgent(stage: Stage, owner: ServerName): Promise<() => Promise<void>> {
  const host = stage.lab.host(owner);
  const pid = pidOf(stage, owner, 'agent');
  await host.freezeProcess(pid);
  // `run` may meanwhile have replaced it: then there is nothing to thaw.
  return async () => {
    if (host.processes().includes(pid)) await host.thawProcess(pid);
  };
}
