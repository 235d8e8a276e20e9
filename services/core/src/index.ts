export type * from './names.ts';
export type * from './records.ts';
export { noMaintenance } from './records.ts';
export type * from './store.ts';
export type * from './config/types.ts';
export { brokenRule, deriveTimeRules, kernelLifetimeSeconds, rho } from './time.ts';
export type { TimeRules, TimeRulesResult } from './time.ts';
