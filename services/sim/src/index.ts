/** A seeded world for core's two loops: runs, stories and the audit. Never imported by production code. */

export { runSeed, type RunOptions, type RunResult } from './run.ts';
export type { Violation } from './simulation.ts';
export { stories } from './stories/stories.ts';
export { tell, type Story, type Told } from './stories/story.ts';
export { variants, type Variant } from './variants.ts';
