/** The time rules: the reference values, and the inequality for every outage that is accepted. */

import fc from 'fast-check';
import {
  brokenRule,
  deriveTimeRules,
  downAt,
  goneBy,
  kernelLifetimeSeconds,
  mayActUntil,
  rho,
  type TimeRules,
} from '../src/index.ts';

function rulesOf(outageMs: number): TimeRules {
  const derived = deriveTimeRules(outageMs);
  if (derived.kind === 'ok') return derived.rules;
  throw new Error(derived.reason);
}

function smallest(): number {
  const derived = deriveTimeRules(1);
  if (derived.kind === 'ok') throw new Error('an outage of 1 ms was accepted');
  return derived.smallestMs;
}

describe('time rules', () => {
  it('are the reference values at 35 s', () => {
    const { renewMs, attemptMs, fenceMs, stopMs, waitMs, suspectMs, heartbeatMs } = rulesOf(35_000);
    expect({ renewMs, attemptMs, fenceMs, stopMs, waitMs, suspectMs, heartbeatMs }).toEqual({
      renewMs: 3_000,
      attemptMs: 2_000,
      fenceMs: 10_000,
      stopMs: 6_000,
      waitMs: 20_000,
      suspectMs: 8_750,
      heartbeatMs: 1_000,
    });
  });

  it('stay the reference values for a longer outage', () => {
    expect(rulesOf(60_000).fenceMs).toBe(10_000);
    expect(rulesOf(60_000).waitMs).toBe(20_000);
  });

  it('refuse an outage that is too short, and name the smallest one that works', () => {
    const derived = deriveTimeRules(1_000);
    expect(derived).toMatchObject({ kind: 'too-short', reason: 'G <= outage does not hold' });
    expect(brokenRule(rulesOf(smallest()))).toBeNull();
    expect(deriveTimeRules(smallest() - 100).kind).toBe('too-short');
  });

  const accepted = fc.integer({ min: smallest(), max: 600_000 }).map(rulesOf);

  it('keep two owners apart however the clocks drift within rho', () => {
    const drift = fc.double({ min: -rho, max: rho, noNaN: true });
    fc.assert(
      fc.property(accepted, drift, drift, (rules, mine, theirs) => {
        // The owner's clock runs slow and the other one's fast, at worst; both started at its `s`.
        const gone = (rules.fenceMs + rules.stopMs) / (1 + mine);
        const taken = rules.waitMs / (1 + theirs);
        expect(gone).toBeLessThan(taken);
      }),
    );
  });

  it('leave room for a renewal and two attempts before the fence', () => {
    fc.assert(
      fc.property(accepted, (r) => {
        expect(r.renewMs + 2 * r.attemptMs).toBeLessThan(r.fenceMs);
        expect(r.waitMs).toBeLessThanOrEqual(r.outageMs);
      }),
    );
  });

  it('give every address a lifetime that holds until the fence and ends before s + F + S', () => {
    const delay = fc.double({ min: 0, max: 1, noNaN: true });
    fc.assert(
      fc.property(accepted, delay, (rules, part) => {
        const setAt = part * rules.attemptMs;
        const totalMs = rules.fenceMs + rules.stopMs;
        const seconds = kernelLifetimeSeconds(totalMs - setAt);
        expect(seconds).not.toBeNull();
        const lifetimeMs = (seconds ?? 0) * 1_000;
        expect(setAt + lifetimeMs - 20).toBeGreaterThanOrEqual(rules.fenceMs);
        expect(setAt + lifetimeMs + 1_000).toBeLessThanOrEqual(totalMs);
      }),
    );
  });

  it('set no address when less than two seconds are left', () => {
    expect([1_999, 2_000, 2_999, 3_000].map(kernelLifetimeSeconds)).toEqual([null, 1, 1, 2]);
  });
});

describe('an entitlement', () => {
  it('ends by the rules that were told with its proof', () => {
    const entitlement = { provenAt: 1_000, rules: rulesOf(35_000) };
    expect(mayActUntil(entitlement)).toBe(11_000);
    expect(goneBy(entitlement)).toBe(17_000);
  });
});

describe('a server is down', () => {
  const rules = rulesOf(35_000);

  it.each([
    ['silent and not renewing', 0, 0, 35_000],
    ['heard lately, though it does not renew', 30_000, 0, 65_000],
    ['renewing lately, though nobody hears it', 0, 30_000, 50_000],
    ['never renewed', 0, null, 35_000],
  ])('%s', (_what, heardAt, renewalChangedAt, from) => {
    expect(downAt({ heardAt, renewalChangedAt }, rules)).toBe(from);
  });
});
