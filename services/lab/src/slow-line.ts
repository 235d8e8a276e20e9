/**
 * A line that is slow, far or dead: a TCP proxy between two ends that know nothing of it, for tests and benchmarks where
 * the kernel has no netem.
 *
 * L1. Both directions have the same delay and the same rate, each for itself; all connections share them, as on a line.
 * L2. Bytes leave in the order in which they came, and none before delay and rate allow.
 * L3. What waits is bounded to what is under way and `bufferMs` of the rate: then it stops reading, and the kernel makes
 *     the sender wait. The kernel's own buffers come on top; they are the line's bufferbloat.
 * L4. Silence loses nothing and closes nothing: what came goes on afterwards, as TCP sends again after a break.
 */

import { connect, createServer, type Server, type Socket } from 'node:net';

export interface SlowLineOptions {
  /** Where it goes. */
  readonly to: { readonly host: string; readonly port: number };
  /** Where it listens. Default: 127.0.0.1 and a free port. */
  readonly host?: string;
  readonly port?: number;
  /** One way, milliseconds. Default 0. */
  readonly delayMs?: number;
  /** Each way. Null, the default: as fast as it goes. */
  readonly bitsPerSecond?: number | null;
  /** How much of the rate may wait before it stops reading. Default 50. */
  readonly bufferMs?: number;
}

export interface SlowLine {
  readonly port: number;
  /** Hold for what comes from now on. */
  setDelay(delayMs: number): void;
  setRate(bitsPerSecond: number | null): void;
  /** For so long nothing passes either way, and nobody is told. Infinity: until `silence(0)`. */
  silence(forMs: number): void;
  /** Breaks every connection; new ones may come at once. */
  cut(): void;
  counters(): { readonly connections: number; readonly thereBytes: number; readonly backBytes: number };
  /** Ends everything. */
  close(): Promise<void>;
}

/** What both directions go by. */
interface Line {
  delayMs: number;
  bitsPerSecond: number | null;
  silentUntilMs: number;
  readonly bufferMs: number;
}

/** Without a rate: more than any test has under way. */
const waitingBytesMax = 64 * 1_048_576;
const waitingBytesMin = 65_536;
/** Slices of a chunk, so that a low rate does not come in lumps. */
const sliceMs = 4;
const sliceBytesMin = 1_500;

/** L1: one of the two directions. */
class Direction {
  readonly line: Line;
  /** When the last byte that was accepted has left the sender's end. */
  freeAtMs = 0;
  bytes = 0;

  constructor(line: Line) {
    this.line = line;
  }

  /** When these bytes arrive at the other end. */
  arrival(bytes: number, nowMs: number): number {
    const { bitsPerSecond, delayMs } = this.line;
    const busyMs = bitsPerSecond === null ? 0 : (bytes * 8_000) / bitsPerSecond;
    this.freeAtMs = Math.max(nowMs, this.freeAtMs) + busyMs;
    return this.freeAtMs + delayMs;
  }

  get sliceBytes(): number {
    const { bitsPerSecond } = this.line;
    return bitsPerSecond === null ? Infinity : Math.max(sliceBytesMin, (bitsPerSecond / 8_000) * sliceMs);
  }

  /** L3. */
  get waitingBytesMax(): number {
    const { bitsPerSecond, delayMs, bufferMs } = this.line;
    if (bitsPerSecond === null) return waitingBytesMax;
    return Math.max(waitingBytesMin, (bitsPerSecond / 8_000) * (delayMs + bufferMs));
  }
}

/** One direction of one connection. */
class Pipe {
  readonly #from: Socket;
  readonly #to: Socket;
  readonly #direction: Direction;
  #queue: { readonly bytes: Buffer; readonly atMs: number }[] = [];
  #waiting = 0;
  #finished = false;
  #timer: NodeJS.Timeout | null = null;

  constructor(from: Socket, to: Socket, direction: Direction) {
    this.#from = from;
    this.#to = to;
    this.#direction = direction;
    from.on('data', (chunk: Buffer) => {
      this.#take(chunk);
    });
    from.once('end', () => {
      this.#finished = true;
      this.run();
    });
    to.on('drain', () => {
      this.run();
    });
  }

  stop(): void {
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = null;
    this.#queue = [];
  }

  /** Passes on what is due, and sets the timer for the next. */
  run(): void {
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = null;
    const now = performance.now();
    const { silentUntilMs } = this.#direction.line;
    if (silentUntilMs > now) {
      this.#wakeAt(silentUntilMs, now);
      return;
    }
    let due = 0;
    for (let next = this.#queue[0]; next !== undefined; next = this.#queue[due]) {
      if (this.#to.writableNeedDrain) break;
      if (next.atMs > now) {
        this.#wakeAt(next.atMs, now);
        break;
      }
      due += 1;
      this.#waiting -= next.bytes.length;
      this.#direction.bytes += next.bytes.length;
      this.#to.write(next.bytes);
    }
    this.#queue.splice(0, due);
    if (this.#from.isPaused() && this.#waiting < this.#direction.waitingBytesMax) this.#from.resume();
    if (this.#finished && this.#queue.length === 0) this.#to.end();
  }

  #take(chunk: Buffer): void {
    const now = performance.now();
    for (let from = 0; from < chunk.length;) {
      const bytes = chunk.subarray(from, Math.min(chunk.length, from + this.#direction.sliceBytes));
      this.#queue.push({ bytes, atMs: this.#direction.arrival(bytes.length, now) });
      from += bytes.length;
    }
    this.#waiting += chunk.length;
    if (this.#waiting >= this.#direction.waitingBytesMax) this.#from.pause();
    if (this.#timer === null) this.run();
  }

  #wakeAt(atMs: number, nowMs: number): void {
    if (atMs === Infinity) return;
    this.#timer = setTimeout(
      () => {
        this.run();
      },
      Math.max(1, atMs - nowMs),
    );
  }
}

class Proxy implements SlowLine {
  readonly #options: SlowLineOptions;
  readonly #line: Line;
  readonly #there: Direction;
  readonly #back: Direction;
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  readonly #pipes = new Set<Pipe>();

  constructor(options: SlowLineOptions) {
    this.#options = options;
    this.#line = {
      delayMs: options.delayMs ?? 0,
      bitsPerSecond: options.bitsPerSecond ?? null,
      silentUntilMs: 0,
      bufferMs: options.bufferMs ?? 50,
    };
    this.#there = new Direction(this.#line);
    this.#back = new Direction(this.#line);
    this.#server = createServer({ allowHalfOpen: true, noDelay: true }, (near) => {
      this.#join(near);
    });
  }

  open(): Promise<SlowLine> {
    const { host = '127.0.0.1', port = 0 } = this.#options;
    return new Promise((fulfil, reject) => {
      this.#server.once('error', reject);
      this.#server.listen(port, host, () => {
        fulfil(this);
      });
    });
  }

  get port(): number {
    const address = this.#server.address();
    return typeof address === 'object' && address !== null ? address.port : 0;
  }

  setDelay(delayMs: number): void {
    this.#line.delayMs = delayMs;
  }

  setRate(bitsPerSecond: number | null): void {
    this.#line.bitsPerSecond = bitsPerSecond;
  }

  silence(forMs: number): void {
    this.#line.silentUntilMs = performance.now() + forMs;
    for (const pipe of this.#pipes) pipe.run();
  }

  cut(): void {
    for (const socket of this.#sockets) socket.resetAndDestroy();
  }

  counters(): { connections: number; thereBytes: number; backBytes: number } {
    return {
      connections: this.#sockets.size / 2,
      thereBytes: this.#there.bytes,
      backBytes: this.#back.bytes,
    };
  }

  close(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    return new Promise((fulfil) => {
      this.#server.close(() => {
        fulfil();
      });
    });
  }

  #join(near: Socket): void {
    const far = connect({ ...this.#options.to, allowHalfOpen: true, noDelay: true });
    const pipes = [new Pipe(near, far, this.#there), new Pipe(far, near, this.#back)];
    for (const pipe of pipes) this.#pipes.add(pipe);
    for (const [socket, other] of [
      [near, far],
      [far, near],
    ] as const) {
      this.#sockets.add(socket);
      // Ends are passed on as resets, which is what they were.
      socket.on('error', () => {
        other.resetAndDestroy();
      });
      socket.once('close', () => {
        this.#sockets.delete(socket);
        if (other.destroyed) for (const pipe of pipes) this.#end(pipe);
      });
    }
  }

  #end(pipe: Pipe): void {
    pipe.stop();
    this.#pipes.delete(pipe);
  }
}

/** A line to `to`; close it, or the process does not end. Rejects when the port can't be opened. */
export function slowLine(options: SlowLineOptions): Promise<SlowLine> {
  return new Proxy(options).open();
}
