/**
 * Ends an epoch here, whoever wants it: the loop through an action, or the guard by itself at the deadline.
 *
 *   F1  from the first moment nothing begins under the epoch, and what is under way is ended with its children
 *   F2  the guard does it; we do it ourselves when it does not answer, does not know the group, or falls silent
 *   F3  `fence-ended` done is said only when nothing that was under way is left
 *   F4  a name is given up beside it: without its address it leads nobody anywhere, and its disk may hang
 */

import {
  heldEpoch,
  identityAddresses,
  type AgentAction,
  type Ended,
  type Epoch,
  type GroupConfig,
  type GroupId,
} from '@holdfast/core';
import type { CommandRuns } from './command-runs.ts';
import type { EpochGate } from './epoch-gate.ts';
import type { GuardLink } from './guard-link.ts';
import { groupConfig, type Host } from './host.ts';
import type { Resources } from './resources.ts';
import type { ServiceAddresses } from './service-addresses.ts';
import type { ServiceNames } from './service-names.ts';

type Fence = Extract<AgentAction, { kind: 'fence' }>;

export interface FencingParts {
  readonly gate: EpochGate;
  readonly runs: CommandRuns;
  readonly resources: Resources;
  readonly addresses: ServiceAddresses;
  readonly names: ServiceNames;
  readonly guard: GuardLink | null;
}

const guardMs = 200;
/** The guard tells its failure at the deadline; after this much more it is taken for silent. */
const silentMs = 1_000;
const settleMs = 5_000;
/** When the deadline has passed there is nothing left to be quick for. */
const stopMsMax = 10_000;
const hurryMs = 1_000;

export class Fencing {
  readonly #host: Host;
  readonly #parts: FencingParts;
  /** Fences that the guard accepted, by group: told when it says how it went. */
  /** The last epoch of each group that the guard has fenced in full. */
  readonly #guardDid = new Map<GroupId, Epoch>();
  readonly #awaited = new Map<GroupId, { readonly epoch: Epoch; readonly told: () => void }>();

  constructor(host: Host, parts: FencingParts) {
    this.#host = host;
    this.#parts = parts;
  }

  async fence(action: Fence): Promise<void> {
    const { group, epoch, doneBy, reason } = action;
    this.#end(group, epoch, reason); // F1
    if (this.#guardDid.get(group) === epoch) {
      await this.#complete(group, epoch, { kind: 'done' });
      return;
    }
    const asked = (await this.#parts.guard?.fence(group, guardMs)) ?? 'no-answer';
    if (asked === 'accepted' && (await this.#guardTold(group, epoch, doneBy))) return;
    // It was at it already, and has told meanwhile that it is done.
    if (this.#guardDid.get(group) === epoch) return;
    await this.#fenceOurselves(group, epoch, doneBy, asked);
  }

  /** The guard began by itself. */
  guardFencing(group: GroupId, epoch: Epoch, reason: string): void {
    this.#end(group, epoch, reason);
  }

  /** It also tells of fences of long ago when it is connected to anew. */
  guardFenced(group: GroupId, epoch: Epoch, ended: Ended): void {
    this.#end(group, epoch, 'the guard fenced it');
    if (ended.kind === 'done') this.#guardDid.set(group, epoch);
    const awaited = this.#awaited.get(group);
    if (awaited?.epoch === epoch) awaited.told();
    const holding = this.#host.state().groups.get(group)?.holding;
    if (holding === undefined) return;
    const held = heldEpoch(holding);
    if (held === epoch) void this.#complete(group, epoch, ended);
    // O7 (core's ownership.ts).
    else if (held === null) this.#host.dispatch({ kind: 'fence-ended', group, epoch, ended });
  }

  #end(group: GroupId, epoch: Epoch, reason: string): void {
    if (!this.#parts.gate.isOver(group, epoch))
      this.#host.journal.write('epoch-over', { group, epoch, reason });
    this.#parts.gate.end(group, epoch);
    void this.#parts.runs.killAll(group, epoch);
  }

  #guardTold(group: GroupId, epoch: Epoch, doneBy: number): Promise<boolean> {
    return new Promise((resolve) => {
      const end = (told: boolean): void => {
        clearTimeout(timer);
        this.#awaited.delete(group);
        resolve(told);
      };
      const waitMs = Math.max(0, doneBy - this.#host.bootMs()) + silentMs;
      const timer = setTimeout(() => end(false), waitMs);
      this.#awaited.set(group, { epoch, told: () => end(true) });
    });
  }

  async #fenceOurselves(group: GroupId, epoch: Epoch, doneBy: number, asked: string): Promise<void> {
    const config = groupConfig(this.#host.state(), group);
    const how = { group, epoch, guard: asked };
    this.#host.journal.write('fence-ourselves', how);
    const ended: Ended =
      config === null
        ? { kind: 'failed', says: `${group} is not configured here: what to stop is not known` }
        : await this.#stopEverything(config, epoch, doneBy);
    await this.#complete(group, epoch, ended);
  }

  /** Addresses first, all at once; then the resources, the last started first. */
  async #stopEverything(config: GroupConfig, epoch: Epoch, doneBy: number): Promise<Ended> {
    const { addresses, resources } = this.#parts;
    const group = config.name;
    const failures: string[] = [];
    const dropped = await addresses.drop(group, identityAddresses(config.identity));
    if (dropped.kind === 'failed') failures.push(dropped.says);
    for (const resource of [...config.resources].reverse()) {
      const leftMs = doneBy - this.#host.bootMs();
      const limitMs = leftMs > hurryMs ? leftMs : stopMsMax;
      const stopped = await resources.stop(resource, { group, epoch, peer: '', wanted: () => true }, limitMs);
      if (stopped.kind === 'failed') failures.push(`${resource.name}: ${stopped.says}`);
    }
    return failures.length === 0 ? { kind: 'done' } : { kind: 'failed', says: failures.join('; ') };
  }

  /** F3. */
  async #complete(group: GroupId, epoch: Epoch, ended: Ended): Promise<void> {
    const { gate, runs } = this.#parts;
    await runs.killAll(group, epoch);
    const settled = await gate.settled(group, settleMs);
    const config = groupConfig(this.#host.state(), group);
    if (config !== null) void this.#unname(config); // F4
    const said: Ended =
      settled || ended.kind === 'failed'
        ? ended
        : { kind: 'failed', says: 'something that was under way does not end' };
    this.#host.journal.write('fence-ended', { group, epoch, ended: said });
    this.#host.dispatch({ kind: 'fence-ended', group, epoch, ended: said });
  }

  async #unname(config: GroupConfig): Promise<void> {
    const unnamed = await this.#parts.names.giveUp(config);
    if (unnamed.kind === 'failed') this.#host.note(config.name, 'name-kept', unnamed.says);
  }
}
