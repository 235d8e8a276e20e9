/** The command line as a package: for tests and the demo, which bring a lab up with it. */
export { bringUp, type BringUpOptions, type LabCluster } from './lab/cluster.ts';
export { main, runCommandLine } from './main.ts';
