/** What a target notes in its catalog, with each batch that it records: which one that was, and where that brought it. */

import * as z from 'zod';

/** Its name among the notes of the catalog. */
export const note = 'target';

const shape = z.object({
  applied: z.int().min(0),
  reconciled: z.int().min(0),
  position: z
    .object({
      epoch: z.string().regex(/^\d+$/).transform(BigInt),
      sequence: z.int().min(0),
      checksum: z.string(),
    })
    .nullable(),
  /** records.ts, R3, once batches came after which the history does not tell it: the epoch, and the last number of then. */
  own: z
    .object({ epoch: z.string().regex(/^\d+$/).transform(BigInt), upTo: z.int().min(0) })
    .nullable()
    .default(null),
});
export type Note = z.output<typeof shape>;

/** `text`: undefined when there is none. */
export function readNote(text: string | undefined): Note {
  if (text === undefined) return { applied: 0, reconciled: 0, position: null, own: null };
  return shape.parse(JSON.parse(text));
}

export function noteText(next: Note): string {
  const { position, own } = next;
  return JSON.stringify({
    ...next,
    position: position === null ? null : { ...position, epoch: position.epoch.toString() },
    own: own === null ? null : { ...own, epoch: own.epoch.toString() },
  });
}
