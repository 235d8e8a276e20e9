/**
 * Carries out the steps of takeovers and releases, one after the other for each group.
 *
 *   S1  every step ends in exactly one `step-ended`, at the latest at its limit
 *   S2  nothing is visible outside (address, service) before the guard watches over this epoch and the epoch is on disk
 *   S3  a step of an epoch that is over does nothing; one that was in the middle when it ended leaves nothing behind
 */

import { setTimeout as pause } from 'node:timers/promises';
import type {
  AgentAction,
  Ended,
  Epoch,
  GroupConfig,
  GroupId,
  MemberId,
  MirrorId,
  TakeoverStep,
} from '@holdfast/core';
import { outcomeOf, type CommandRuns } from './command-runs.ts';
import type { EpochGate } from './epoch-gate.ts';
import type { GroupQueue } from './group-queue.ts';
import type { GuardLink } from './guard-link.ts';
import { groupConfig, type Host } from './host.ts';
import type { Memory } from './memory.ts';
import type { MirrorLink } from './mirror-link.ts';
import type { Purpose, Resources } from './resources.ts';
import type { ServiceAddresses } from './service-addresses.ts';
import type { ServiceNames } from './service-names.ts';
import { within } from './within.ts';

export type RunStep = Extract<AgentAction, { kind: 'run-step' }>;

interface StepEnd {
  readonly ended: Ended;
  readonly occupied?: boolean;
  readonly drained?: readonly MemberId[];
}

export interface WalkParts {
  readonly gate: EpochGate;
  readonly queue: GroupQueue;
  readonly runs: CommandRuns;
  readonly resources: Resources;
  readonly addresses: ServiceAddresses;
  readonly names: ServiceNames;
  readonly memory: Memory;
  /** Null on a member without a guard. */
  readonly guard: GuardLink | null;
  /** Null on a member without a mirror process (a witness). */
  readonly mirrors: MirrorLink | null;
}

const enteredMs = 1_000;
/** About what it takes to have an epoch on disk, and until what follows from the decision has come to rest on all hosts. */
const successorMs = 40;

export class TakeoverWalk {
  readonly #host: Host;
  readonly #parts: WalkParts;

  constructor(host: Host, parts: WalkParts) {
    this.#host = host;
    this.#parts = parts;
  }

  run(action: RunStep): void {
    const { group, epoch, run, step, limitMs } = action;
    const began = this.#host.bootMs();
    let told = false;
    const tell = (end: StepEnd): void => {
      if (told) return; // S1
      told = true;
      clearTimeout(limit);
      const ms = Math.round(this.#host.bootMs() - began);
      this.#host.journal.write('step-ended', { group, epoch, run, step: step.kind, ms, ...end });
      const { ended, occupied, drained } = end;
      this.#host.dispatch({
        kind: 'step-ended',
        group,
        epoch,
        run,
        ended,
        ms,
        ...(occupied === true && { occupied }),
        ...(drained !== undefined && { drained }),
      });
    };
    const limit = setTimeout(() => {
      tell({ ended: { kind: 'failed', says: `it did not end within ${Math.round(limitMs)} ms` } });
      // Whatever hangs would hold up the way back.
      void this.#parts.runs.killAll(group, epoch);
    }, limitMs).unref();
    const work = this.#parts.queue.add(group, async () => {
      tell(told ? { ended: { kind: 'failed', says: 'too late' } } : await this.#guarded(action));
    });
    if (work === null) tell({ ended: { kind: 'failed', says: 'too many steps wait for this group' } });
    // F4 (fencing.ts): a name holds nothing up.
    else if (step.kind !== 'name' && step.kind !== 'unname') void this.#parts.gate.track(group, work);
  }

  /** S3. */
  async #guarded(action: RunStep): Promise<StepEnd> {
    const { group, epoch, step } = action;
    if (this.#parts.gate.isOver(group, epoch)) return over(group, epoch);
    const end = await this.#perform(action);
    if (!this.#parts.gate.isOver(group, epoch)) return end;
    await this.#takeBack(action);
    this.#host.journal.write('step-taken-back', { group, epoch, step: step.kind });
    return over(group, epoch);
  }

  #perform(action: RunStep): Promise<StepEnd> {
    const { group, epoch, step } = action;
    const { addresses, names } = this.#parts;
    const config = groupConfig(this.#host.state(), group);
    if (config === null) return Promise.resolve(failed(`${group} is not configured here`));
    switch (step.kind) {
      case 'hook':
        return this.#hook(step, group, epoch);
      case 'probe':
        return addresses.probe(step.addresses, config, action.planned, group);
      case 'yield-own':
        return ending(addresses.drop(group, [step.address]));
      case 'hold-addresses':
        return ending(this.#hold(action, step.addresses, config));
      case 'announce':
        return ending(addresses.announce(step.addresses, config));
      case 'name':
        return ending(names.take(group, epoch, config));
      case 'start':
        return ending(this.#start(step.resource, group, epoch, config));
      case 'stop':
        return ending(this.#stop(step.resource, group, epoch, config));
      case 'unname':
        return ending(names.giveUp(config));
      case 'drop-addresses':
        return ending(this.#giveUp(action, step.addresses));
      case 'open-mirrors':
        return ending(this.#openMirrors(action, step.mirrors));
      case 'drain-mirrors':
        return this.#drainMirrors(action, step);
    }
  }

  /** S2: the epoch is on disk before anything is written at it. */
  async #openMirrors(action: RunStep, mirrors: readonly MirrorId[]): Promise<Ended> {
    const { group, epoch, forced, limitMs } = action;
    const entered = await this.#entered(group, epoch);
    if (entered.kind === 'failed') return entered;
    return this.#parts.mirrors?.open(mirrors, epoch, forced, limitMs) ?? noMirrors;
  }

  async #drainMirrors(
    { limitMs }: RunStep,
    { mirrors, to }: Extract<TakeoverStep, { kind: 'drain-mirrors' }>,
  ): Promise<StepEnd> {
    return this.#parts.mirrors?.drain(mirrors, to, limitMs) ?? { ended: noMirrors };
  }

  async #hook(step: Extract<TakeoverStep, { kind: 'hook' }>, group: GroupId, epoch: Epoch): Promise<StepEnd> {
    const { command, point } = step;
    const purpose = { ...this.#purpose(group, epoch), event: point };
    return { ended: outcomeOf(command.argv, await this.#parts.runs.run(command, purpose)) };
  }

  async #hold(action: RunStep, wanted: readonly string[], config: GroupConfig): Promise<Ended> {
    const { group, epoch } = action;
    const entered = await this.#entered(group, epoch);
    if (entered.kind === 'failed') return entered;
    // A renewal may have been confirmed since the step was ordered.
    const armed = this.#host.state().armed.find((a) => a.group === group && a.epoch === epoch);
    const { addresses } = this.#parts;
    const ended = await addresses.hold(group, epoch, wanted, config, armed?.goneBy ?? action.goneBy);
    // Clients wait for it. The step that repeats it, and tells when it fails, comes some turns of the loop later.
    if (ended.kind === 'done') await addresses.announce(wanted, config, 1);
    return ended;
  }

  /** S2. */
  async #entered(group: GroupId, epoch: Epoch): Promise<Ended> {
    const { guard, memory } = this.#parts;
    const [armed, remembered] = await Promise.all([
      guard?.armed(group, epoch, enteredMs) ?? noGuard,
      inTime(memory.entered(group, epoch)),
    ]);
    if (armed.kind === 'failed') return armed;
    return remembered;
  }

  async #start(name: string, group: GroupId, epoch: Epoch, config: GroupConfig): Promise<Ended> {
    const resource = config.resources.find((r) => r.name === name);
    if (resource === undefined) return { kind: 'failed', says: `there is no resource ${name}` };
    const entered = await this.#entered(group, epoch);
    if (entered.kind === 'failed') return entered;
    return this.#parts.resources.start(resource, this.#purpose(group, epoch));
  }

  async #stop(name: string, group: GroupId, epoch: Epoch, config: GroupConfig): Promise<Ended> {
    const resource = this.#resource(name, config);
    // Its configuration is gone, and with it the way to stop it.
    if (resource === null) return { kind: 'failed', says: `how to stop ${name} is not known any more` };
    return this.#parts.resources.stop(resource, this.#purpose(group, epoch));
  }

  /** A resource that the configuration does not name any more was named by an earlier one. */
  #resource(name: string, config: GroupConfig) {
    return (
      config.resources.find((r) => r.name === name) ?? this.#former.get(`${config.name}/${name}`) ?? null
    );
  }

  readonly #former = new Map<string, GroupConfig['resources'][number]>();

  /** Called with every configuration, so that what it no longer names can still be stopped. */
  configured(groups: Iterable<GroupConfig>): void {
    for (const group of groups)
      for (const resource of group.resources) this.#former.set(`${group.name}/${resource.name}`, resource);
  }

  /** While the successor of a planned move makes ready, the addresses answer still. */
  async #giveUp({ group, planned }: RunStep, addresses: readonly string[]): Promise<Ended> {
    if (planned) await pause(successorMs);
    return this.#drop(group, addresses);
  }

  async #drop(group: GroupId, wanted: readonly string[]): Promise<Ended> {
    await this.#parts.addresses.settleExtensions(group);
    return this.#parts.addresses.drop(group, wanted);
  }

  /** S3: the fence ran while this was in the middle of it. */
  async #takeBack(action: RunStep): Promise<void> {
    const { group, epoch, step } = action;
    const config = groupConfig(this.#host.state(), group);
    if (config === null) return;
    switch (step.kind) {
      case 'start':
        await this.#stop(step.resource, group, epoch, config);
        return;
      case 'hold-addresses':
        await this.#drop(group, step.addresses);
        return;
      case 'name':
        await this.#parts.names.giveUp(config);
        return;
      case 'hook':
      case 'probe':
      case 'yield-own':
      case 'announce':
      case 'stop':
      case 'unname':
      case 'drop-addresses':
      case 'open-mirrors':
      case 'drain-mirrors':
        return;
    }
  }

  #purpose(group: GroupId, epoch: Epoch): Purpose {
    const wanted = (): boolean => !this.#parts.gate.isOver(group, epoch);
    return { group, epoch, peer: peerOf(this.#host, group), wanted };
  }
}

/** The other server of the operation under way, or empty. */
export function peerOf(host: Host, group: GroupId): string {
  const operation = host.state().groups.get(group)?.seen?.operation ?? null;
  if (operation === null) return '';
  const other = operation.from === host.self ? operation.to : operation.from;
  return other ?? '';
}

const noGuard: Ended = { kind: 'failed', says: 'this member has no guard' };
const noMirrors: Ended = { kind: 'failed', says: 'this member has no mirror process' };

function failed(says: string): StepEnd {
  return { ended: { kind: 'failed', says } };
}

function over(group: GroupId, epoch: Epoch): StepEnd {
  return failed(`epoch ${epoch.toString()} of ${group} is over here`);
}

async function ending(work: Promise<Ended>): Promise<StepEnd> {
  return { ended: await work };
}

async function inTime(written: Promise<Ended>): Promise<Ended> {
  const says = `the epoch could not be remembered within ${enteredMs} ms: is the disk of the state directory stuck?`;
  return (await within(written, enteredMs)) ?? { kind: 'failed', says };
}
