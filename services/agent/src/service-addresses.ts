/**
 * The addresses of groups on this host: probed for, held with an end that the kernel keeps, extended, dropped. What was
 * set or dropped is in the journal, so that tests can tell who had an address when.
 */

import {
  identityAddresses,
  kernelLifetimeSeconds,
  type BootMs,
  type Ended,
  type Epoch,
  type GroupConfig,
  type GroupId,
} from '@holdfast/core';
import type { Devices } from './devices.ts';
import type { EpochGate } from './epoch-gate.ts';
import { withinMs } from './within.ts';
import { stillHeld, type Host } from './host.ts';

export interface Probed {
  readonly ended: Ended;
  /** Somebody answers at an address. */
  readonly occupied: boolean;
}

const probeMs = 25;
/** An answer that is this young need not be asked for again. */
const freshMs = 1_500;
const announcements = 5;
const settleMs = 1_500;
const done: Ended = { kind: 'done' };

export class ServiceAddresses {
  readonly #host: Host;
  readonly #devices: Devices;
  readonly #gate: EpochGate;
  /** Addresses of this host changed. */
  readonly #changed: () => void;
  readonly #extending = new Map<GroupId, Promise<unknown>>();
  readonly #failing = new Set<GroupId>();
  /** When it was last asked for and nobody answered. */
  readonly #freeAt = new Map<string, BootMs>();
  /** Where it belongs, as it was found a moment ago. */
  readonly #found = new Map<string, { readonly device: string; readonly at: BootMs }>();

  constructor(host: Host, devices: Devices, gate: EpochGate, changed: () => void) {
    this.#host = host;
    this.#devices = devices;
    this.#gate = gate;
    this.#changed = changed;
  }

  deviceOf(address: string, config: GroupConfig | null): Promise<string | null> {
    return this.#devices.of(address, config?.identity.interface ?? null);
  }

  /**
   * Asks for all addresses at once; those that are here already are not asked for. After a planned release nobody is:
   * the former owner just removed the addresses and read back that they were gone.
   */
  async probe(
    addresses: readonly string[],
    config: GroupConfig | null,
    planned: boolean,
    group: GroupId,
  ): Promise<Probed> {
    if (planned) return { ended: { kind: 'done' }, occupied: false };
    const answers = await Promise.all(addresses.map((a) => this.#probeOne(a, config)));
    const occupied = answers.find((a) => a.kind === 'somebody');
    if (occupied !== undefined) return { ended: { kind: 'failed', says: occupied.says }, occupied: true };
    const impossible = answers.find((a) => a.kind === 'impossible');
    if (impossible !== undefined)
      return { ended: { kind: 'failed', says: impossible.says }, occupied: false };
    for (const answer of answers)
      if (answer.kind === 'unknown') this.#host.note(group, 'probe-unknown', answer.says);
    return { ended: { kind: 'done' }, occupied: false };
  }

  /** Finds out before it is needed what setting and announcing would ask first; the answers count for a moment. */
  async lookAhead(addresses: readonly string[], config: GroupConfig): Promise<void> {
    await Promise.all(
      addresses.map(async (address) => {
        const at = this.#host.bootMs();
        const device = await this.deviceOf(address, config);
        if (device === null) return;
        await this.#host.platform.neighbours.linkAddress(device);
        this.#found.set(address, { device, at });
      }),
    );
  }

  /** Asks before it is needed; the answer counts for a moment. */
  async probeAhead(addresses: readonly string[], config: GroupConfig): Promise<void> {
    await Promise.all(
      addresses.map(async (address) => {
        const began = this.#host.bootMs();
        const { kind } = await this.#probeOne(address, config);
        if (kind === 'free') this.#freeAt.set(address, began);
        else this.#freeAt.delete(address);
      }),
    );
  }

  async #probeOne(
    address: string,
    config: GroupConfig | null,
  ): Promise<{ kind: 'free' | 'somebody' | 'unknown' | 'impossible'; says: string }> {
    const { addresses, neighbours } = this.#host.platform;
    const device = await this.deviceOf(address, config);
    if (device === null) return { kind: 'impossible', says: noDevice(address) };
    if (await addresses.has(address)) return { kind: 'free', says: '' };
    if (this.#host.bootMs() - (this.#freeAt.get(address) ?? -Infinity) < freshMs)
      return { kind: 'free', says: '' };
    const seen = await neighbours.probe(address, device, probeMs);
    switch (seen.kind) {
      case 'nobody':
        return { kind: 'free', says: '' };
      case 'somebody':
        return { kind: 'somebody', says: `${seen.linkAddress} answers at ${address} on ${device}` };
      case 'unknown':
        return { kind: 'unknown', says: `whether somebody has ${address} is not known: ${seen.says}` };
    }
  }

  /** Sets the addresses for what is left of the entitlement. What came too late is taken back. */
  async hold(
    group: GroupId,
    epoch: Epoch,
    addresses: readonly string[],
    config: GroupConfig | null,
    goneBy: BootMs,
  ): Promise<Ended> {
    const outcomes = await Promise.all(
      addresses.map((address) => this.#holdOne(group, epoch, address, config, goneBy)),
    );
    this.#changed();
    if (this.#gate.isOver(group, epoch)) {
      await this.drop(group, addresses);
      return { kind: 'failed', says: `epoch ${epoch.toString()} of ${group} ended meanwhile` };
    }
    return firstFailure(outcomes);
  }

  async #holdOne(
    group: GroupId,
    epoch: Epoch,
    address: string,
    config: GroupConfig | null,
    goneBy: BootMs,
  ): Promise<Ended> {
    const device = await this.#deviceNow(address, config);
    if (device === null) return { kind: 'failed', says: noDevice(address) };
    if (this.#gate.isOver(group, epoch))
      return { kind: 'failed', says: `epoch ${epoch.toString()} of ${group} is over` };
    // At the very moment of setting: a stale number would outlive the entitlement.
    const at = this.#host.bootMs();
    const seconds = kernelLifetimeSeconds(goneBy - at);
    if (seconds === null)
      return { kind: 'failed', says: `too little is left of the entitlement to set ${address}` };
    const outcome = await this.#host.platform.addresses.hold(address, device, seconds);
    if (outcome.kind === 'done') {
      const fields = { group, epoch, address, device, seconds, setAt: at, goneBy };
      this.#host.journal.write('address-held', fields);
    }
    return outcome;
  }

  /** A later end for addresses that are here; one that vanished is set again, and said, where nobody else has it (rule 9). */
  extend(
    group: GroupId,
    epoch: Epoch,
    addresses: readonly string[],
    config: GroupConfig | null,
    goneBy: BootMs,
  ): Promise<Ended> {
    const before = this.#extending.get(group) ?? Promise.resolve();
    const work = this.#gate.track(
      group,
      before.then(() => this.#extend(group, epoch, addresses, config, goneBy)),
    );
    this.#extending.set(group, work);
    return work;
  }

  async #extend(
    group: GroupId,
    epoch: Epoch,
    addresses: readonly string[],
    config: GroupConfig | null,
    goneBy: BootMs,
  ): Promise<Ended> {
    const look = async (address: string) => ({
      address,
      isHere: await this.#host.platform.addresses.has(address),
    });
    const looked = await Promise.all(addresses.map(look));
    const wanted = (isHere: boolean) => {
      const some = looked.filter((l) => l.isHere === isHere).map((l) => l.address);
      return stillHeld(this.#host.state(), group, epoch, some);
    };
    const here = wanted(true);
    const extended = here.length === 0 ? done : await this.hold(group, epoch, here, config, goneBy);
    const vanished = wanted(false);
    const restored =
      vanished.length === 0 ? done : await this.#restore(group, epoch, vanished, config, goneBy);
    const ended = firstFailure([extended, restored]);
    this.#tellFailing(group, ended);
    return ended;
  }

  async #restore(
    group: GroupId,
    epoch: Epoch,
    vanished: readonly string[],
    config: GroupConfig | null,
    goneBy: BootMs,
  ): Promise<Ended> {
    const { ended: probed } = await this.probe(vanished, config, false, group);
    if (probed.kind === 'failed') return probed;
    const wanted = stillHeld(this.#host.state(), group, epoch, vanished);
    if (wanted.length === 0) return done;
    const ended = await this.hold(group, epoch, wanted, config, goneBy);
    if (ended.kind === 'failed') return ended;
    this.#host.note(group, 'address-restored', `${wanted.join(', ')} had vanished and was set again`);
    await this.announce(wanted, config);
    return ended;
  }

  #tellFailing(group: GroupId, ended: Ended): void {
    const was = this.#failing.has(group);
    if (ended.kind === 'failed') {
      this.#failing.add(group);
      if (!was) this.#host.note(group, 'extend-failed', `addresses could not be extended: ${ended.says}`);
      this.#host.journal.write('extend-failed', { group, says: ended.says });
    } else if (was) {
      this.#failing.delete(group);
      this.#host.note(group, 'extend-recovered', 'addresses are extended again');
    }
  }

  /** Nothing of an extension that is under way may come after this. */
  async drop(group: GroupId, addresses: readonly string[]): Promise<Ended> {
    const outcomes = await Promise.all(
      addresses.map(async (address) => {
        const outcome = await this.#host.platform.addresses.drop(address);
        if (outcome.kind === 'done') this.#host.journal.write('address-dropped', { group, address });
        return outcome;
      }),
    );
    this.#changed();
    return firstFailure(outcomes);
  }

  /** Resolves when no extension of the group is under way. */
  async settleExtensions(group: GroupId): Promise<void> {
    await withinMs(this.#extending.get(group) ?? Promise.resolve(), settleMs);
  }

  /** The first announcement at once, the others in the background; a drop stops them. */
  async announce(
    addresses: readonly string[],
    config: GroupConfig | null,
    times = announcements,
  ): Promise<Ended> {
    const outcomes = await Promise.all(
      addresses.map(async (address): Promise<Ended> => {
        const device = await this.#deviceNow(address, config);
        if (device === null) return { kind: 'failed', says: noDevice(address) };
        return this.#host.platform.neighbours.announce(address, device, times);
      }),
    );
    return firstFailure(outcomes);
  }

  /** The spare address of a `replace` pair: the host's own, so without an end. Never over somebody else's head. */
  async keepSpare(group: GroupId, address: string, config: GroupConfig | null): Promise<Ended> {
    if (await this.#host.platform.addresses.has(address)) return { kind: 'done' };
    const probed = await this.probe([address], config, false, group);
    if (probed.ended.kind === 'failed') return probed.ended;
    const device = await this.deviceOf(address, config);
    if (device === null) return { kind: 'failed', says: noDevice(address) };
    const outcome = await this.#host.platform.addresses.keep(address, device);
    this.#changed();
    if (outcome.kind === 'failed') return outcome;
    this.#host.journal.write('spare-kept', { group, address, device });
    return this.#host.platform.neighbours.announce(address, device, announcements);
  }

  async #deviceNow(address: string, config: GroupConfig | null): Promise<string | null> {
    const found = this.#found.get(address);
    if (found !== undefined && this.#host.bootMs() - found.at < freshMs) return found.device;
    return this.deviceOf(address, config);
  }

  /** Learns where the group's addresses belong while they are still there to show it. */
  async learnDevices(addresses: readonly string[]): Promise<void> {
    await Promise.all(addresses.map((a) => this.#devices.of(a, null)));
  }

  addressesOf(config: GroupConfig | null): readonly string[] {
    return config === null ? [] : identityAddresses(config.identity);
  }
}

function noDevice(address: string): string {
  return `no interface has an address in the network of ${address}; write identity.interface`;
}

function firstFailure(outcomes: readonly Ended[]): Ended {
  const failures = outcomes.flatMap((o) => (o.kind === 'failed' ? [o.says] : []));
  return failures.length === 0 ? { kind: 'done' } : { kind: 'failed', says: failures.join('; ') };
}
