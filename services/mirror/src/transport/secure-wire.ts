/**
 * TLS over a socket, as a wire: bytes are sealed and opened on the thread whose event loop the socket is of, in large pieces, and
 * without a chunk of new memory or a callback for each record, which is most of what Node's own TLS costs.
 *
 * S1. The socket does not see the session's memory any more when that goes: it is freed after the socket has closed.
 * S2. Until the other side is known a reading is small, so that what nobody takes yet has room in the session.
 * S3. Whoever listens is told of the end once, and of nothing afterwards.
 */
import type { Socket } from 'node:net';
import type { Assembly, RawFrame } from './assembly.ts';
import { readInto } from './direct-reads.ts';
import { gathered, type Waiting } from './gathered.ts';
import { arrivingBytesMax, sealedBytes, type SecureSession } from './secure-session.ts';
import { brokenSays, type Awaited } from './socket-wire.ts';
import type { Ended } from './types.ts';
import type { AttachableWire, WireEnd } from './wire.ts';

const strangerBytesMax = 16_384;

export class SecureWire implements AttachableWire {
  readonly session: SecureSession;
  readonly #socket: Socket;
  #shaking: (() => void) | null = null;
  #opened: WireEnd | null = null;
  #room: Buffer;
  #roomMost = strangerBytesMax;
  #pumping = false;
  #ended: Ended | null = null;
  #waiting: Waiting[] = [];
  #flying = false;
  #finishing = false;

  /** `socket` is connected and paused, and nobody listens to its data. */
  constructor(socket: Socket, session: SecureSession) {
    this.session = session;
    this.#socket = socket;
    this.#room = session.room(this.#roomMost);
    socket.once('end', () => this.#lost({ kind: 'finished', says: 'the other side closed the connection' }));
    socket.on('error', (error) => this.#lost({ kind: 'broken', says: brokenSays(error) }));
    socket.once('close', () => {
      this.#lost({ kind: 'broken', says: 'the connection is gone' });
      // S1. In a turn of its own: this one may be within a call of the session.
      setImmediate(() => session.free());
    });
  }

  /** `shaken` is called, within a reading, once both sides have proved what they can; `lost` when they will not. */
  shakeHands(shaken: () => void, lost: (ended: Ended) => void): void {
    this.#shaking = shaken;
    this.#opened = { room: () => this.#room, came: () => undefined, lost };
    readInto(this.#socket, { room: () => this.#nextRoom(), came: (bytes) => this.#came(bytes) });
    this.#step();
    this.#socket.resume();
  }

  /** The next frame; ends with the connection or the signal. Afterwards nothing is opened until somebody asks again. */
  nextFrame(assembly: Assembly, signal: AbortSignal): Promise<Awaited> {
    return new Promise((fulfil) => {
      const settle = (answer: Awaited): void => {
        this.#opened = null;
        this.#socket.pause();
        signal.removeEventListener('abort', stopped);
        fulfil(answer);
      };
      const look = (): void => {
        const frame: RawFrame | string | null = assembly.next();
        if (frame === null) return;
        settle(typeof frame === 'string' ? { kind: 'garbage', says: frame } : { kind: 'frame', frame });
      };
      const stopped = (): void => settle({ kind: 'stopped', says: 'it took too long' });
      signal.addEventListener('abort', stopped);
      this.#listen({
        room: () => assembly.room(),
        came: (bytes) => {
          assembly.came(bytes);
          look();
        },
        lost: () => settle({ kind: 'ended', says: 'it closed the connection' }),
      });
      if (signal.aborted) stopped();
    });
  }

  /** From now on the line hears what comes. */
  attach(line: WireEnd): void {
    this.#roomMost = arrivingBytesMax;
    this.#listen(line);
  }

  /** Large pieces are sealed where they lie. */
  write(pieces: readonly Uint8Array[], taken: () => void): void {
    const more = gathered(pieces, taken);
    if (more.length === 0) taken();
    this.#waiting.push(...more);
    this.#send();
  }

  /** After what was written. */
  end(): void {
    this.#finishing = true;
    this.#send();
  }

  destroy(): void {
    this.#opened = null;
    this.#waiting = [];
    this.#socket.destroy();
  }

  pause(): void {
    this.#socket.pause();
  }

  resume(): void {
    this.#socket.resume();
  }

  wireBytes(bytes: number): number {
    return sealedBytes(bytes);
  }

  #listen(opened: WireEnd): void {
    this.#opened = opened;
    if (this.#ended !== null) this.#tellLost(this.#ended);
    else {
      this.#pump();
      this.#socket.resume();
    }
  }

  #nextRoom(): Buffer {
    this.#room = this.session.room(this.#roomMost);
    return this.#room;
  }

  #came(bytes: number): void {
    if (this.#ended !== null) return;
    this.session.came(this.#room, bytes);
    if (this.#shaking === null) this.#pump();
    else this.#step();
  }

  #step(): void {
    if (this.#shaking === null) return;
    const progress = this.session.shakeHands();
    this.#send();
    switch (progress.kind) {
      case 'more':
        return;
      case 'done': {
        const shaken = this.#shaking;
        this.#shaking = null;
        this.#opened = null;
        shaken();
        this.#pump();
        return;
      }
      case 'ended':
        this.#lost({ kind: 'finished', says: 'it ended the handshake' });
        return;
      case 'failed':
        this.#lost({ kind: 'broken', says: progress.says });
    }
  }

  /** All of what came: a reading is small enough for that, and afterwards there is room for the next one. */
  #pump(): void {
    // A listener that resumes is within this loop already.
    if (this.#pumping) return;
    this.#pumping = true;
    while (this.#opened !== null && this.#ended === null) {
      const read = this.session.read(this.#opened.room());
      if (typeof read === 'number') this.#opened.came(read);
      else {
        if (read.kind === 'ended') {
          this.#lost({ kind: 'finished', says: 'the other side closed the connection' });
        } else if (read.kind === 'failed') {
          this.#send();
          this.#lost({ kind: 'broken', says: `the connection broke: ${read.says}` });
        }
        break;
      }
    }
    this.#pumping = false;
  }

  /** S3. */
  #lost(ended: Ended): void {
    if (this.#ended !== null) return;
    this.#ended = ended;
    this.#tellLost(ended);
  }

  #tellLost(ended: Ended): void {
    const opened = this.#opened;
    this.#opened = null;
    opened?.lost(ended);
  }

  #send(): void {
    if (this.#flying || this.session.freed || this.#socket.destroyed) return;
    const taken: (() => void)[] = [];
    const says = this.#seal(taken);
    if (says !== '') {
      this.#lost({ kind: 'broken', says: `the connection broke: ${says}` });
      return;
    }
    const over = this.#finishing && this.#waiting.length === 0;
    if (over) this.session.finish();
    const sealed = this.session.sealed();
    if (sealed.length > 0) this.#fly(sealed, taken);
    if (!over) return;
    this.#finishing = false;
    this.#socket.end();
  }

  /** As much of what waits as there is room for. */
  #seal(taken: (() => void)[]): string {
    let room = this.session.sealable();
    for (let next = this.#waiting[0]; next !== undefined && room > 0; next = this.#waiting[0]) {
      const part = next.bytes.length <= room ? next.bytes : next.bytes.subarray(0, room);
      const says = part.length === 0 ? '' : this.session.seal(part);
      if (says !== '') return says;
      if (part.length < next.bytes.length) {
        this.#waiting[0] = { bytes: next.bytes.subarray(part.length), taken: next.taken };
        break;
      }
      if (next.taken !== null) taken.push(next.taken);
      this.#waiting.shift();
      room = this.session.sealable();
    }
    return '';
  }

  #fly(sealed: Buffer, taken: readonly (() => void)[]): void {
    this.#flying = true;
    this.#socket.write(sealed, (error) => {
      // The error itself comes as an event.
      if (error !== null && error !== undefined) return;
      this.#flying = false;
      this.session.sent(sealed.length);
      for (const one of taken) one();
      this.#send();
    });
  }
}
