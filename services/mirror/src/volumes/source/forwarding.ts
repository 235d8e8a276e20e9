/**
 * What goes to one target on one connection: changes gathered into frames, frames numbered, and what the target said of them.
 *
 *   F1  frames are numbered without a gap, and carry changes in the order in which they were added
 *   F2  a chunk that was added is in chunks() until the target has it durable, or somebody else takes it over
 */

import type { Connection } from '../../transport/types.ts';
import type { BlockChange, VolumeAck } from '../../transport/volume-frames.ts';
import { Batch, type BatchFrame } from './batch.ts';
import { Outstanding } from './outstanding.ts';

/** A frame costs about as much as ten small writes in it. */
const gatherMs = 1;
/** What a chunk that is remembered takes in memory, about. */
const chunkHeldBytes = 64;

interface Flags {
  readonly barrier?: boolean;
  readonly inStep?: boolean;
  readonly resync?: boolean;
}

type Leaving = Omit<BatchFrame, 'done'> & { readonly done?: () => void };

export class Forwarding {
  readonly #connection: Connection;
  readonly #urgent: () => boolean;
  readonly #outstanding = new Outstanding();
  #batch: Batch;
  #number = 0;
  /** The last frame that was a barrier. */
  #barrier = 0;
  #scheduled = false;
  #received = 0;
  #durable = 0;
  #sentBytes = 0;

  /** `sequence`: of the last write that is not forwarded. `urgent`: nothing is gained by waiting for more. */
  constructor(connection: Connection, sequence: number, urgent: () => boolean) {
    this.#connection = connection;
    this.#urgent = urgent;
    this.#batch = new Batch(sequence);
  }

  /** Of contents, that the target has not received. */
  get bytes(): number {
    return this.#outstanding.bytes + this.#batch.bytes;
  }

  /** Of the volume, that it has not received: zeros count as what they cover. */
  get lackingBytes(): number {
    return this.bytes + this.#outstanding.zeroBytes + this.#batch.zeroBytes;
  }

  /** What is held in memory until it answers (congestion.ts). */
  get heldBytes(): number {
    return this.bytes + this.#outstanding.chunkCount * chunkHeldBytes;
  }

  /** Of contents, since the connection began. */
  get sentBytes(): number {
    return this.#sentBytes;
  }

  get oldestMs(): number | null {
    return this.#outstanding.oldestMs;
  }

  /** When the oldest was sent that is not durable there; null: everything is. */
  get undurableMs(): number | null {
    return this.#outstanding.undurableMs;
  }

  /** When the oldest was sent that somebody may wait for; null: nothing. */
  get unansweredMs(): number | null {
    return this.#outstanding.unansweredMs;
  }

  /** The last write that the target has received, and the last that it has durable. */
  get received(): number {
    return this.#received;
  }

  get durable(): number {
    return this.#durable;
  }

  add(sequence: number, change: BlockChange, firstChunk: number, lastChunk: number): void {
    for (let chunk = firstChunk; chunk <= lastChunk; chunk += 1) this.#outstanding.add(chunk);
    if (this.#batch.add(sequence, change, this.#connection.dataBytes)) this.flush();
    else this.#schedule();
  }

  /** What a comparison found, after everything that was added before. */
  addDifferences(changes: readonly BlockChange[], chunks: readonly number[]): void {
    this.flush();
    for (const chunk of chunks) this.#outstanding.add(chunk);
    const { sequence } = this.#batch;
    for (const change of changes) this.#batch.add(sequence, change, this.#connection.dataBytes);
    this.flush({ resync: true });
  }

  /** Durable there, before anything that comes later is applied. Not again while the last frame says so. */
  barrier(): void {
    if (this.#batch.empty && (this.#barrier === this.#number || this.undurableMs === null)) return;
    this.flush({ barrier: true });
  }

  /**
   * The mark that ends a resync. `sequence`: of the last write: those to chunks that were dirty anyway were not added here, and
   * went with the differences. Answers the number of the frame.
   */
  markInStep(sequence: number): number {
    this.#batch.reached(sequence);
    return this.flush({ barrier: true, inStep: true });
  }

  /** With a barrier or a mark there is a frame even when nothing waits. Answers the number of the last one. */
  flush({ barrier = false, inStep = false, resync = false }: Flags = {}): number {
    const flags = { barrier, inStep, resync };
    const frames = this.#batch.take();
    if (frames.length === 0 && (barrier || inStep))
      this.#send({ changes: [], sequence: this.#batch.sequence, bytes: 0, zeroBytes: 0 }, true, flags);
    frames.forEach((frame, i) => {
      const last = i === frames.length - 1;
      this.#send(frame, last, { barrier: barrier && last, inStep: inStep && last, resync });
    });
    return this.#number;
  }

  /** Empty, or what is wrong with it. */
  acknowledge(ack: VolumeAck): string {
    if (ack.received > this.#number) return 'the target acknowledges what it was not sent';
    this.#received = this.#outstanding.received(ack.received) ?? this.#received;
    this.#durable = this.#outstanding.durable(ack.durable) ?? this.#durable;
    return '';
  }

  /** F2. */
  chunks(): Iterable<number> {
    return this.#outstanding.chunks();
  }

  /** What was not sent is not sent any more, and the chunks are somebody else's. */
  drop(sequence: number): void {
    this.#outstanding.forgetChunks();
    this.#batch = new Batch(sequence);
  }

  #schedule(): void {
    if (this.#scheduled) return;
    this.#scheduled = true;
    const leave = (): void => {
      this.#scheduled = false;
      this.flush();
    };
    // After the answers to the service have left; where nobody waits, with what else comes within a moment.
    if (this.#urgent()) setImmediate(leave);
    else setTimeout(leave, gatherMs);
  }

  /** `last`: of those that leave together. */
  #send({ changes, sequence, bytes, zeroBytes, done }: Leaving, last: boolean, flags: Required<Flags>): void {
    this.#number += 1;
    if (flags.barrier) this.#barrier = this.#number;
    this.#sentBytes += bytes;
    const { barrier } = flags;
    const number = this.#number;
    this.#outstanding.sent({ number, sequence, bytes, zeroBytes, atMs: performance.now(), barrier }, last);
    this.#connection.send({
      kind: 'volume-writes',
      number,
      sequence,
      changes,
      ...flags,
      ...(done === undefined ? {} : { done }),
    });
  }
}
