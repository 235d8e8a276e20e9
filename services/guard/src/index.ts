/** How to start a guard, and what to say to it. A guard is a process; nothing of it runs inside another. */

/**
 * Node's own flags for it. Measured: 10 MB of its own, beside the pages of node that all processes share. The rest is for
 * the longest line, read, taken apart, and kept beside the one before.
 */
export const guardNodeFlags: readonly string[] = ['--max-old-space-size=96', '--max-semi-space-size=1'];

/** Exit statuses of the guard's process. */
export const guardExit = { ended: 0, wrong: 2, taken: 3 } as const;

export { lineBytesMax } from './protocol.ts';
export type {
  Argv,
  EventMessage,
  GroupMessage,
  Outcome,
  ReplyMessage,
  RequestId,
  RequestMessage,
  StateMessage,
  StopCommand,
  WatchdogMessage,
} from './protocol.ts';
