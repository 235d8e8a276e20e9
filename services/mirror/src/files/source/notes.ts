/** What a source keeps about its targets and itself in the catalog, besides the entries. */

import * as z from 'zod';
import type { Epoch } from '@holdfast/core';
import type { Catalog } from '../../catalog/types.ts';

const key = 'source';

const shape = z.object({
  /** Of the last time as a source. */
  epoch: z.string().regex(/^\d+$/).transform(BigInt),
  /** By member: what it acknowledged, and the moment of the names of a copy that is not complete. */
  targets: z.record(z.string(), z.object({ acked: z.int().min(0), copyEnd: z.int().min(0).nullable() })),
  /** It ended when all of its targets held this, and it had nothing more. Null: it did not end so. */
  drained: z.int().min(0).nullable().default(null),
  /** Wall time in milliseconds: it looked on until then. */
  seenMs: z.number().nullable().default(null),
  /** The life of the host in which this was written. */
  boot: z.string().default(''),
  /** settled.ts. Null: not known. */
  settled: z.int().min(0).nullable().default(null),
});

export interface TargetNote {
  readonly acked: number;
  readonly copyEnd: number | null;
}

export interface SourceNote {
  readonly epoch: Epoch;
  readonly targets: Readonly<Record<string, TargetNote>>;
  readonly drained: number | null;
  readonly seenMs: number | null;
  readonly boot: string;
  readonly settled: number | null;
}

/** The number at which a source ended that had brought everything to its targets; null: it did not end so. */
export function drainedAt(catalog: Catalog): number | null {
  return readNote(catalog)?.drained ?? null;
}

/** Null: this copy was never a source, or what it noted is of no use. */
export function readNote(catalog: Catalog): SourceNote | null {
  const text = catalog.meta.notes[key];
  if (text === undefined) return null;
  const parsed = shape.safeParse(JSON.parse(text));
  return parsed.success ? parsed.data : null;
}

export function writeNote(catalog: Catalog, note: SourceNote): void {
  const text = JSON.stringify({ ...note, epoch: note.epoch.toString() });
  catalog.setMeta({ notes: { ...catalog.meta.notes, [key]: text } });
}
