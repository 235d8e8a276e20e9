/**
 * Whether the network finds our addresses with us: another member looks who answers there, and says which link-layer
 * address it saw; here it is compared with that of the interface.
 */

import {
  identityAddresses,
  type AgentAction,
  type GroupConfig,
  type GroupId,
  type Message,
} from '@holdfast/core';
import { groupConfig, type Host } from './host.ts';
import type { ServiceAddresses } from './service-addresses.ts';

type Sight = Extract<AgentAction, { kind: 'sight' }>;
type Sighting = Extract<Message, { kind: 'sighting' }>;
type Send = Extract<AgentAction, { kind: 'send' }>;

const lookMs = 100;
const looksMax = 32;

export class Sightings {
  readonly #host: Host;
  readonly #addresses: ServiceAddresses;
  readonly #send: (action: Send) => void;
  /** What was confirmed in the latest round of a group. */
  readonly #confirmed = new Map<GroupId, { readonly round: number; readonly ours: Set<string> }>();
  #looking = 0;

  constructor(host: Host, addresses: ServiceAddresses, send: (action: Send) => void) {
    this.#host = host;
    this.#addresses = addresses;
    this.#send = send;
  }

  /** Looks for the one who asked. An address that can't be seen from here is left out. */
  async look(action: Sight): Promise<void> {
    if (this.#looking >= looksMax) return;
    this.#looking += 1;
    try {
      await Promise.all(action.addresses.map((address) => this.#lookAt(action, address)));
    } finally {
      this.#looking -= 1;
    }
  }

  async #lookAt({ to, path, round }: Sight, address: string): Promise<void> {
    const { addresses, neighbours } = this.#host.platform;
    const device = await this.#addresses.deviceOf(address, null);
    if (device === null || (await addresses.has(address))) return;
    const seen = await neighbours.probe(address, device, lookMs);
    if (seen.kind === 'unknown') return;
    const linkAddress = seen.kind === 'somebody' ? seen.linkAddress : null;
    this.#send({ kind: 'send', to, path, message: { kind: 'sighting', round, address, linkAddress } });
  }

  async heard(message: Sighting): Promise<void> {
    const state = this.#host.state();
    const found = [...state.groups.values()].find((g) => g.sighting?.round === message.round);
    const config = found === undefined ? null : groupConfig(state, found.group);
    if (config === null || !identityAddresses(config.identity).includes(message.address)) return;
    const device = await this.#addresses.deviceOf(message.address, config);
    const own = device === null ? null : await this.#host.platform.neighbours.linkAddress(device);
    this.#judge(config, message, own);
  }

  #judge(config: GroupConfig, { round, address, linkAddress }: Sighting, own: string | null): void {
    const group = config.name;
    const tell = (verdict: 'ours' | 'nobody' | 'other', says: string): void =>
      this.#host.dispatch({ kind: 'sighted', group, round, verdict, says });
    if (linkAddress === null) {
      tell('nobody', `nobody answers at ${address} as another member sees it`);
      return;
    }
    if (linkAddress.toLowerCase() !== own?.toLowerCase()) {
      tell('other', `another member sees ${linkAddress} at ${address} and not ${own ?? 'this server'}`);
      return;
    }
    const before = this.#confirmed.get(group);
    const ours = before?.round === round ? before.ours : new Set<string>();
    ours.add(address);
    this.#confirmed.set(group, { round, ours });
    const wanted = identityAddresses(config.identity);
    if (wanted.every((a) => ours.has(a))) tell('ours', `another member sees ${wanted.join(', ')} here`);
  }
}
