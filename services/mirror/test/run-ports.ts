/** What a run is given by somebody who takes every row at once. */
import type { MirrorRunRow } from '@holdfast/wire/mirror';
import type { RunPorts } from '../src/process/side.ts';

export const portsTo = (
  rows: MirrorRunRow[] = [],
  signal: AbortSignal = new AbortController().signal,
): RunPorts => ({ row: (row) => void rows.push(row), room: () => Promise.resolve(), signal });
