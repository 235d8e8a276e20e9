/** The audit of lab stories bites: an address that two servers may have had is told, unless the order of a move is known. */
import { describe, expect, it } from '@jest/globals';
import type { Host } from '@holdfast/lab';
import { sharedAddresses } from '../lab/audit.ts';
import type { Holding, KernelWatch } from '../lab/kernel.ts';
import { monotonicMs } from '../lab/until.ts';

const address = '10.77.0.100';
const agoMs = 10_000;

type Entries = Parameters<typeof sharedAddresses>[3];

describe('an address that two kernels may have held', () => {
  const beganMs = monotonicMs() - agoMs;
  const at = (ms: number): number => beganMs + ms;
  /** Where looks saw it, and how much they leave open on either side. */
  const seen = (fromMs: number, toMs: number, openMs: number): Holding => ({
    ...{ fromMs: at(fromMs - openMs), toMs: at(toMs + openMs) },
    ...{ seenFromMs: at(fromMs), seenToMs: at(toMs) },
  });
  const watch = (name: string, ...holdings: readonly Holding[]): KernelWatch =>
    ({ host: { name } as Host, holdings: () => [...holdings] }) as unknown as KernelWatch;
  const drops = (host: string, ms: number): Entries[number] => ({
    ...{ host, kind: 'address-dropped', bootMs: at(ms), address: `${address}/24` },
  });
  const holds = (host: string, ms: number): Entries[number] => ({
    ...{ host, kind: 'address-held', bootMs: at(ms) + 1, setAt: at(ms), address: `${address}/24` },
  });
  const told = (a: readonly Holding[], b: readonly Holding[], entries: Entries): readonly string[] =>
    sharedAddresses([watch('a', ...a), watch('b', ...b)], [address], beganMs, entries);

  const handed = [drops('a', 1_003), holds('b', 1_007)];

  it('is told when looks show both, however short it was and whatever the journals say', () => {
    expect(told([seen(0, 1_008, 1)], [seen(1_006, 2_000, 1)], handed)).toHaveLength(1);
  });

  it('is not told when less than between two looks is open, and the one had dropped it first', () => {
    expect(told([seen(0, 1_000, 5)], [seen(1_008, 2_000, 5)], handed)).toEqual([]);
  });

  it('is told when the journals have it the other way round, or nothing of it', () => {
    const wrong = [holds('b', 1_003), drops('a', 1_007), holds('b', 1_300)];
    expect(told([seen(0, 1_000, 5)], [seen(1_008, 2_000, 5)], wrong)).toHaveLength(1);
    expect(told([seen(0, 1_000, 5)], [seen(1_008, 2_000, 5)], [])).toHaveLength(1);
  });

  it('is told when looks leave more open than lies between two of them', () => {
    expect(told([seen(0, 1_000, 20)], [seen(1_008, 2_000, 20)], handed)).toHaveLength(1);
  });

  it('is not told of two moves in order that lie close together', () => {
    const back = [...handed, drops('b', 1_203), holds('a', 1_207)];
    expect(told([seen(0, 1_000, 5), seen(1_208, 2_000, 5)], [seen(1_008, 1_200, 5)], back)).toEqual([]);
    const early = [...handed, holds('a', 1_203), drops('b', 1_207)];
    expect(told([seen(0, 1_000, 5), seen(1_208, 2_000, 5)], [seen(1_008, 1_200, 5)], early)).not.toEqual([]);
  });
});
