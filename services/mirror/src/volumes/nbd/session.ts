/**
 * One client of an export.
 *
 *   N1  every request that was read is answered, with what it came to, and in any order (the protocol allows that)
 *   N2  at most `pendingBytesMax` of requests and of answers that the client does not take are held; until then nothing
 *       more is read
 *   N3  whoever does not keep to the protocol is hung up on, and costs nobody else anything
 *   N4  a client that is told to go hears ESHUTDOWN for everything that it still asks, until it goes or its time is up
 */

import type { Volume } from '../volume.ts';
import { Handshake, greeting, type Exported } from './handshake.ts';
import { Incoming } from './incoming.ts';
import { command, commandFlags, outcome, requestBytesMax } from './protocol.ts';
import {
  Requests,
  simpleReply,
  structuredAllocation,
  structuredData,
  structuredError,
  type Request,
} from './request.ts';
import type { Slabs } from './slabs.ts';

const pendingBytesMax = 2 * requestBytesMax;
/** What a request counts beside its contents. */
const requestBytes = 256;
/** In which a client has to say what it wants. */
export const handshakeMs = 10_000;
const knownFlags = commandFlags.fua | commandFlags.noHole | commandFlags.reqOne;

/** The client's, as sockets of Node are: what can't leave at once is kept, and a destroyed one takes nothing. */
export interface ClientSocket {
  readonly destroyed: boolean;
  /** Of bytes that were written and did not leave yet. */
  readonly writableLength: number;
  write(bytes: Buffer): unknown;
  /** What is written until uncork() leaves together. */
  cork(): unknown;
  uncork(): unknown;
  pause(): unknown;
  resume(): unknown;
  isPaused(): boolean;
  destroy(): unknown;
  /** When everything that was written has left. */
  destroySoon(): unknown;
}

/** Whoever has the socket tells it what happens there, by the functions at the beginning. */
export interface SessionPorts {
  readonly volume: Volume;
  readonly slabs: Slabs;
  readonly exported: Exported;
  readonly ended: (says: string) => void;
}

export class NbdSession {
  readonly #socket: ClientSocket;
  readonly #ports: SessionPorts;
  readonly #incoming: Incoming;
  readonly #handshake: Handshake;
  readonly #requests: Requests;
  #ready = false;
  #structured = false;
  #allocation = false;
  #pendingBytes = 0;
  #reading = false;
  /** It said that it goes. */
  #leaving = false;
  #shutting = false;
  #says = '';
  #replies: Buffer[] = [];
  /** Of answers that did not leave yet. */
  #repliesBytes = 0;

  constructor(socket: ClientSocket, ports: SessionPorts) {
    const incoming = new Incoming(ports.slabs);
    this.#socket = socket;
    this.#ports = ports;
    this.#incoming = incoming;
    this.#requests = new Requests(incoming);
    this.#handshake = new Handshake(ports.exported, this.#incoming, (bytes) => this.#reply(bytes));
    socket.write(greeting());
  }

  /** Where the next bytes are to be put. */
  room(): Buffer {
    return this.#incoming.room();
  }

  /** So many came to where there was room last. */
  came(bytes: number): void {
    this.#incoming.came(bytes);
    this.#read();
  }

  /** What was written has left. */
  drained(): void {
    this.#read();
  }

  failed(says: string): void {
    this.#says ||= says;
  }

  /** Whether it has said what it wants. */
  get isReady(): boolean {
    return this.#ready;
  }

  /** `handshakeMs` after it began. */
  late(): void {
    if (!this.#ready) this.#drop('it does not say what it wants');
  }

  /** The socket is closed; nothing is said here afterwards. */
  closed(): void {
    this.#incoming.close();
    this.#ports.ended(this.#says);
  }

  /** N4. */
  shutDown(): void {
    this.#shutting = true;
    if (!this.#ready) this.#socket.destroy();
  }

  destroy(): void {
    this.#socket.destroy();
  }

  /** Everything that came, as far as there is room (N2). */
  #read(): void {
    if (this.#reading || this.#gone()) return;
    this.#reading = true;
    while (!this.#full() && (this.#ready ? this.#takeRequest() : this.#greet()));
    this.#reading = false;
    this.#flush();
    if (this.#gone()) return;
    if (this.#full()) this.#socket.pause();
    else if (this.#socket.isPaused()) this.#socket.resume();
  }

  #gone(): boolean {
    return this.#socket.destroyed;
  }

  #full(): boolean {
    const held = this.#pendingBytes + this.#repliesBytes + this.#socket.writableLength;
    return held >= pendingBytesMax || this.#leaving;
  }

  /** False: more has to come, or it is over. */
  #greet(): boolean {
    const step = this.#handshake.step();
    switch (step.kind) {
      case 'more':
        return false;
      case 'over':
        this.#leave(step.says);
        return false;
      case 'ready':
        this.#ready = true;
        this.#structured = step.structured;
        this.#allocation = step.allocation;
        return true;
    }
  }

  #takeRequest(): boolean {
    const request = this.#requests.next();
    if (request === null) return false;
    if (typeof request === 'string') {
      this.#drop(request);
      return false;
    }
    if (request.command === command.disconnect) {
      this.#leave('');
      return false;
    }
    this.#carryOut(request);
    return true;
  }

  #carryOut(request: Request): void {
    const wrong = this.#wrong(request);
    if (wrong !== null) {
      this.#answer(request, wrong);
      return;
    }
    const { volume } = this.#ports;
    const { offset, length, flags, contents } = request;
    const durable = (flags & commandFlags.fua) !== 0;
    const held = requestBytes + (request.command === command.read ? length : contents.length);
    this.#pendingBytes += held;
    const done = (came: number): void => {
      this.#pendingBytes -= held;
      this.#answer(request, came);
      this.#goOn();
    };
    switch (request.command) {
      case command.read: {
        const into = Buffer.allocUnsafeSlow(length);
        volume.submit({ kind: 'read', offset, into }, (came) => {
          this.#pendingBytes -= held;
          this.#answerRead(request, came, into);
          this.#goOn();
        });
        return;
      }
      case command.write: {
        const { slab } = this.#incoming;
        slab.hold();
        volume.submit({ kind: 'write', offset, contents, durable }, (came) => {
          slab.letGo();
          done(came);
        });
        return;
      }
      case command.trim:
      case command.writeZeroes: {
        const hole = request.command === command.trim || (flags & commandFlags.noHole) === 0;
        volume.submit({ kind: 'zero', offset, length, hole, durable }, done);
        return;
      }
      case command.flush:
        volume.submit({ kind: 'flush' }, done);
        return;
      case command.cache:
        done(outcome.done);
        return;
      default:
        this.#pendingBytes -= held;
        this.#answerAllocation(request);
    }
  }

  /** Why it is not carried out, as a number of the protocol; null: it is. */
  #wrong({ command: number, offset, length, flags }: Request): number | null {
    if (this.#shutting) return outcome.shutdown;
    if ((flags & ~knownFlags) !== 0) return outcome.invalid;
    const writes = number === command.write || number === command.trim || number === command.writeZeroes;
    if (number > command.blockStatus || (number === command.blockStatus && !this.#allocation))
      return outcome.invalid;
    if (writes && this.#ports.exported.readOnly) return outcome.notPermitted;
    if (number === command.flush) return null;
    if (offset + length <= this.#ports.volume.sizeBytes) return null;
    return writes ? outcome.noSpace : outcome.invalid;
  }

  #answer(request: Request, came: number): void {
    const { cookie } = request;
    const structured =
      this.#structured && (request.command === command.read || request.command === command.blockStatus);
    this.#reply(structured ? structuredError(cookie, came) : simpleReply(cookie, came));
  }

  #answerRead(request: Request, came: number, into: Buffer): void {
    if (came !== outcome.done) {
      this.#answer(request, came);
      return;
    }
    const { cookie, offset, length } = request;
    this.#reply(this.#structured ? structuredData(cookie, offset, length) : simpleReply(cookie, came));
    this.#reply(into);
  }

  #answerAllocation(request: Request): void {
    const { cookie, offset, length, flags } = request;
    if (length === 0) {
      this.#answer(request, outcome.invalid);
      return;
    }
    const data = this.#ports.volume.segments(offset, length);
    if (typeof data === 'number') {
      this.#answer(request, data);
      return;
    }
    const one = (flags & commandFlags.reqOne) !== 0;
    this.#reply(structuredAllocation(cookie, { offset, length }, data, one));
  }

  #reply(bytes: Buffer): void {
    this.#replies.push(bytes);
    this.#repliesBytes += bytes.length;
  }

  /** An answer that came later, outside of reading. */
  #goOn(): void {
    if (this.#reading) return;
    this.#flush();
    if (this.#leaving) this.#finish();
    else if (this.#socket.isPaused()) this.#read();
  }

  /** Answers of one round leave together. */
  #flush(): void {
    const replies = this.#replies;
    if (replies.length === 0) return;
    this.#replies = [];
    this.#repliesBytes = 0;
    if (this.#socket.destroyed) return;
    if (replies.length === 1 && replies[0] !== undefined) {
      this.#socket.write(replies[0]);
      return;
    }
    this.#socket.cork();
    for (const reply of merged(replies)) this.#socket.write(reply);
    this.#socket.uncork();
  }

  /** It goes when everything that it asked is answered. */
  #leave(says: string): void {
    this.#says ||= says;
    this.#leaving = true;
    this.#finish();
  }

  #finish(): void {
    this.#flush();
    if (this.#pendingBytes === 0) this.#socket.destroySoon();
  }

  /** N3. */
  #drop(says: string): void {
    this.#says ||= says;
    this.#socket.destroy();
  }
}

/** Small ones become one piece, so that the system has less to gather. */
const smallBytes = 64;

function merged(replies: readonly Buffer[]): Buffer[] {
  const all: Buffer[] = [];
  let small: Buffer[] = [];
  const close = (): void => {
    if (small.length > 0) all.push(small.length === 1 ? (small[0] ?? Buffer.alloc(0)) : Buffer.concat(small));
    small = [];
  };
  for (const reply of replies) {
    if (reply.length <= smallBytes) {
      small.push(reply);
      continue;
    }
    close();
    all.push(reply);
  }
  close();
  return all;
}
