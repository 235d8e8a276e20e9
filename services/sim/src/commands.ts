/** How the commands of one host behave: how long they take, whether they fail, hang, or end only after somebody gave up. */

import type { Simulation } from './simulation.ts';

export interface Behaviour {
  /** Chances, for each command that is run. */
  fails: number;
  hangs: number;
  /** Shortest and longest time that a command takes when it is well. */
  leastMs: number;
  slowMs: number;
}

export type Outcome =
  | { readonly kind: 'done' | 'failed'; readonly ms: number }
  /** It never ends by itself: killed at its limit. */
  | { readonly kind: 'hangs' };

export class Commands {
  readonly behaviour: Behaviour = { fails: 0, hangs: 0, leastMs: 5, slowMs: 300 };
  private readonly sim: Simulation;

  constructor(sim: Simulation) {
    this.sim = sim;
  }

  heal(): void {
    Object.assign(this.behaviour, { fails: 0, hangs: 0, leastMs: 5, slowMs: 300 });
  }

  draw(): Outcome {
    const { random } = this.sim;
    const { fails, hangs, leastMs, slowMs } = this.behaviour;
    const fate = random.next();
    if (fate < hangs) return { kind: 'hangs' };
    const ms = random.between(leastMs, slowMs);
    return { kind: fate < hangs + fails ? 'failed' : 'done', ms };
  }
}
