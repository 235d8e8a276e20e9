/**
 * What source and target see of the line between them: the frames, as immutable records that were checked when they
 * came in, and the connection that carries them. The wire contract is proto/holdfast/v1/mirror.proto.
 *
 * T1. What `onFrame` delivers is well formed: paths are relative and can't leave the root, names, lists and extended
 *     attributes are within limits.ts, numbers are safe integers. Whether it makes sense is for the receiver to judge.
 * T2. Buffers of a received frame are the receiver's: the connection never writes to them again. They may be views of a
 *     larger buffer, so that who keeps a few bytes for long copies them.
 * T3. Buffers of a sent frame belong to the connection from `send` on; the sender does not write to them again.
 */

import type { Epoch, History, Position } from '@holdfast/core';
import type { CertificateProblem, Peer, WireCredentials } from '@holdfast/wire/directory';
import type { Throttle } from './throttle.ts';
import type { VolumeFrame } from './volume-frames.ts';

export const protocolVersion = 1;

export type EntryKind = 'file' | 'folder' | 'link' | 'fifo' | 'block' | 'char';

/** Name and value, as os/tree.ts reads and sets them. */
export type ExtendedAttribute = readonly [name: Buffer, value: Buffer];

export interface Attributes {
  readonly kind: EntryKind;
  /** 12 bits. */
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  readonly size: number;
  /** Seconds since 1970, may be negative. */
  readonly mtimeS: number;
  readonly mtimeNs: number;
  /** Symbolic links: where to, at most 4,095 bytes. Others: empty. */
  readonly link: Buffer;
  readonly deviceMajor: number;
  readonly deviceMinor: number;
  readonly extended: readonly ExtendedAttribute[];
}

export interface PartFile {
  readonly path: Buffer;
  readonly version: Buffer;
  readonly bytes: number;
}

/** The first frame of either side. */
export interface Hello {
  readonly kind: 'hello';
  readonly protocol: number;
  readonly cluster: string;
  readonly member: string;
  readonly mirror: string;
  readonly role: 'source' | 'target';
  readonly epoch: Epoch;
  /** Null: nothing was ever received. */
  readonly position: Position | null;
  readonly history: History;
  readonly selection: Buffer;
  readonly consistent: boolean;
  readonly parts: readonly PartFile[];
  readonly foreign: boolean;
  /** Target of a volume: so many ranges one question may name; 0: it knows of one only. */
  readonly compareRanges: number;
}

export const refusalCodes = [
  'epoch',
  'role',
  'cluster',
  'mirror',
  'selection',
  'protocol',
  'overlap',
  'diverged',
  'shutdown',
] as const;

export type RefusalCode = (typeof refusalCodes)[number];

export interface Refuse {
  readonly kind: 'refuse';
  readonly code: RefusalCode;
  readonly says: string;
  /** The highest epoch that the refusing side knows. */
  readonly epoch: Epoch;
}

export interface Plan {
  readonly kind: 'plan';
  readonly mode: 'continue' | 'compare' | 'verify';
  readonly from: number;
  readonly entries: number;
  readonly bytes: number;
}

export interface Candidates {
  readonly kind: 'candidates';
  readonly paths: readonly Buffer[];
  readonly last: boolean;
}

export interface OfferedEntry {
  readonly path: Buffer;
  /** Null: it does not exist at the source. */
  readonly attributes: Attributes | null;
  readonly blockBytes: number;
  /** 16 bytes for each block. */
  readonly hashes: Buffer;
}

export interface Offer {
  readonly kind: 'offer';
  readonly number: number;
  readonly entries: readonly OfferedEntry[];
}

export interface WantedEntry {
  readonly path: Buffer;
  readonly whole: boolean;
  readonly blocks: readonly number[];
}

export interface Wants {
  readonly kind: 'wants';
  readonly number: number;
  readonly entries: readonly WantedEntry[];
}

export interface Begin {
  readonly kind: 'begin';
  readonly number: number;
  readonly consistent: boolean;
}

export interface Move {
  readonly kind: 'move';
  readonly from: Buffer;
  readonly slot: number;
}

export interface Remove {
  readonly kind: 'remove';
  readonly path: Buffer;
}

export interface Place {
  readonly kind: 'place';
  readonly slot: number;
  readonly to: Buffer;
}

export interface Put {
  readonly kind: 'put';
  readonly path: Buffer;
  readonly attributes: Attributes;
  /** The whole contents, when `stream` is 0. */
  readonly contents: Buffer;
  /** Not 0: data frames with this number follow. */
  readonly stream: number;
  readonly version: Buffer;
}

export interface HardLink {
  readonly kind: 'hard-link';
  readonly path: Buffer;
  readonly to: Buffer;
}

export interface Patch {
  readonly kind: 'patch';
  readonly path: Buffer;
  readonly attributes: Attributes;
  readonly stream: number;
}

/** The root is the empty path: it may stand here, in offers, wants and candidates, and nowhere else. */
export interface SetAttributes {
  readonly kind: 'set';
  readonly path: Buffer;
  readonly attributes: Attributes;
}

export type FileOperation = Move | Remove | Place | Put | HardLink | Patch | SetAttributes;

export interface Operations {
  readonly kind: 'operations';
  readonly operations: readonly FileOperation[];
}

/** Contents of a file; compressed on the line where that pays, never here. */
export interface Data {
  readonly kind: 'data';
  readonly stream: number;
  readonly offset: number;
  /** 1 to `dataBytesMax` bytes. */
  readonly contents: Buffer;
  /** To be called once by who has the frame in the end, when nobody needs the contents any more: they are written over then. */
  readonly done?: () => void;
}

export interface Hole {
  readonly kind: 'hole';
  readonly stream: number;
  readonly offset: number;
  readonly length: number;
}

export interface StreamEnd {
  readonly kind: 'stream-end';
  readonly stream: number;
  readonly bytes: number;
}

export interface StreamAbort {
  readonly kind: 'stream-abort';
  readonly stream: number;
}

export interface Commit {
  readonly kind: 'commit';
  readonly number: number;
  readonly sequence: number;
  /** 16 hexadecimal digits over all entries of the source at `sequence`; `unknownChecksum` while the copy is not consistent. */
  readonly checksum: string;
  readonly consistent: boolean;
  readonly hot: readonly Buffer[];
  readonly history: History;
}

export interface Ack {
  readonly kind: 'ack';
  readonly number: number;
  readonly sequence: number;
  readonly checksum: string;
}

/** What a side tells of itself; the connection adds the round trip. */
export interface BeatFacts {
  readonly behindBytes: number;
  readonly behindMs: number;
  readonly waiting: string;
  readonly sequence: number;
  readonly receivedBytes: number;
  readonly says: string;
  /** The target holds writes of its own that are not kept aside yet. */
  readonly diverged: boolean;
}

export interface Beat extends BeatFacts {
  readonly kind: 'beat';
  /** The sender's clock, and ours as it came back; 0 when there was none. The connection fills both in. */
  readonly sentAtMs: number;
  readonly echoSentAtMs: number;
}

export type Frame =
  | Hello
  | Refuse
  | Plan
  | Candidates
  | Offer
  | Wants
  | Begin
  | Operations
  | Data
  | Hole
  | StreamEnd
  | StreamAbort
  | Commit
  | Ack
  | Beat
  | VolumeFrame;

export interface Garbage {
  readonly kind: 'garbage';
  readonly says: string;
}

/** Why a connection is over. */
export interface Ended {
  readonly kind:
    /** close() was called here. */
    | 'closed'
    /** The other side closed in order. */
    | 'finished'
    /** Nothing was heard for `silentMs`: frozen, or the line is cut. */
    | 'silent'
    /** What came was no frame, or a frame out of its limits. */
    | 'garbage'
    /** The system reports it broken. */
    | 'broken';
  readonly says: string;
}

export type CompressionMode = 'auto' | 'always' | 'never';

export interface Counters {
  /** Bytes on the line, with TLS and frame headers, without those of TCP and IP. */
  readonly sentWireBytes: number;
  readonly receivedWireBytes: number;
  /** Of data frames, as files have them: before compression, after decompression. */
  readonly sentContentBytes: number;
  readonly receivedContentBytes: number;
  readonly sentFrames: number;
  readonly receivedFrames: number;
  /** Bytes that `send` took and that the system did not take yet. */
  readonly queuedBytes: number;
  /** Data frames that compression left as they were, because it was off or did not pay. */
  readonly plainFrames: number;
  readonly compressedFrames: number;
}

export interface Connection {
  /** Who is at the other end, as its certificate proves. */
  readonly peer: Peer;
  /** False: authenticated, and not encrypted. */
  readonly encrypted: boolean;
  /** Null while it lasts. */
  readonly ended: Ended | null;
  /** Smoothed; null before the first beat came back. */
  readonly rttMs: number | null;
  /** How much a data frame should carry, so that beats do not wait for it long: less when the rate is low. */
  readonly dataBytes: number;
  /**
   * Queues the frame; after the end it does nothing. False: there is no room for more, await writable() before the next
   * one. Frames keep their order, except that beats overtake. Throws for a frame that breaks the limits: that is a
   * fault of the sender.
   */
  send(frame: Frame): boolean;
  /** When there is room, or the connection ended: look at `ended` afterwards. */
  writable(): Promise<void>;
  /** When everything that was sent left this process, or the connection ended. */
  flushed(): Promise<void>;
  /** One listener; until there is one, the connection holds. A later one takes its place. Never called after hold(). */
  onFrame(listener: (frame: Frame) => void): void;
  /** One listener; called once, at once when it has ended already. */
  onEnd(listener: (ended: Ended) => void): void;
  /**
   * Stops delivering. About 1 MiB is kept, then nothing is read, the other side has to wait, and silence is not judged
   * any more. What is kept when the connection ends meanwhile is dropped.
   */
  hold(): void;
  go(): void;
  /** What the beats tell from now on. Without it they tell nothing. */
  beats(facts: () => BeatFacts): void;
  /** One beat out of turn. */
  beatNow(): void;
  /** What was sent before still leaves, for at most `lingerMs` (default 1,000). */
  close(says: string, lingerMs?: number): void;
  counters(): Counters;
}

export interface LineOptions {
  /** Shared by all connections that are to share a rate. Absent: as fast as it goes. */
  readonly throttle?: Throttle;
  /** Default: auto. */
  readonly compression?: CompressionMode;
  /** Default 250. */
  readonly beatMs?: number;
  /** Default 5,000. */
  readonly silentMs?: number;
}

export interface DialOptions extends LineOptions {
  readonly credentials: WireCredentials;
  /** The member that has to be there. */
  readonly member: string;
  /** Addresses, tried in this order. */
  readonly hosts: readonly string[];
  readonly port: number;
  /** Never: both sides are authenticated, contents travel as they are. */
  readonly encrypt: 'always' | 'never';
  /** For each address, with everything. Default 5,000. */
  readonly timeoutMs?: number;
  readonly signal?: AbortSignal;
}

export interface DialFailure {
  readonly kind:
    /** Nobody listens, or a firewall says no. */
    | 'refused'
    | 'unreachable'
    /** It takes connections and does not answer, or answers too late. */
    | 'silent'
    /** Its certificate is not the expected one; `problem` says why. */
    | 'certificate'
    /** It does not take our certificate, or is full. */
    | 'not-admitted'
    /** What answers is no mirror process. */
    | 'garbage'
    | 'stopped'
    | 'failed';
  readonly says: string;
  readonly problem?: CertificateProblem;
}

export type Dialed =
  | { readonly kind: 'connected'; readonly connection: Connection }
  | { readonly kind: 'failed'; readonly failure: DialFailure };

export interface ListenOptions extends LineOptions {
  readonly credentials: WireCredentials;
  /** Default: every address, IPv4 and IPv6. */
  readonly host?: string;
  /** 0 takes a free one. */
  readonly port: number;
  /** Connections that did not say yet who they are. Default 64. */
  readonly strangersMax?: number;
  /** All connections. Default 1,024. */
  readonly connectionsMax?: number;
  /** From the connection to its hello. Default 5,000. */
  readonly helloMs?: number;
  /** One sentence for the log, about what was dropped. At most one a second. */
  readonly says?: (sentence: string) => void;
  /** Why nobody takes connections of a mirror now, as far as it is known; else empty. Its source is told. */
  readonly absent?: (mirror: string) => string;
}

/** What the listener does with a source that dials. */
export interface Acceptor {
  /** False: who is not encrypted is refused. */
  readonly plain: boolean;
  /** The hello is the first frame and came; later frames wait until onFrame is called. */
  accept(connection: Connection, hello: Hello): void;
}

export interface ListenerCounters {
  /** Connections that were dropped before their hello, by reason. */
  readonly garbage: number;
  readonly certificate: number;
  readonly silent: number;
  readonly full: number;
  readonly unknownMirror: number;
  readonly accepted: number;
  /** Now. */
  readonly strangers: number;
  readonly connections: number;
}

export interface Listener {
  readonly port: number;
  /** Sources that dial for this mirror go there, until the answer is called. Throws when the name is taken. */
  register(mirror: string, acceptor: Acceptor): () => void;
  counters(): ListenerCounters;
  /** Ends every connection that it accepted. */
  close(): Promise<void>;
}

export type Listened =
  | { readonly kind: 'listening'; readonly listener: Listener }
  | {
      readonly kind: 'failed';
      readonly reason: 'port-in-use' | 'no-such-address' | 'not-allowed' | 'failed';
      readonly says: string;
    };
