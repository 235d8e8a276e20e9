/** What a command has around it: given by main in life, by fakes in tests. */
import type { AdminClient } from './admin-client.ts';
import type { Terminal } from './terminal.ts';
import type { Fallible } from './trouble.ts';

export const formats = ['table', 'wide', 'json', 'yaml'] as const;
export type Format = (typeof formats)[number];

export interface Surroundings {
  readonly terminal: Terminal;
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Finds a member that answers; the directory says which there are. */
  readonly connect: (dir: string) => Promise<Fallible<AdminClient>>;
  /** Wall time, for display. */
  readonly now: () => number;
  /** Aborted by the first Ctrl-C or SIGTERM from the first call on; before, these end the process as usual. */
  readonly interruption: () => AbortSignal;
  /** Everything on standard input. */
  readonly readInput: () => Promise<Uint8Array>;
}

export interface Context extends Surroundings {
  /** The member's directory. */
  readonly dir: string;
  readonly format: Format;
}

export const defaultDir = '/var/lib/holdfast';
