/**
 * The networks between the hosts: path 0 is the service network, path 1 the private one. Datagrams are lost, doubled,
 * delayed and reordered; a call over TCP goes by any path that works both ways, and waits for one for a while.
 */

import type { Machine } from './machine.ts';
import type { Simulation } from './simulation.ts';

export const paths = 2;

export type Traffic = 'udp' | 'tcp';

interface Line {
  /** How many faults block it, for each kind of traffic. */
  udp: number;
  tcp: number;
  loss: number;
  /** Of those that arrive. */
  doubled: number;
  extraMs: number;
}

/** A TCP connection that hangs is given up after this long. */
const giveUpMs = 12_000;

export class Network {
  private readonly sim: Simulation;
  private readonly machines: readonly Machine[];
  private readonly lines: Line[] = [];

  constructor(sim: Simulation, machines: readonly Machine[]) {
    this.sim = sim;
    this.machines = machines;
    for (let i = 0; i < machines.length ** 2 * paths; i += 1) {
      this.lines.push({ udp: 0, tcp: 0, loss: 0, doubled: 0, extraMs: 0 });
    }
  }

  line(from: Machine, to: Machine, path: number): Line {
    return this.lines[(from.index * this.machines.length + to.index) * paths + path] as Line;
  }

  /** Blocks one direction of one path; the same call with -1 takes that back. */
  block(from: Machine, to: Machine, path: number, traffic: readonly Traffic[], by: 1 | -1): void {
    const line = this.line(from, to, path);
    for (const kind of traffic) line[kind] += by;
  }

  clear(): void {
    for (const line of this.lines) Object.assign(line, { udp: 0, tcp: 0, loss: 0, doubled: 0, extraMs: 0 });
  }

  datagram(from: Machine, to: Machine, path: number, arrive: () => void): void {
    const line = this.line(from, to, path);
    const { random } = this.sim;
    if (line.udp > 0 || (line.loss > 0 && random.chance(line.loss))) return;
    const deliver = () => {
      if (to.runs) arrive();
    };
    this.sim.after(this.delay(line), deliver);
    if (line.doubled > 0 && random.chance(line.doubled)) this.sim.after(this.delay(line), deliver);
  }

  private delay(line: Line): number {
    const { random } = this.sim;
    return random.between(0.1, 1.2) + (line.extraMs === 0 ? 0 : random.exponential(line.extraMs));
  }

  /** Whether a TCP exchange works now; the kernels answer, so frozen processes do not matter. */
  connected(from: Machine, to: Machine): boolean {
    if (!from.runs || !to.runs) return false;
    if (from === to) return true;
    for (let path = 0; path < paths; path += 1) {
      if (this.line(from, to, path).tcp === 0 && this.line(to, from, path).tcp === 0) return true;
    }
    return false;
  }

  /** Whether an ARP or echo request is answered on this path. */
  answers(from: Machine, to: Machine, path: number): boolean {
    if (!from.runs || !to.runs) return false;
    const there = this.line(from, to, path);
    const back = this.line(to, from, path);
    return there.udp === 0 && there.tcp === 0 && back.udp === 0 && back.tcp === 0;
  }

  /** One leg of a call. It is retransmitted while the line is broken, and may so arrive long after it was sent. */
  send(from: Machine, to: Machine, arrive: () => void, sentAt = this.sim.now, againMs = 200): void {
    const { random } = this.sim;
    if (from === to) {
      this.sim.after(random.between(0.05, 0.3), arrive);
      return;
    }
    if (this.connected(from, to)) {
      const line = this.line(from, to, this.line(from, to, 0).tcp === 0 ? 0 : 1);
      const lost = line.loss > 0 && random.chance(line.loss) ? againMs : 0;
      this.sim.after(this.delay(line) + lost, () => {
        if (this.connected(from, to)) arrive();
        else this.retry(from, to, arrive, sentAt, againMs);
      });
      return;
    }
    this.retry(from, to, arrive, sentAt, againMs);
  }

  private retry(from: Machine, to: Machine, arrive: () => void, sentAt: number, againMs: number): void {
    // A host that lost its power answers with a reset: nothing of the old connection ever arrives.
    if (!from.up || !to.up || this.sim.now - sentAt > giveUpMs) return;
    const { bootId } = to;
    this.sim.after(againMs, () => {
      if (to.bootId === bootId) this.send(from, to, arrive, sentAt, againMs * 2);
    });
  }
}
