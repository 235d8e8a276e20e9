/** A seeded world for core's two loops: runs, stories and the audit. Never imported by production code. */

export { runSeed, type RunOptions, type RunResult } from './run.ts';
export type { Violation } from './simulation.ts';
