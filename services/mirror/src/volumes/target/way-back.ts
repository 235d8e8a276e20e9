/**
 * How a copy goes back to what it was before a resync: by a snapshot of its image where its file system makes one
 * (snapshot-undo.ts), otherwise by a log of what was overwritten (undo-log.ts). The record says by which (ground.ts, undoTo).
 */

import type { ByteRange } from '../../transport/volume-frames.ts';

export interface WayBack {
  /** The room that it takes. */
  readonly bytes: number;
  /** It takes that where the volume lies, too. */
  readonly besideVolume: boolean;
  /** The block is as it was, as far as this way goes back. */
  has(block: number): boolean;
  /** The blocks of these ranges that are meant and not in it yet. They may be overwritten after sync(). Throws what the disk says. */
  save(ranges: Iterable<ByteRange>, meant: (block: number) => boolean): void;
  sync(): Promise<void>;
  /** Of the volume, what it would put back. */
  ranges(): Iterable<ByteRange>;
  /** The volume as it was, in turns with others. Durable with the volume's next sync; may be repeated. */
  rollBack(): Promise<void>;
  /** It is not needed any more. */
  remove(): void;
  close(): void;
}
