/** What a target writes into the catalog of itself, beside the catalog's own standing, and reads back. */

import * as z from 'zod';
import type { Epoch, History, Position } from '@holdfast/core';

/** Its name among the notes of the catalog. */
export const note = 'target';

/** Changes of the catalog that nobody else may have. */
export interface Own {
  /** Of whoever made them. */
  readonly epoch: Epoch;
  /** The last number of then. */
  readonly upTo: number;
}

/** Those of a lost owner, above the number up to which the next one had them. */
export interface Ahead extends Own {
  readonly above: number;
}

export interface Note {
  /** The last batch that was recorded, in the log's numbers. */
  readonly applied: number;
  readonly reconciled: number;
  readonly position: Position | null;
  /** R3 (records.ts), once batches came after which the history does not tell it. */
  readonly own: Own | null;
  /** R4 (records.ts). */
  readonly ahead: Ahead | null;
  /** R4 (records.ts): what it held before the history was given up; empty while that tells it. */
  readonly held: History;
  /** S2, S3 of agreement.ts. */
  readonly apart: bigint | null;
  /** S4 of agreement.ts. */
  readonly comparedMs: number;
  /** R6 (records.ts). */
  readonly distrusted: boolean;
}

const number = z.int().min(0);
const whole = z.string().regex(/^\d+$/).transform(BigInt);

const shape = z.object({
  applied: number,
  reconciled: number,
  position: z.object({ epoch: whole, sequence: number, checksum: z.string() }).nullable(),
  own: z.object({ epoch: whole, upTo: number }).nullable().default(null),
  ahead: z.object({ epoch: whole, upTo: number, above: number }).nullable().default(null),
  held: z.array(z.object({ epoch: whole, sequence: number })).default([]),
  apart: whole.nullable().default(null),
  comparedMs: z.number().default(0),
  distrusted: z.boolean().default(false),
});

const none = shape.parse({ applied: 0, reconciled: 0, position: null });

export const readNote = (text: string | undefined): Note =>
  text === undefined ? none : shape.parse(JSON.parse(text));

export const noteText = (note: Note): string =>
  JSON.stringify(note, (_, value: unknown) => (typeof value === 'bigint' ? value.toString() : value));
