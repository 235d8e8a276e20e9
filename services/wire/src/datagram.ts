/**
 * Heartbeats on the wire: one UDP datagram, sealed, never encrypted.
 *
 *   'H' 'F' | version 1 | heartbeat.Envelope (protobuf) | HMAC-SHA-256 of all before it, first 16 bytes
 *
 * G1. Opening never throws, whatever came; it names why it refuses. G2. Nothing is parsed before its seal was checked.
 * G3. At most 1400 bytes, so that no datagram is ever a fragment. The seal is RFC 2104, truncated as its section 5 allows.
 */
import { heartbeat } from '@holdfast/proto';
import { createHmac, timingSafeEqual } from 'node:crypto';

export { ReplayWindow, type ReplayVerdict } from './replay-window.ts';

export type DatagramRejection =
  'too-short' | 'too-long' | 'not-ours' | 'wrong-version' | 'bad-seal' | 'malformed' | 'wrong-cluster';

export type Opened =
  | { readonly kind: 'ok'; readonly envelope: heartbeat.Envelope }
  | { readonly kind: 'rejected'; readonly why: DatagramRejection };

/** Too long can happen: it depends on how many groups and members there are. */
export type Sealed =
  { readonly kind: 'ok'; readonly datagram: Buffer } | { readonly kind: 'too-long'; readonly bytes: number };

export const datagramBytesMax = 1400;
export const datagramVersion = 1;
const magic = Buffer.from('HF', 'latin1');
const headerBytes = magic.length + 1;
const sealBytes = 16;
const header = Buffer.concat([magic, Buffer.from([datagramVersion])]);

function sealOf(sealed: Buffer, key: Buffer): Buffer {
  return createHmac('sha256', key).update(sealed).digest().subarray(0, sealBytes);
}

/** `key`: the 32 bytes of heartbeat.key. */
export function seal(envelope: heartbeat.Envelope, key: Buffer): Sealed {
  const sealed = Buffer.concat([header, heartbeat.Envelope.encode(envelope).finish()]);
  const bytes = sealed.length + sealBytes;
  if (bytes > datagramBytesMax) return { kind: 'too-long', bytes };
  return { kind: 'ok', datagram: Buffer.concat([sealed, sealOf(sealed, key)]) };
}

const rejected = (why: DatagramRejection): Opened => ({ kind: 'rejected', why });

/** Checks and reads a datagram. Replays are not seen here: see ReplayWindow. */
export function open(datagram: Buffer, key: Buffer, cluster: string): Opened {
  if (datagram.length < headerBytes + sealBytes) return rejected('too-short');
  if (datagram.length > datagramBytesMax) return rejected('too-long');
  if (!datagram.subarray(0, magic.length).equals(magic)) return rejected('not-ours');
  if (datagram[magic.length] !== datagramVersion) return rejected('wrong-version');
  const sealed = datagram.subarray(0, datagram.length - sealBytes);
  if (!timingSafeEqual(sealOf(sealed, key), datagram.subarray(datagram.length - sealBytes))) {
    return rejected('bad-seal');
  }
  const envelope = parse(sealed.subarray(headerBytes));
  if (envelope === null || envelope.sender === '' || envelope.body === undefined)
    return rejected('malformed');
  return envelope.cluster === cluster ? { kind: 'ok', envelope } : rejected('wrong-cluster');
}

function parse(bytes: Buffer): heartbeat.Envelope | null {
  try {
    return heartbeat.Envelope.decode(bytes);
  } catch {
    // Whoever holds the key may still be of another make (G1).
    return null;
  }
}

/** How many datagrams were refused, by reason: for metrics and `holdfast check`. */
export class RejectionCounts<Name extends string> {
  readonly #counts = new Map<Name, number>();

  count(name: Name): void {
    this.#counts.set(name, this.of(name) + 1);
  }

  of(name: Name): number {
    return this.#counts.get(name) ?? 0;
  }

  all(): ReadonlyMap<Name, number> {
    return this.#counts;
  }
}
