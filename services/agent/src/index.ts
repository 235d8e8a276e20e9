/** The agent of a member: `dist/main.js` beside this file is its process; this entry is for tests and tools. */

export { Agent, guardSocketOf, type AgentOptions } from './agent.ts';
export { createAgent, type CreatedAgent } from './create-agent.ts';
export { choosePlatform } from './platform/index.ts';
export type * from './platform/platform.ts';
