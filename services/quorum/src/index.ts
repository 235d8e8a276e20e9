export { QuorumProcess, StartFailure } from './process.ts';
export type { Store } from './store.ts';
