import fc from 'fast-check';
import { heartbeat } from '@holdfast/proto';
import { createHmac, randomBytes } from 'node:crypto';
import { datagramBytesMax, open, RejectionCounts, ReplayWindow, seal } from '../src/datagram.ts';

const key = randomBytes(32);

const envelopeOf = (sequence: bigint, groups = 1): heartbeat.Envelope =>
  heartbeat.Envelope.fromPartial({
    cluster: 'acme',
    sender: 'a',
    incarnation: 7n,
    sequence,
    path: 1,
    body: {
      $case: 'heartbeat',
      value: {
        sentAtMs: 123.5,
        groups: Array.from({ length: groups }, (_, n) => ({
          group: `group-${n}`,
          epoch: 1n << 60n,
          state: 'active',
        })),
      },
    },
  });

function sealed(envelope: heartbeat.Envelope, by = key): Buffer {
  const result = seal(envelope, by);
  if (result.kind === 'ok') return result.datagram;
  throw new Error(`too long: ${result.bytes}`);
}

const whyRefused = (datagram: Buffer, cluster = 'acme'): string => {
  const opened = open(datagram, key, cluster);
  return opened.kind === 'rejected' ? opened.why : 'accepted';
};

describe('a sealed datagram', () => {
  it('opens to what was sealed', () => {
    expect(open(sealed(envelopeOf(1n)), key, 'acme')).toEqual({ kind: 'ok', envelope: envelopeOf(1n) });
  });

  it('is refused with any bit turned', () => {
    const good = sealed(envelopeOf(1n));
    for (let bit = 0; bit < good.length * 8; bit += 1) {
      const bad = Buffer.from(good);
      bad[bit >> 3] = (bad[bit >> 3] ?? 0) ^ (1 << (bit & 7));
      expect(['not-ours', 'wrong-version', 'bad-seal']).toContain(whyRefused(bad));
    }
  });

  it('is refused by name', () => {
    const good = sealed(envelopeOf(1n));
    const resealed = (bytes: Buffer): Buffer =>
      Buffer.concat([bytes, createHmac('sha256', key).update(bytes).digest().subarray(0, 16)]);
    expect(whyRefused(good.subarray(0, 18))).toBe('too-short');
    expect(whyRefused(Buffer.alloc(0))).toBe('too-short');
    expect(whyRefused(Buffer.alloc(datagramBytesMax + 1))).toBe('too-long');
    expect(whyRefused(Buffer.concat([Buffer.from('XX'), good.subarray(2)]))).toBe('not-ours');
    expect(whyRefused(Buffer.concat([Buffer.from('HF\x02'), good.subarray(3)]))).toBe('wrong-version');
    expect(whyRefused(sealed(envelopeOf(1n), randomBytes(32)))).toBe('bad-seal');
    expect(whyRefused(good, 'other')).toBe('wrong-cluster');
    expect(whyRefused(resealed(Buffer.from('HF\x01\xff\xff', 'latin1')))).toBe('malformed');
    expect(whyRefused(resealed(Buffer.from('HF\x01', 'latin1')))).toBe('malformed');
  });

  it('never makes the reader throw, even when sealed by somebody who has the key', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 1500 }), fc.boolean(), (bytes, withKey) => {
        const body = Buffer.concat([Buffer.from('HF\x01'), bytes]);
        const datagram = withKey
          ? Buffer.concat([body, createHmac('sha256', key).update(body).digest().subarray(0, 16)])
          : Buffer.from(bytes);
        expect(open(datagram, key, 'acme').kind).toBe('rejected');
      }),
      { numRuns: 500 },
    );
  });

  it('is not made when it would be a fragment', () => {
    expect(seal(envelopeOf(1n, 100), key)).toMatchObject({ kind: 'too-long' });
    const fits = seal(envelopeOf(1n, 40), key);
    expect(fits.kind === 'ok' && fits.datagram.length <= datagramBytesMax).toBe(true);
  });

  it('is counted by reason when refused', () => {
    const counts = new RejectionCounts<'bad-seal' | 'too-old'>();
    counts.count('bad-seal');
    counts.count('bad-seal');
    expect([counts.of('bad-seal'), counts.of('too-old')]).toEqual([2, 0]);
    expect([...counts.all()]).toEqual([['bad-seal', 2]]);
  });
});

describe('the replay window', () => {
  it('takes what several paths reorder, once', () => {
    const window = new ReplayWindow();
    expect([5n, 3n, 4n, 3n, 5n, 6n].map((n) => window.admit('a', 1n, n))).toEqual([
      'fresh',
      'fresh',
      'fresh',
      'repeated',
      'repeated',
      'fresh',
    ]);
  });

  it('ends 64 back', () => {
    const window = new ReplayWindow();
    window.admit('a', 1n, 100n);
    expect(window.admit('a', 1n, 37n)).toBe('fresh');
    expect(window.admit('a', 1n, 36n)).toBe('too-old');
  });

  it('begins anew with a higher incarnation and never goes back', () => {
    const window = new ReplayWindow();
    window.admit('a', 1n, 100n);
    expect(window.admit('a', 2n, 1n)).toBe('fresh');
    expect(window.admit('a', 1n, 101n)).toBe('old-incarnation');
    expect(window.admit('a', 2n, 1n)).toBe('repeated');
  });

  it('keeps senders apart, and only so many', () => {
    const window = new ReplayWindow(2);
    expect(['a', 'b', 'c'].map((sender) => window.admit(sender, 1n, 1n))).toEqual([
      'fresh',
      'fresh',
      'too-many-senders',
    ]);
    window.forget('a');
    expect(window.admit('c', 1n, 1n)).toBe('fresh');
  });

  it('accepts no number twice, and every recent one once, in any order', () => {
    fc.assert(
      fc.property(fc.array(fc.bigInt({ min: 0n, max: 200n }), { maxLength: 300 }), (numbers) => {
        const window = new ReplayWindow();
        const accepted = new Set<bigint>();
        let highest = -1n;
        for (const number of numbers) {
          const verdict = window.admit('a', 1n, number);
          const expected = accepted.has(number) ? 'repeated' : 'fresh';
          expect(verdict).toBe(highest - number >= 64n ? 'too-old' : expected);
          if (verdict === 'fresh') accepted.add(number);
          if (number > highest) highest = number;
        }
      }),
    );
  });
});
