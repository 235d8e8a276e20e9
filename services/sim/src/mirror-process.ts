/**
 * The mirror process of one host, with the duties of the real one: it does what it is ordered, and refuses by epoch and
 * by grant whatever the orders are. Contents are numbers (copy.ts); they travel asynchronously, over the networks.
 *
 *   P1  nothing is sent without a live grant
 *   P2  a frame of a lower epoch than the highest that was durably seen is refused
 */

import {
  lastCommon,
  type BootMs,
  type Ended,
  type Epoch,
  type GroupConfig,
  type GroupId,
  type History,
  type MemberId,
  type MirrorOrder,
  type MirrorOrders,
  type MirrorReport,
  type MirrorRow,
  type MirrorState,
} from '@holdfast/core';
import { writeEveryMs } from './copy.ts';
import type { Machine } from './machine.ts';
import type { MirrorsAudit } from './mirrors-audit.ts';
import type { Network } from './network.ts';
import type { Simulation } from './simulation.ts';

/** Every simulated group has one mirror. */
const mirrorName = 'data';

const beatEveryMs = 1_000;
const silentMs = 5_000;
/** Writes that travel with one beat. */
const writesPerBeat = 200;
const writeBytes = 4_096;
/** Parts of an initial copy; one travels with each beat. */
const initialParts = 8;
const drainAgainMs = 40;
const lastDrainMs = 1_000;
const noSpace = 'no space left on device';

interface Frame {
  readonly group: GroupId;
  readonly from: MemberId;
  /** One connection carries frames in order, and a new one ends the old: what was overtaken never arrives. */
  readonly number: number;
  readonly epoch: Epoch;
  readonly history: History;
}

interface Ack {
  readonly at: BootMs;
  readonly history: History;
  readonly consistent: boolean;
  readonly epoch: Epoch;
}

interface Word {
  readonly at: BootMs;
  readonly epoch: Epoch;
  readonly behind: number;
}

interface MirrorSurroundings {
  readonly sim: Simulation;
  readonly machine: Machine;
  readonly network: Network;
  readonly audit: MirrorsAudit;
  readonly configOf: (group: GroupId) => GroupConfig | null;
  readonly processOf: (member: MemberId) => MirrorProcess | null;
  readonly report: (reports: readonly MirrorReport[]) => void;
  /** A broken variant: orders are enough. */
  readonly ignoresGrants: boolean;
}

export class MirrorProcess {
  alive = true;
  private orders: MirrorOrders = { mirrors: [] };
  private readonly words = new Map<GroupId, Word>();
  private readonly acks = new Map<string, Ack>();
  private readonly around: MirrorSurroundings;
  /** The last frame of each source that was taken, whichever of its processes sent it. */
  private readonly taken = new Map<MemberId, number>();

  constructor(around: MirrorSurroundings) {
    this.around = around;
    this.tick(around.sim.random.between(0, beatEveryMs));
  }

  order(orders: MirrorOrders): void {
    this.orders = orders;
  }

  die(): void {
    this.alive = false;
  }

  private tick(delayMs: number): void {
    const { sim, machine } = this.around;
    sim.after(delayMs, () => {
      if (!this.alive || !machine.up) return;
      if (machine.runs && this.orders.mirrors.length > 0) this.beat();
      this.tick(beatEveryMs);
    });
  }

  private beat(): void {
    for (const order of this.orders.mirrors) this.send(order);
    this.around.report(this.orders.mirrors.flatMap((o) => this.reportOf(o)));
  }

  // -- source --------------------------------------------------------------------------------------------------

  /** P1. */
  private send(order: MirrorOrder): void {
    const { sim, machine, network, audit } = this.around;
    const { role } = order;
    if (role.kind !== 'source') return;
    const live = role.grantUntil === null || machine.boot() < role.grantUntil;
    if (!live && !this.around.ignoresGrants) return;
    const group = groupOf(order);
    const config = this.around.configOf(group);
    if (config === null) return;
    audit.sends(machine, config, role.epoch);
    const history = machine.copyOf(group).historyAt(sim.now);
    machine.framesSent += 1;
    const frame: Frame = { group, from: machine.id, number: machine.framesSent, epoch: role.epoch, history };
    for (const { member } of role.targets) {
      const target = this.around.processOf(member);
      if (target?.alive !== true) continue;
      const to = target.around.machine;
      network.send(machine, to, () => {
        const ack = target.alive ? target.receive(frame) : null;
        if (ack === null) return;
        network.send(to, machine, () => {
          this.acks.set(`${group} ${member}`, { ...ack, at: machine.boot() });
        });
      });
    }
  }

  private rowOf(group: GroupId, epoch: Epoch, target: MemberId): MirrorRow {
    const { machine, sim } = this.around;
    const ack = this.acks.get(`${group} ${target}`);
    const fresh = ack?.epoch === epoch && machine.boot() - ack.at < silentMs;
    const behind =
      ack === undefined ? machine.copyOf(group).sequenceAt(sim.now) : this.lacks(group, ack.history);
    return {
      target,
      state: stateOf(fresh, ack?.consistent === true, behind),
      consistent: ack?.consistent === true,
      behindBytes: behind * writeBytes,
      behindMs: behind * writeEveryMs,
      totalBytes: 0,
      doneBytes: 0,
      rateBytesPerSecond: 0,
      says: '',
    };
  }

  /** Writes that a target lacks of what is here. */
  private lacks(group: GroupId, theirs: History): number {
    const { machine, sim } = this.around;
    const mine = machine.copyOf(group).historyAt(sim.now);
    return (mine.at(-1)?.sequence ?? 0) - (lastCommon(theirs, mine) ?? 0);
  }

  // -- target --------------------------------------------------------------------------------------------------

  /** P2. Null: refused. */
  private receive(frame: Frame): Omit<Ack, 'at'> | null {
    const { machine, sim, audit } = this.around;
    const { group, epoch, from, history } = frame;
    const role = this.orders.mirrors.find((o) => groupOf(o) === group)?.role;
    if (machine.diskFull || role?.kind !== 'target' || !role.sources.includes(from) || epoch < role.epoch)
      return null;
    const copy = machine.copyOf(group);
    if (epoch < copy.highest || frame.number <= (this.taken.get(from) ?? 0)) return null;
    this.taken.set(from, frame.number);
    audit.applies(machine, group, epoch, copy);
    copy.highest = epoch;
    copy.reconcile(history);
    const all = history.at(-1)?.sequence ?? 0;
    if (!copy.consistent) copy.received += 1;
    if (!copy.consistent && copy.received >= initialParts) {
      copy.consistent = true;
      copy.take(history, all);
    } else if (copy.consistent) copy.take(history, Math.min(all, copy.sequenceAt(sim.now) + writesPerBeat));
    const held = copy.historyAt(sim.now);
    const behind = all - (held.at(-1)?.sequence ?? 0);
    this.words.set(group, { at: machine.boot(), epoch, behind });
    return { history: held, consistent: copy.consistent, epoch };
  }

  private reportOf(order: MirrorOrder): readonly MirrorReport[] {
    const { machine, sim } = this.around;
    const { role, mirror } = order;
    const group = groupOf(order);
    const copy = machine.copyOf(group);
    const sequence = copy.sequenceAt(sim.now);
    switch (role.kind) {
      case 'source': {
        const targets = role.targets.map((t) => this.rowOf(group, role.epoch, t.member));
        const full = machine.diskFull ? { dataTrouble: noSpace } : {};
        return [
          { kind: 'source', mirror, epoch: role.epoch, sequence, says: '', export: null, targets, ...full },
        ];
      }
      case 'target': {
        const word = this.words.get(group);
        const fresh = word !== undefined && machine.boot() - word.at < silentMs;
        const behind = word?.behind ?? 0;
        return [
          {
            kind: 'target',
            mirror,
            epoch: word?.epoch ?? 0n,
            sequence,
            consistent: copy.consistent,
            state: machine.diskFull ? 'waiting' : stateOf(fresh, copy.consistent, behind),
            word:
              word === undefined
                ? null
                : { at: word.at, behindMs: behind * writeEveryMs, behindBytes: behind * writeBytes },
            says: machine.diskFull ? noSpace : '',
          },
        ];
      }
      case 'idle':
        return [];
    }
  }

  // -- steps ---------------------------------------------------------------------------------------------------

  open(config: GroupConfig, epoch: Epoch, forced: boolean): Ended {
    const { machine, sim, audit } = this.around;
    const copy = machine.copyOf(config.name);
    if (epoch < copy.highest)
      return { kind: 'failed', says: `epoch ${copy.highest.toString()} was seen here` };
    audit.opens(machine, config, epoch, forced);
    copy.open(epoch, sim.now);
    return { kind: 'done' };
  }

  /** Ends when `to` has everything; with null, with whoever has it after a moment. */
  drain(
    group: GroupId,
    to: MemberId | null,
    limitMs: number,
    ended: (ended: Ended, drained: readonly MemberId[]) => void,
  ): void {
    const { sim, machine } = this.around;
    const until = sim.now + Math.min(limitMs, to === null ? lastDrainMs : Infinity);
    const look = (): void => {
      if (!this.alive || !machine.up) return;
      const order = this.orders.mirrors.find((o) => groupOf(o) === group);
      const role = order?.role;
      if (order === undefined || role?.kind !== 'source') {
        ended({ kind: 'failed', says: 'this server is not the source' }, []);
        return;
      }
      const drained = role.targets.flatMap((t) =>
        this.holdsAll(group, role.epoch, t.member) ? [t.member] : [],
      );
      if (to !== null && drained.includes(to)) ended({ kind: 'done' }, drained);
      else if (sim.now >= until) {
        const says = `${to ?? ''} does not have everything`;
        ended(to === null ? { kind: 'done' } : { kind: 'failed', says }, drained);
      } else {
        if (machine.runs) this.send(order);
        sim.after(drainAgainMs, look);
      }
    };
    look();
  }

  private holdsAll(group: GroupId, epoch: Epoch, target: MemberId): boolean {
    const ack = this.acks.get(`${group} ${target}`);
    return ack?.epoch === epoch && ack.consistent && this.lacks(group, ack.history) === 0;
  }
}

function stateOf(fresh: boolean, consistent: boolean, behind: number): MirrorState {
  if (!fresh) return 'disconnected';
  if (!consistent) return 'initial-copy';
  return behind > writesPerBeat ? 'resync' : 'replicating';
}

function groupOf({ mirror }: MirrorOrder): GroupId {
  return mirror.slice(0, mirror.length - mirrorName.length - 1);
}
