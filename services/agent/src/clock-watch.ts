/**
 * How other members' clocks run against ours, from their heartbeats. Wall time is for display and certificates only, so
 * a difference is worth a warning and no more. A rate that differs by more than the time rules allow would be worse:
 * they keep two owners apart only while clocks run true within 1 % (core, time.ts).
 */

import { rho, type BootMs, type MemberId, type WallMs } from '@holdfast/core';

const wallApartMs = 2_000;
/** Transit and scheduling blur a rate; over this long they do not matter. */
const rateOverMs = 120_000;
const senderMax = 256;

interface Seen {
  /** Their boot time and ours when the measurement began. */
  readonly theirs: BootMs;
  readonly ours: BootMs;
  wallApart: number;
  rate: number | null;
}

export interface ClockTrouble {
  readonly member: MemberId;
  readonly kind: 'wall' | 'rate';
  readonly says: string;
}

export class ClockWatch {
  readonly #seen = new Map<MemberId, Seen>();

  heard(member: MemberId, theirs: BootMs, theirWall: WallMs, ours: BootMs, ourWall: WallMs): void {
    const seen = this.#seen.get(member);
    const wallApart = theirWall - ourWall;
    // A boot time that went back is another life of that host.
    if (seen === undefined || theirs < seen.theirs) {
      if (this.#seen.size < senderMax || seen !== undefined)
        this.#seen.set(member, { theirs, ours, wallApart, rate: null });
      return;
    }
    seen.wallApart = wallApart;
    const elapsed = ours - seen.ours;
    if (elapsed < rateOverMs) return;
    const rate = (theirs - seen.theirs) / elapsed - 1;
    this.#seen.set(member, { theirs, ours, wallApart, rate });
  }

  /** What is known of others is forgotten: they were removed. */
  keep(members: ReadonlyMap<MemberId, unknown>): void {
    for (const member of this.#seen.keys()) if (!members.has(member)) this.#seen.delete(member);
  }

  troubles(): readonly ClockTrouble[] {
    return [...this.#seen].flatMap(([member, seen]) => {
      const troubles: ClockTrouble[] = [];
      if (Math.abs(seen.wallApart) > wallApartMs) {
        const says = `the wall clock of ${member} is ${describe(seen.wallApart)} of ours`;
        troubles.push({ member, kind: 'wall', says });
      }
      if (seen.rate !== null && Math.abs(seen.rate) > rho / 2) {
        const percent = (Math.abs(seen.rate) * 100).toFixed(2);
        const says = `the clock of ${member} runs ${percent} % ${seen.rate > 0 ? 'faster' : 'slower'} than ours`;
        troubles.push({ member, kind: 'rate', says });
      }
      return troubles;
    });
  }
}

/** Coarse, so that a problem that stays is one problem. */
function describe(apartMs: number): string {
  const magnitude = Math.abs(apartMs);
  const size = magnitude >= 3_600_000 ? 'hours' : magnitude >= 60_000 ? 'minutes' : 'seconds';
  return `${size} ${apartMs > 0 ? 'ahead' : 'behind'}`;
}
