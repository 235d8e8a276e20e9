/**
 * What the visitor saw, as the demo keeps it: each answer names a server, the epoch under which it serves, and records that
 * the server has.
 */
import { join } from 'node:path';
import type { Host } from '@holdfast/lab';
import { onLines } from '../bench/lines.ts';
import type { RecordMark } from './record-mark.ts';

export interface Visit {
  /** CLOCK_MONOTONIC. */
  readonly atMs: number;
  readonly server: string;
  readonly epoch: string;
  /** The last record that the service found when it started, and the last that it wrote since. */
  readonly found: RecordMark;
  readonly last: RecordMark;
}

export interface Visits {
  /** All answers so far, in the order in which they came. */
  readonly all: readonly Visit[];
  /** The first answer after a moment, of a server. */
  firstBy(server: string, afterMs: number): Visit | undefined;
  /** Throws when the visitor is gone. */
  check(): void;
}

const visitsMax = 100_000;

export function startVisits(client: Host, address: string, port: number, intervalMs: number): Visits {
  const script = join(import.meta.dirname, 'visitor.js');
  const child = client.spawn([process.execPath, script, address, `${port}`, `${intervalMs}`], {
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  const all: Visit[] = [];
  let gone: string | undefined;
  child.on('error', (error) => (gone = error.message));
  child.on('exit', (code, signal) => (gone = `it ended with ${code ?? signal ?? ''}`));
  child.stdin?.on('error', () => undefined); // told by 'exit'
  if (child.stdout !== null)
    onLines(child.stdout, (line) => {
      const visit = JSON.parse(line) as Omit<Visit, 'epoch'> & { readonly epoch: string | null };
      if (all.length < visitsMax) all.push({ ...visit, epoch: visit.epoch ?? '?' });
    });
  return {
    all,
    firstBy: (server, afterMs) => all.find((visit) => visit.atMs > afterMs && visit.server === server),
    check: () => {
      if (gone !== undefined) throw new Error(`the visitor on the client is gone: ${gone}`);
    },
  };
}
