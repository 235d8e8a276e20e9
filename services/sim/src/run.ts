/** One seed, one run. */

import type { GroupId } from '@holdfast/core';
import { Cluster } from './cluster.ts';
import { auditEnding, settleMs } from './ending.ts';
import { Faults } from './faults.ts';
import { Random } from './random.ts';
import { drawScenario, type Scenario } from './scenario.ts';
import { Simulation, type Violation } from './simulation.ts';
import { honest, type Tampering } from './tampering.ts';

export interface RunOptions {
  /** Simulated; with what it takes to settle at the end. */
  readonly minutes: number;
  readonly tampering?: Tampering;
  readonly scenario?: Scenario;
}

export interface RunResult {
  readonly seed: number;
  readonly violation: Violation | null;
  readonly events: number;
  readonly changesOfOwner: number;
  /** Why groups had no owner at the end. */
  readonly held: ReadonlyMap<GroupId, number>;
  readonly journal: (lines: number) => readonly string[];
}

export function runSeed(seed: number, options: RunOptions): RunResult {
  const sim = new Simulation(seed);
  const scenario = options.scenario ?? drawScenario(new Random(seed, 3));
  const cluster = new Cluster(sim, scenario, options.tampering ?? honest);
  const faults = new Faults(cluster, scenario, seed);
  const rough = new Random(seed, 4);
  cluster.powerOn();
  const endMs = options.minutes * 60_000;
  const calmFirstMs = rough.chance(0.2) ? 1_000 : rough.between(20_000, 60_000);
  sim.after(calmFirstMs, () => faults.run(rough.pick([6_000, 12_000, 25_000, 50_000])));
  sim.runUntil(Math.max(calmFirstMs + 30_000, endMs - settleMs(cluster)));
  const held = sim.failed() ? new Map<string, number>() : heal(sim, cluster, faults);
  return {
    seed,
    violation: sim.violation,
    events: sim.events,
    changesOfOwner: cluster.records.changesOfOwner,
    held,
    journal: (lines) => [...sim.journal(lines), ...cluster.describe()],
  };
}

/** Everything heals, and within a bound all must be well. */
function heal(sim: Simulation, cluster: Cluster, faults: Faults): ReadonlyMap<string, number> {
  faults.stop();
  sim.runUntil(sim.now + settleMs(cluster));
  return sim.failed() ? new Map() : auditEnding(cluster).held;
}
