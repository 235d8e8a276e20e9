/**
 * The entry of the thread that serves a volume's clients at its owner. It has an event loop only until it is told what to serve;
 * from then on it waits in poll(2) (volumes/export/direct-server.ts). What it has to say it posts.
 */
import { setPriority } from 'node:os';
import { parentPort } from 'node:worker_threads';
import { DirectServer } from '../volumes/export/direct-server.ts';
import { ExportedVolume } from '../volumes/export/exported-volume.ts';
import { Grant } from '../volumes/export/grant.ts';
import { wakeIntake } from '../volumes/export/intake.ts';
import { SharedMemory, type SharedParts } from '../volumes/export/shared-memory.ts';
import { FileStore, type SharedFile } from '../volumes/store/file-store.ts';

export interface ExportTerms {
  /** Where clients find it, and the name by which they ask for it. */
  readonly socketPath: string;
  readonly name: string;
  readonly file: SharedFile;
  readonly shared: SharedParts;
  /** By which it is woken; eventfd(2). */
  readonly wakeFd: number;
}

export type FromExportThread =
  | { readonly kind: 'listens' }
  | { readonly kind: 'failed'; readonly says: string }
  | { readonly kind: 'says'; readonly sentence: string }
  /** The disk refused something to a client. */
  | { readonly kind: 'refused'; readonly sentence: string };

/** A disk that is broken refuses a lot. */
const refusedEveryMs = 1_000;

const port = parentPort;
if (port === null) throw new Error('this file is the entry of a thread');
const tell = (message: FromExportThread): void => port.postMessage(message);

try {
  // As the source's thread (source-thread.ts).
  setPriority(0);
} catch {
  // Without the right to that it is as slow as its process on a busy host, and nothing else.
}

port.once('message', (terms: ExportTerms) => {
  const server = listening(terms);
  if (server !== null) {
    tell({ kind: 'listens' });
    server.serve();
  }
  port.close();
});

/** Null: it said why not. */
function listening({ socketPath, name, file, shared, wakeFd }: ExportTerms): DirectServer | null {
  const memory = new SharedMemory(shared);
  const grant = new Grant(memory);
  const says = (sentence: string): void => tell({ kind: 'says', sentence });
  let refusedMs = -Infinity;
  const volume = new ExportedVolume({
    store: FileStore.shared(file),
    shared: memory,
    mayAct: () => grant.holds,
    wakeSource: () => wakeIntake(memory),
    refused: (sentence) => {
      if (performance.now() - refusedMs < refusedEveryMs) return;
      refusedMs = performance.now();
      tell({ kind: 'refused', sentence });
    },
  });
  try {
    return DirectServer.listen({ socketPath, name, volume, shared: memory, wakeFd, says });
  } catch (error) {
    tell({ kind: 'failed', says: error instanceof Error ? error.message : String(error) });
    return null;
  }
}
