/**
 * One TLS connection as bytes in and bytes out: OpenSSL on one side, two rings of its memory on the other, from and into
 * which a socket reads and writes without another copy. It knows no socket and waits for nothing.
 *
 *   E1  what a method leaves to be sent is in sealed() until it is told that it was sent(); until then nothing is sealed over it
 *   E2  the memory of the rings is gone with free(): nobody reads or writes it afterwards, which is why a socket that does is
 *       closed before
 *   E3  nothing is sealed for which there is no room: sealable() tells how much that is
 *   E4  after a failure nothing else of it is used but sealed(), which may hold the alert
 */
import { parseCertificate } from '@holdfast/wire/directory';
import type { X509Certificate } from 'node:crypto';
import { memoryAt, openssl, opensslSays, type Address } from '../os/openssl.ts';
import type { SecureContext } from './secure-context.ts';

/** RFC 8446, 5.1 and 5.2: a record carries so much, and costs header, type and tag beside it. */
const recordBytesMax = 16_384;
const recordOverheadBytes = 22;
/** What one reading of the socket brings at most: a good part of the processor's cache, and not more. */
export const arrivingBytesMax = 131_072;
/** One write of a line with what its records cost, and an alert. */
const leavingBytesMax = 270_336;
const alertBytes = 64;
/**
 * With AES-GCM a key is good for 2^24.5 full records (RFC 8446, 5.5), 388 GB. The next one is taken long before.
 */
const keyBytesDefault = 68_719_476_736;
const keyUpdateNotRequested = 0;
/** BIO_C_SET_SSL; the 0 beside it: the session is freed by us. */
const setSession = 109;

const problems = { wantRead: 2, zeroReturn: 6 } as const;

/** more: bytes of the other side are missing. ended: it said that nothing comes any more. */
export type Progress =
  { readonly kind: 'done' | 'more' | 'ended' } | { readonly kind: 'failed'; readonly says: string };

const done: Progress = { kind: 'done' };
const more: Progress = { kind: 'more' };

/** What `bytes` come to on the line when they are sealed together. */
export const sealedBytes = (bytes: number): number =>
  bytes + Math.ceil(bytes / recordBytesMax) * recordOverheadBytes;

export class SecureSession {
  readonly #session: Address;
  readonly #network: Address;
  /** Reads the session record after record, as long as there is one and room for it; SSL_read alone ends with each. */
  readonly #reading: Address;
  /** An address that OpenSSL writes for us. */
  readonly #found = Buffer.alloc(8);
  readonly #arriving: Buffer;
  readonly #arrivingAt: Address;
  readonly #leaving: Buffer;
  readonly #leavingAt: Address;
  readonly #keyBytes: number;
  #keyLeft: number;
  #freed = false;

  private constructor(context: SecureContext, keyBytes: number) {
    this.#session = context.session();
    const [ours, theirs] = [Buffer.alloc(8), Buffer.alloc(8)];
    if (openssl.bioPair(ours, leavingBytesMax, theirs, arrivingBytesMax) !== 1)
      throw new Error(`no memory for a TLS session: ${opensslSays()}`);
    const own = ours.readBigUInt64LE();
    this.#network = theirs.readBigUInt64LE();
    openssl.setBio(this.#session, own, own);
    openssl.roomOfBio(this.#network, this.#found);
    this.#arrivingAt = this.#found.readBigUInt64LE();
    this.#arriving = memoryAt(this.#arrivingAt, arrivingBytesMax);
    openssl.roomOfBio(own, this.#found);
    this.#leavingAt = this.#found.readBigUInt64LE();
    this.#leaving = memoryAt(this.#leavingAt, leavingBytesMax);
    const bio = openssl.newBio(openssl.sessionMethod());
    openssl.controlBio(bio, setSession, 0, this.#session);
    this.#reading = openssl.pushBio(openssl.newBio(openssl.bufferMethod()), bio);
    this.#keyBytes = keyBytes;
    this.#keyLeft = keyBytes;
  }

  /** `keyBytes`: after which the next key is taken. */
  static accepting(context: SecureContext, keyBytes = keyBytesDefault): SecureSession {
    const session = new SecureSession(context, keyBytes);
    openssl.setAccepts(session.#session);
    return session;
  }

  static connecting(context: SecureContext, protocol: string, keyBytes = keyBytesDefault): SecureSession {
    const session = new SecureSession(context, keyBytes);
    openssl.setConnects(session.#session);
    const names = Buffer.concat([Buffer.of(protocol.length), Buffer.from(protocol)]);
    if (openssl.setProtocols(session.#session, names, names.length) !== 0)
      throw new Error(`no TLS session: ${opensslSays()}`);
    return session;
  }

  get freed(): boolean {
    return this.#freed;
  }

  /** E2. */
  free(): void {
    if (this.#freed) return;
    this.#freed = true;
    openssl.freeBios(this.#reading);
    openssl.freeSession(this.#session);
    openssl.freeBio(this.#network);
  }

  /** Where the next bytes of the other side are to be put, `most` at most. Empty only while a whole reading waits. */
  room(most: number): Buffer {
    const bytes = Math.max(0, openssl.roomOfBio(this.#network, this.#found));
    if (bytes === 0) return this.#arriving.subarray(0, 0);
    const at = this.#offset(this.#arrivingAt);
    return this.#arriving.subarray(at, at + Math.min(bytes, most));
  }

  /** So many came to `room`, which was given out before. */
  came(room: Buffer, bytes: number): void {
    if (bytes === 0) return;
    const free = openssl.roomOfBio(this.#network, this.#found);
    const at = this.#offset(this.#arrivingAt);
    const from = room.byteOffset - this.#arriving.byteOffset;
    if (bytes > free) throw new Error('more came than there was room for');
    // What was read in the meantime moves the place at which OpenSSL expects it.
    if (at !== from) this.#arriving.copyWithin(at, from, from + bytes);
    openssl.fillBio(this.#network, this.#found, bytes);
  }

  shakeHands(): Progress {
    openssl.clearErrors();
    const answer = openssl.shakeHands(this.#session);
    return answer === 1 ? done : this.#problem(answer);
  }

  /** Opens what came into `into`; answers how much of it was filled, or why nothing was. */
  read(into: Buffer): number | Progress {
    openssl.clearErrors();
    const answer = openssl.readBio(this.#reading, into, into.length);
    return answer > 0 ? answer : this.#problem(answer);
  }

  /** E3. How many bytes can be sealed now. */
  sealable(): number {
    const room = leavingBytesMax - alertBytes - openssl.pendingBio(this.#network);
    const records = Math.ceil(room / (recordBytesMax + recordOverheadBytes));
    return Math.max(0, room - records * recordOverheadBytes);
  }

  /** Empty, or what went wrong. */
  seal(bytes: Uint8Array): string {
    openssl.clearErrors();
    this.#keyLeft -= bytes.length;
    if (this.#keyLeft < 0) {
      this.#keyLeft = this.#keyBytes;
      if (openssl.updateKey(this.#session, keyUpdateNotRequested) !== 1) return opensslSays();
    }
    return openssl.write(this.#session, bytes, bytes.length) === bytes.length ? '' : opensslSays();
  }

  /** Nothing comes any more from here: seals that. */
  finish(): void {
    openssl.clearErrors();
    openssl.shutdown(this.#session);
    openssl.clearErrors();
  }

  /** E1. What is to be sent next, in a row. */
  sealed(): Buffer {
    const bytes = Math.max(0, openssl.peekBio(this.#network, this.#found));
    const at = bytes === 0 ? 0 : this.#offset(this.#leavingAt);
    return this.#leaving.subarray(at, at + bytes);
  }

  /** E1. */
  sent(bytes: number): void {
    openssl.takeBio(this.#network, this.#found, bytes);
  }

  /** Null: the other side shows none. */
  certificate(): X509Certificate | null {
    const certificate = openssl.peerCertificate(this.#session) ?? 0n;
    if (certificate === 0n) return null;
    this.#found.fill(0);
    const bytes = openssl.encodeCertificate(certificate, this.#found);
    openssl.freeCertificate(certificate);
    if (bytes <= 0) return null;
    const address = this.#found.readBigUInt64LE();
    const encoded = Buffer.from(memoryAt(address, bytes));
    openssl.free(address, null, 0);
    return parseCertificate(encoded);
  }

  /** What both sides agreed to speak (RFC 7301), or null. */
  protocol(): string | null {
    const bytes = Buffer.alloc(4);
    openssl.protocol(this.#session, this.#found, bytes);
    const length = bytes.readUInt32LE();
    return length === 0 ? null : memoryAt(this.#found.readBigUInt64LE(), length).toString('latin1');
  }

  /** RFC 8446, 7.5: the same at both ends of the connection, and nowhere else. */
  exportKey(bytes: number, label: string, context: Buffer): Buffer {
    const key = Buffer.alloc(bytes);
    const name = Buffer.from(label);
    openssl.clearErrors();
    const answer = openssl.exportKey(
      ...([this.#session, key, bytes, name, name.length, context, context.length, 1] as const),
    );
    if (answer !== 1) throw new Error(`no key of this session: ${opensslSays()}`);
    return key;
  }

  #offset(start: Address): number {
    return Number(this.#found.readBigUInt64LE() - start);
  }

  #problem(answer: number): Progress {
    const problem = openssl.problem(this.#session, answer);
    if (problem === problems.wantRead) return more;
    if (problem === problems.zeroReturn) return { kind: 'ended' };
    return { kind: 'failed', says: opensslSays() };
  }
}
