// The lab: several hosts on one machine, for the command `holdfast lab`, the demo, tests and benchmarks.
export { LabError, type LabTrouble } from './error.ts';
export type { ExecOptions, ExecResult } from './command.ts';
export { applyFault, faultGrammar, parseFault, type Fault } from './fault.ts';
export type { Host, SpawnOptions } from './host.ts';
export { createLab, downLab, openLab, type Lab, type LabOptions, type PartitionOptions } from './lab.ts';
export type { HostAddresses, Network } from './plan.ts';
export type { ProcessView } from './process.ts';
export { defaultLabDir } from './state.ts';
export { slowLine, type SlowLine, type SlowLineOptions } from './slow-line.ts';
export { labStatus, type HostStatus, type LabStatus } from './status.ts';
