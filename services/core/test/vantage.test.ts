/** Who is heard, by whom: one's own ears, and fresh reports of others. */

import type { Heartbeat } from '../src/index.ts';
import { hear, heardHere, hearsUs, lastHeard, lastHeardOnPath, startListening } from '../src/vantage.ts';

const beatMs = 1_000;

function beat(heard: readonly { member: string; path: number; ageMs: number }[] = []): Heartbeat {
  return {
    kind: 'heartbeat',
    sentAt: 0,
    echo: null,
    version: '1',
    leaving: false,
    addresses: [],
    groups: [],
    vantage: heard.map((row) => ({ ...row, rttMs: null })),
    diagnoses: [],
  };
}

describe('a vantage', () => {
  it('calls nobody silent for longer than it listens', () => {
    expect(lastHeard(startListening('w', 5_000), 'a', beatMs, 9_000)).toBe(5_000);
  });

  it('hears by the ears of another member whose word is fresh', () => {
    const v = hear(startListening('w', 0), 'b', 0, beat([{ member: 'a', path: 1, ageMs: 200 }]), 10_000);
    expect(lastHeard(v, 'a', beatMs, 10_500)).toBe(9_800);
    expect(heardHere(v, 'a')).toBeNull();
  });

  it('believes nothing of a member that is itself silent', () => {
    const v = hear(startListening('w', 0), 'b', 0, beat([{ member: 'a', path: 1, ageMs: 200 }]), 10_000);
    expect(lastHeard(v, 'a', beatMs, 13_001)).toBe(0);
  });

  it('believes nobody about itself', () => {
    const v = hear(startListening('w', 0), 'a', 0, beat([{ member: 'a', path: 0, ageMs: 0 }]), 1_000);
    expect(lastHeard(v, 'a', beatMs, 9_000)).toBe(1_000);
  });

  it('knows which way of a path is deaf', () => {
    const v = hear(startListening('w', 0), 'a', 0, beat([{ member: 'w', path: 1, ageMs: 50 }]), 1_000);
    expect(hearsUs(v, 'a', 0)).toBeNull();
    expect(hearsUs(v, 'a', 1)).toBe(950);
  });

  it('does not take what the agent on its own host sends for the network', () => {
    const v = hear(startListening('a', 0), 'a', 0, beat(), 1_000);
    expect(lastHeardOnPath(v, 'a', 0, beatMs, 1_100)).toBeNull();
    expect(lastHeard(v, 'a', beatMs, 1_100)).toBe(1_000);
  });
});
