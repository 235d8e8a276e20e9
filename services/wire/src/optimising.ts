/**
 * When V8 optimises a function: after so many bytes of bytecode of it were run. A process that rests most of the time gets there
 * within minutes with functions that it calls a few times a second, and never earns back what it costs to optimise them.
 *
 * It is set by the process itself, after its code cache was read: V8 takes no cache of other flags than its own (ADR 32). So not
 * in a thread, either, which shares the flags of the process that makes the caches.
 */
import { setFlagsFromString } from 'node:v8';
import { isMainThread } from 'node:worker_threads';

/** Ten times as much as usual. What is really busy is optimised all the same, a little later. */
const budgetBytes = 675_840;

/** For processes that rest until the night on which they must be quick. */
export function optimiseLate(): void {
  if (!isMainThread) return;
  setFlagsFromString(`--interrupt-budget=${String(budgetBytes)}`);
  // Otherwise what was not called for some time is forgotten, and a takeover would begin by compiling its own steps anew.
  setFlagsFromString('--no-flush-bytecode');
}
