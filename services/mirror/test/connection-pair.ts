/**
 * Two connections that are joined in memory, for tests: every frame is really encoded, cut into chunks and decoded, and
 * one side's hold() really stops the other.
 */

import type { Peer } from '@holdfast/wire/directory';
import { copyIn } from '../src/transport/direct-reads.ts';
import { Line } from '../src/transport/line.ts';
import type { Connection, LineOptions } from '../src/transport/types.ts';
import type { Wire } from '../src/transport/wire.ts';

interface PairOptions extends LineOptions {
  /** How the bytes are cut. Default 16,384, as TLS delivers them. */
  readonly chunkBytes?: number;
  readonly source?: string;
  readonly target?: string;
}

export interface ConnectionPair {
  readonly source: Connection;
  readonly target: Connection;
  /** Both sides see a connection that broke. */
  cut(): void;
  /** Nothing passes any more, and nobody is told. */
  freeze(): void;
}

/** What one side wrote and the other has not read yet. */
interface Packet {
  readonly bytes: Buffer;
  readonly taken: () => void;
}

class MemoryWire implements Wire {
  other: MemoryWire | null = null;
  line: Line | null = null;
  frozen = false;
  readonly #chunkBytes: number;
  #inbox: Packet[] = [];
  #paused = false;
  #finished = false;
  #destroyed = false;
  #scheduled = false;

  constructor(chunkBytes: number) {
    this.#chunkBytes = chunkBytes;
  }

  write(pieces: readonly Uint8Array[], taken: () => void): void {
    if (this.#destroyed) return;
    this.other?.put({ bytes: Buffer.concat(pieces), taken });
  }

  put(packet: Packet): void {
    if (this.#destroyed) return;
    this.#inbox.push(packet);
    this.#schedule();
  }

  end(): void {
    this.other?.finish();
  }

  finish(): void {
    this.#finished = true;
    this.#schedule();
  }

  destroy(): void {
    if (this.#destroyed) return;
    this.#destroyed = true;
    this.#inbox = [];
    this.other?.finish();
  }

  pause(): void {
    this.#paused = true;
  }

  resume(): void {
    this.#paused = false;
    this.#schedule();
  }

  wireBytes(bytes: number): number {
    return bytes;
  }

  #schedule(): void {
    if (this.#scheduled) return;
    this.#scheduled = true;
    setImmediate(() => {
      this.#scheduled = false;
      this.#run();
    });
  }

  #run(): void {
    while (!this.#paused && !this.frozen && !this.#destroyed) {
      const packet = this.#inbox.shift();
      if (packet === undefined) break;
      const chunk = packet.bytes.subarray(0, this.#chunkBytes);
      const rest = packet.bytes.subarray(this.#chunkBytes);
      if (rest.length > 0) this.#inbox.unshift({ bytes: rest, taken: packet.taken });
      else setImmediate(packet.taken);
      if (this.line !== null) copyIn(chunk, this.line);
    }
    if (this.#finished && this.#inbox.length === 0 && !this.frozen && !this.#destroyed) {
      this.line?.lost({ kind: 'finished', says: 'the other side closed' });
    }
  }
}

/** Source and target of one connection. Close both, or cut it, or the test does not end. */
export function connectionPair(options: PairOptions = {}): ConnectionPair {
  const { chunkBytes = 16_384, source: sourceId = 'anna', target: targetId = 'bert', ...line } = options;
  const left = new MemoryWire(chunkBytes);
  const right = new MemoryWire(chunkBytes);
  left.other = right;
  right.other = left;
  const peer = (id: string): Peer => ({ cluster: 'acme', role: 'server', id });
  const source = new Line(left, peer(targetId), true, line);
  const target = new Line(right, peer(sourceId), true, line);
  left.line = source;
  right.line = target;
  return {
    source,
    target,
    cut: () => {
      source.lost({ kind: 'broken', says: 'cut by the test' });
      target.lost({ kind: 'broken', says: 'cut by the test' });
    },
    freeze: () => {
      left.frozen = true;
      right.frozen = true;
    },
  };
}
