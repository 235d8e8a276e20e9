/** TLS as bytes in and bytes out, without a socket. */
import { afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import { randomBytes } from 'node:crypto';
import type { WireCredentials } from '@holdfast/wire/directory';
import { encryptedProtocol, plainProtocol } from '../src/transport/protocols.ts';
import { SecureContext } from '../src/transport/secure-context.ts';
import { sealedBytes, SecureSession, type Progress } from '../src/transport/secure-session.ts';
import { credentials, testCluster } from './transport-cluster.ts';
import { seeded } from './seeded.ts';

let anna: WireCredentials;
let bert: WireCredentials;
const sessions: SecureSession[] = [];

beforeAll(async () => {
  const acme = await testCluster();
  anna = await credentials(acme, 'anna');
  bert = await credentials(acme, 'bert');
});

afterEach(() => {
  for (const session of sessions.splice(0)) session.free();
});

interface Pair {
  readonly dialer: SecureSession;
  readonly listener: SecureSession;
}

function strangers(protocol = encryptedProtocol, keyBytes?: number): Pair {
  const contexts = [SecureContext.dialing(anna), SecureContext.accepting(bert)] as const;
  const pair = {
    dialer: SecureSession.connecting(contexts[0], protocol, keyBytes),
    listener: SecureSession.accepting(contexts[1], keyBytes),
  };
  // A session outlives its context.
  for (const context of contexts) context.free();
  sessions.push(pair.dialer, pair.listener);
  return pair;
}

/** What one sealed comes to the other, `most` bytes of it. */
function carry(from: SecureSession, to: SecureSession, most = Infinity): number {
  const sealed = from.sealed();
  const room = to.room(Math.min(most, sealed.length));
  const bytes = sealed.copy(room);
  to.came(room, bytes);
  from.sent(bytes);
  return bytes;
}

function acquainted(pair: Pair): Pair {
  const { dialer, listener } = pair;
  for (let i = 0; i < 10; i += 1) {
    const both = [dialer.shakeHands().kind, listener.shakeHands().kind];
    if (both.every((kind) => kind === 'done') && dialer.sealed().length === 0) return pair;
    while (carry(dialer, listener) > 0);
    while (carry(listener, dialer) > 0);
  }
  throw new Error('they did not come to terms');
}

/** All that can be opened now. */
function opened(session: SecureSession): { readonly bytes: Buffer; readonly then: Progress } {
  const parts: Buffer[] = [];
  for (;;) {
    const into = Buffer.alloc(40_000);
    const read = session.read(into);
    if (typeof read !== 'number') return { bytes: Buffer.concat(parts), then: read };
    parts.push(into.subarray(0, read));
  }
}

describe('a TLS session', () => {
  test('knows who is there, what is spoken, and a key that both have', () => {
    const { dialer, listener } = acquainted(strangers(plainProtocol));
    expect(dialer.certificate()?.subjectAltName).toContain('holdfast://acme/server/bert');
    expect(listener.certificate()?.subjectAltName).toContain('holdfast://acme/server/anna');
    expect([dialer.protocol(), listener.protocol()]).toEqual([plainProtocol, plainProtocol]);
    const keys = [dialer, listener].map((one) => one.exportKey(32, 'EXPORTER-test', Buffer.from('context')));
    expect(keys[0]).toEqual(keys[1]);
    expect(keys[0]).not.toEqual(dialer.exportKey(32, 'EXPORTER-test', Buffer.from('another')));
  });

  test('does not agree to a protocol that nobody here speaks', () => {
    const { dialer, listener } = strangers('http/1.1');
    dialer.shakeHands();
    carry(dialer, listener);
    expect(listener.shakeHands()).toMatchObject({ kind: 'failed' });
    carry(listener, dialer);
    expect(dialer.shakeHands()).toMatchObject({ kind: 'failed', says: /no application protocol/ });
  });

  test.each([1, 2, 3, 4])('carries bytes both ways however they are cut, seed %i', (seed) => {
    const random = seeded(seed);
    const { dialer, listener } = acquainted(strangers());
    for (const [from, to] of [
      [dialer, listener],
      [listener, dialer],
    ] as const) {
      const sent: Buffer[] = [];
      const came: Buffer[] = [];
      for (let i = 0; i < 200; i += 1) {
        const bytes = randomBytes(1 + random(random(3) === 0 ? 100_000 : 2_000));
        if (bytes.length <= from.sealable()) {
          expect(from.seal(bytes)).toBe('');
          sent.push(bytes);
        }
        carry(from, to, 1 + random(50_000));
        if (random(3) > 0) came.push(opened(to).bytes);
      }
      while (carry(from, to) > 0) came.push(opened(to).bytes);
      came.push(opened(to).bytes);
      expect(Buffer.concat(came).equals(Buffer.concat(sent))).toBe(true);
    }
  });

  test('takes new keys in time, and the other side follows', () => {
    const { dialer, listener } = acquainted(strangers(encryptedProtocol, 50_000));
    const bytes = randomBytes(30_000);
    const records: number[] = [];
    for (let i = 0; i < 20; i += 1) {
      expect(dialer.seal(bytes)).toBe('');
      records.push(dialer.sealed().length);
      while (carry(dialer, listener) > 0);
      expect(opened(listener).bytes.equals(bytes)).toBe(true);
    }
    // A message of its own, 5 bytes and what a record costs.
    const usual = sealedBytes(30_000);
    expect(new Set(records)).toEqual(new Set([usual, usual + sealedBytes(5)]));
  });

  test('notices a single bit that was changed, and says so', () => {
    const { dialer, listener } = acquainted(strangers());
    dialer.seal(Buffer.from('as it was'));
    const sealed = dialer.sealed();
    sealed.writeUInt8(sealed.readUInt8(12) ^ 1, 12);
    carry(dialer, listener);
    expect(opened(listener)).toEqual({
      bytes: Buffer.alloc(0),
      then: { kind: 'failed', says: 'decryption failed or bad record mac' },
    });
    // The other side hears of it.
    carry(listener, dialer);
    expect(opened(dialer).then).toMatchObject({ kind: 'failed', says: /alert bad record mac/ });
  });

  test('tells an end that was meant from bytes that are missing', () => {
    const { dialer, listener } = acquainted(strangers());
    dialer.seal(Buffer.from('the last words'));
    dialer.finish();
    carry(dialer, listener, 10);
    expect(opened(listener).then).toEqual({ kind: 'more' });
    while (carry(dialer, listener) > 0);
    const { bytes, then } = opened(listener);
    expect([bytes.toString(), then.kind]).toEqual(['the last words', 'ended']);
  });

  test('has room for what it says it has, and never for more', () => {
    const { dialer } = acquainted(strangers());
    const most = dialer.sealable();
    expect(most).toBeGreaterThan(200_000);
    expect(dialer.seal(Buffer.alloc(most))).toBe('');
    expect(dialer.sealed()).toHaveLength(sealedBytes(most));
    expect(dialer.sealable()).toBe(0);
  });
});

test('a certificate with the key of another is refused at once, with the reason', () => {
  expect(() => SecureContext.dialing({ ...anna, key: bert.key })).toThrow(/unusable: key values mismatch/);
  expect(() => SecureContext.dialing({ ...anna, certificate: 'none' })).toThrow(/unusable: no start line/);
});
