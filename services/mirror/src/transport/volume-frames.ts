/**
 * What source and target of a volume say to each other beside hello, refusal and beats (types.ts; T1 to T3 hold here,
 * too). Frames that change contents are numbered, from 1 in each connection, without a gap.
 *
 * Offsets and lengths are bytes, below 2^48. Whether they lie within the volume is for the receiver to judge.
 */

/** One change, in the order in which it has to be applied. */
export type BlockChange =
  | { readonly kind: 'write'; readonly offset: number; readonly contents: Buffer }
  /** Zeros; `hole`: no room has to be kept for them. */
  | { readonly kind: 'zero'; readonly offset: number; readonly length: number; readonly hole: boolean };

export interface VolumeWrites {
  readonly kind: 'volume-writes';
  readonly number: number;
  /** Of the last write that is in it or before it. */
  readonly sequence: number;
  readonly changes: readonly BlockChange[];
  /** Everything up to here has to be durable before anything behind it is applied. */
  readonly barrier: boolean;
  /** With everything up to here the copy is at `sequence`, and consistent. */
  readonly inStep: boolean;
  /** Out of order: what a comparison found to differ. */
  readonly resync: boolean;
  /** As that of Data (types.ts). */
  readonly done?: () => void;
}

export interface VolumeAck {
  readonly kind: 'volume-ack';
  /** Everything up to this frame is applied. */
  readonly received: number;
  /** Everything up to this frame would survive a power cut. */
  readonly durable: number;
  /** The position to which a takeover would come. */
  readonly sequence: number;
  readonly consistent: boolean;
}

export interface ByteRange {
  readonly offset: number;
  readonly length: number;
}

/** What the target tells of itself after its hello. Several frames when there are many ranges. */
export interface VolumeStanding {
  readonly kind: 'volume-standing';
  readonly sizeBytes: number;
  /** Of its relation with the source; empty: there is none. */
  readonly stamp: string;
  /** What it wrote itself and the source may lack. */
  readonly ranges: readonly ByteRange[];
  readonly last: boolean;
}

/** The source begins to bring the target in step; `stamp` is that of their relation from now on. */
export interface VolumeResync {
  readonly kind: 'volume-resync';
  readonly stamp: string;
  /** What is to be compared. */
  readonly bytes: number;
  readonly sizeBytes: number;
}

/** A question: the hashes of these ranges, as they are after everything that was sent before. */
export interface VolumeCompare {
  readonly kind: 'volume-compare';
  readonly number: number;
  /** One or more, in any order, that begin with a block, and have `compareBlocksMax` together at most. */
  readonly ranges: readonly ByteRange[];
}

export interface VolumeHashes {
  readonly kind: 'volume-hashes';
  readonly number: number;
  /** 16 bytes for each block of 4 KiB, in the order of the question. */
  readonly hashes: Buffer;
}

export type VolumeFrame =
  VolumeWrites | VolumeAck | VolumeStanding | VolumeResync | VolumeCompare | VolumeHashes;

/** Changes of one frame. */
export const changesMax = 8_192;
export const rangesMax = 8_192;
export const compareBlocksMax = 256;
export const blockBytes = 4_096;
/** Of the volume, in one question. */
export const compareBytesMax = compareBlocksMax * blockBytes;
export const hashBytes = 16;
export const stampBytesMax = 64;

/** The last one may be a part. */
export const blocksIn = (length: number): number => Math.ceil(length / blockBytes);
