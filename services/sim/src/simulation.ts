/**
 * One simulated world's time, chance and journal. Nothing in a run depends on anything but the seed, so a seed and a
 * set of options replay the same run, event for event.
 */

import { EventQueue } from './queue.ts';
import { Random } from './random.ts';

export interface Violation {
  /** I1 to I11 of docs/guarantees.md, or the name of a story's expectation. */
  readonly invariant: string;
  readonly says: string;
  readonly atMs: number;
}

/** Written out only when somebody reads it. */
interface Line {
  readonly atMs: number;
  readonly who: string;
  readonly says: string;
}

/** More events than this within a moment are one loop that never sleeps. */
const livelock = 20_000;
const momentMs = 100;
/** Lines of the journal that are kept. */
const journalMax = 4_000;

export class Simulation {
  /** True time in milliseconds since the run began. No process in the world can read it. */
  now = 0;
  readonly random: Random;
  readonly queue = new EventQueue();
  violation: Violation | null = null;
  events = 0;
  private readonly lines: Line[] = [];
  private sameMoment = 0;
  private momentAt = 0;

  constructor(seed: number) {
    this.random = new Random(seed, 1);
  }

  after(delayMs: number, what: () => void): void {
    this.queue.push(this.now + Math.max(0, delayMs), what);
  }

  at(timeMs: number, what: () => void): void {
    this.queue.push(Math.max(this.now, timeMs), what);
  }

  /** Runs until then, or until something was violated. */
  runUntil(endMs: number): void {
    while (this.violation === null) {
      const next = this.queue.pop();
      if (next === null) break;
      if (next.at > endMs) {
        this.queue.push(next.at, next.what);
        break;
      }
      // Many requests that wait for a frozen etcd come close after each other, and are no loop.
      if (next.at - this.momentAt >= momentMs) {
        this.momentAt = next.at;
        this.sameMoment = 0;
      }
      this.sameMoment += 1;
      if (this.sameMoment > livelock) this.fail('livelock', 'a loop wakes itself again and again');
      this.now = next.at;
      this.events += 1;
      next.what();
    }
    if (this.violation === null) this.now = endMs;
  }

  /** Told of each line of the journal, for stories that wait for a moment. */
  onLine: ((who: string, says: string) => void) | null = null;

  log(who: string, says: string): void {
    this.onLine?.(who, says);
    this.lines.push({ atMs: this.now, who, says });
    if (this.lines.length > 2 * journalMax) this.lines.splice(0, journalMax);
  }

  /** The first violation ends the run; what follows from a broken world means nothing. */
  fail(invariant: string, says: string): void {
    if (this.violation !== null) return;
    this.violation = { invariant, says, atMs: this.now };
    this.log('AUDIT', `${invariant} violated: ${says}`);
  }

  failed(): boolean {
    return this.violation !== null;
  }

  journal(last: number): readonly string[] {
    return this.lines.slice(-last).map(lineText);
  }
}

function lineText({ atMs, who, says }: Line): string {
  return `${(atMs / 1_000).toFixed(3).padStart(9)}  ${who.padEnd(9)} ${says}`;
}
