/**
 * All mirrors of this member: orders in, reports out. Orders are the whole truth each time; they outlive the agent that
 * gave them, and a source ends at its grant.
 */

import type { Epoch, MirrorOrder, MirrorReport } from '@holdfast/core';
import type { MirrorSocketRequest } from '@holdfast/wire/mirror';
import { Restores } from './restores.ts';
import { Seat, type SeatPorts } from './seat.ts';
import { refused, type Answered, type RunPorts } from './side.ts';

type Request<T extends MirrorSocketRequest['type']> = Extract<MirrorSocketRequest, { type: T }>;

export class Mirrors {
  readonly #ports: SeatPorts;
  readonly #seats = new Map<string, Seat>();
  readonly #leaving = new Map<string, Promise<void>>();
  readonly #restores = new Restores();
  #closed = false;
  /** Before the first orders nothing is known of any mirror, and so not that there is nothing of it here. */
  #ordered = false;

  constructor(ports: SeatPorts) {
    this.#ports = ports;
  }

  order(orders: readonly MirrorOrder[]): void {
    if (this.#closed) return;
    this.#ordered = true;
    for (const [mirror, seat] of this.#seats)
      if (!orders.some((order) => order.mirror === mirror)) this.#leave(mirror, seat);
    for (const order of orders) this.#seat(order);
  }

  reports(): readonly MirrorReport[] {
    return [...this.#seats.values()].flatMap((seat) => seat.report() ?? []);
  }

  /** Why a mirror takes no copy on this member, when it should; empty: it does, or nobody knows. */
  absent(mirror: string): string {
    const report = this.#seats.get(mirror)?.report();
    return report?.kind === 'target' ? report.says : '';
  }

  open({ mirror, epoch, forced }: { mirror: string; epoch: Epoch; forced: boolean }): Promise<Answered> {
    return this.#of(mirror, (seat) => seat.open(epoch, forced));
  }

  drain({ mirror, to, limitMs }: Omit<Request<'drain'>, 'id' | 'type'>): Promise<Answered> {
    return this.#of(mirror, (seat) => seat.drain(to, limitMs));
  }

  run({ run }: Omit<Request<'run'>, 'id' | 'type'>, ports: RunPorts): Promise<Answered> {
    if (!this.#ordered) {
      const says = 'the mirror process has just started, and knows of no mirror yet: ask again';
      return Promise.resolve({ kind: 'failed', as: 'failed', says });
    }
    const work = (): Promise<Answered> => this.#of(run.mirror, (seat) => seat.run(run, ports));
    return this.#restores.pass(run, work).catch(refused);
  }

  async close(): Promise<void> {
    this.#closed = true;
    await Promise.all([...this.#seats.values()].map((seat) => seat.close(false)));
    await Promise.all(this.#leaving.values());
  }

  #seat(order: MirrorOrder): void {
    const known = this.#seats.get(order.mirror);
    if (known !== undefined) {
      known.order(order);
      return;
    }
    // The former seat of that name still closes its files: the next order finds it gone.
    if (this.#leaving.has(order.mirror)) return;
    this.#seats.set(order.mirror, new Seat(order, this.#ports));
  }

  #leave(mirror: string, seat: Seat): void {
    this.#seats.delete(mirror);
    const left = seat.close(true).finally(() => this.#leaving.delete(mirror));
    this.#leaving.set(mirror, left);
  }

  #of(mirror: string, ask: (seat: Seat) => Promise<Answered>): Promise<Answered> {
    const seat = this.#seats.get(mirror);
    if (seat !== undefined) return ask(seat);
    const says = `no order for ${mirror} came yet`;
    return Promise.resolve({ kind: 'failed', as: 'not-found', says });
  }
}
