/** Makes the action of a command out of its work: the context is made when it runs, and its end is remembered. */
import type { Context } from './context.ts';
import type { Ended } from './trouble.ts';

export type Act = <Args extends readonly unknown[]>(
  work: (context: Context, ...args: Args) => Promise<Ended>,
) => (...args: Args) => Promise<void>;
