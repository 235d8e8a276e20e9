/**
 * Carries out what the loop orders. Each action goes to the adapter that can do it, and what can fail comes back as an
 * event. Nothing here waits: whatever takes time goes on beside the loop.
 */

import {
  heldEpoch,
  identityAddresses,
  type AgentAction,
  type ArmedGroup,
  type Ended,
  type GroupConfig,
  type GroupId,
} from '@holdfast/core';
import type { AddressBook } from './address-book.ts';
import { guardGroup } from './arming.ts';
import type { BootRule } from './boot-rule.ts';
import { environmentOf, outcomeOf } from './command-runs.ts';
import type { Fencing } from './fencing.ts';
import type { Heartbeats } from './heartbeats.ts';
import { groupConfig, type Host } from './host.ts';
import type { Renewing } from './renewing.ts';
import type { Sightings } from './sightings.ts';
import { peerOf, type TakeoverWalk, type WalkParts } from './takeover-walk.ts';
import type { Tallies } from './tallies.ts';
import type { Purpose } from './resources.ts';

export interface PerformerParts extends WalkParts {
  readonly book: AddressBook;
  readonly heartbeats: Heartbeats;
  readonly renewing: Renewing;
  readonly walk: TakeoverWalk;
  readonly fencing: Fencing;
  readonly bootRule: BootRule;
  readonly sightings: Sightings;
  readonly tallies: Tallies;
  /** Everything is given up. */
  readonly exit: () => void;
}

type Action<K extends AgentAction['kind']> = Extract<AgentAction, { readonly kind: K }>;
/** `kind` of these two is one union in core. */
type ResourceOrder = Extract<AgentAction, { readonly resource: string }>;

const pingMs = 1_000;

export class Performer {
  readonly #host: Host;
  readonly #parts: PerformerParts;
  readonly #spareTrouble = new Map<GroupId, string>();

  constructor(host: Host, parts: PerformerParts) {
    this.#host = host;
    this.#parts = parts;
  }

  perform(action: AgentAction): void {
    switch (action.kind) {
      case 'send':
        this.#parts.heartbeats.send(action);
        return;
      case 'renew':
        void this.#parts.renewing.renew(action);
        return;
      case 'run-step':
        this.#parts.walk.run(action);
        return;
      case 'extend':
        void this.#extend(action);
        return;
      case 'arm':
        this.#arm(action.groups);
        return;
      case 'fence':
        this.#host.journal.write('fence', { ...action });
        void this.#parts.fencing.fence(action);
        return;
      case 'order-mirrors':
        this.#parts.mirrors?.order(action.orders);
        return;
      case 'strip':
        void this.#parts.bootRule.strip(action);
        return;
      case 'monitor':
        void this.#monitor(action);
        return;
      case 'restart':
        this.#restart(action);
        return;
      case 'remember':
        void this.#remember(action);
        return;
      case 'keep-promise':
        void this.#keepPromise(action);
        return;
      case 'ping':
        void this.#ping(action);
        return;
      case 'sight':
        void this.#parts.sightings.look(action);
        return;
      case 'keep-spare':
      case 'keep-own':
        this.#spare(action);
        return;
      case 'announce':
        void this.#announce(action.group);
        return;
      case 'fence-server':
        void this.#fenceServer(action);
        return;
      case 'note':
        this.#host.note(action.group, action.what, action.reason);
        return;
      case 'exit':
        this.#parts.exit();
        return;
    }
  }

  async #extend(action: Action<'extend'>): Promise<void> {
    const { group, epoch, addresses, goneBy } = action;
    const config = groupConfig(this.#host.state(), group);
    const ended = await this.#parts.addresses.extend(group, epoch, addresses, config, goneBy);
    if (ended.kind === 'failed') this.#parts.tallies.extensionsFailed += 1;
  }

  #arm(armed: readonly ArmedGroup[]): void {
    const state = this.#host.state();
    const groups = armed.flatMap((a) => {
      const config = groupConfig(state, a.group);
      return config === null ? [] : [guardGroup(this.#host, this.#parts.resources, a, config)];
    });
    const watchdog = state.config?.servers.get(this.#host.self)?.watchdog ?? null;
    this.#parts.guard?.arm(groups, watchdog);
  }

  async #monitor({ group, epoch, resource: name, run }: ResourceOrder): Promise<void> {
    const config = groupConfig(this.#host.state(), group);
    const resource = config?.resources.find((r) => r.name === name);
    if (resource === undefined) return;
    const seen = await this.#parts.resources.look(resource, this.#purpose(group, epoch));
    this.#host.dispatch({ kind: 'monitored', group, epoch, resource: name, run, ...seen });
  }

  #restart({ group, epoch, resource: name, run }: ResourceOrder): void {
    const tell = (ended: Ended): void => {
      this.#host.journal.write('restarted', { group, epoch, resource: name, ended });
      this.#host.dispatch({ kind: 'restarted', group, epoch, resource: name, run, ended });
    };
    const config = groupConfig(this.#host.state(), group);
    const resource = config?.resources.find((r) => r.name === name);
    if (resource === undefined) return;
    const { gate, queue, resources } = this.#parts;
    const purpose = this.#purpose(group, epoch);
    const work = queue.add(group, async () => {
      // Meanwhile the group may be on its way out.
      const holding = this.#host.state().groups.get(group)?.holding;
      if (holding?.kind !== 'active' || holding.epoch !== epoch) {
        tell({ kind: 'failed', says: 'the group is not active any more' });
        return;
      }
      const ended = await resources.restart(resource, purpose);
      if (gate.isOver(group, epoch)) await resources.stop(resource, { ...purpose, wanted: () => true });
      tell(ended);
    });
    if (work === null) tell({ kind: 'failed', says: 'too much waits for this group' });
    else void gate.track(group, work);
  }

  async #remember({ group, epoch, state }: Action<'remember'>): Promise<void> {
    if (state === 'fenced' || state === 'failed') this.#parts.gate.end(group, epoch);
    const ended = await this.#parts.memory.remember(group, epoch, state);
    if (ended.kind === 'failed') this.#host.log.error('state', ended.says);
  }

  async #keepPromise({ group, epoch, round, to, until }: Action<'keep-promise'>): Promise<void> {
    const ended = await this.#parts.memory.keepPromise(group, epoch, until, this.#host.bootMs());
    this.#host.journal.write('promise', { group, epoch, to, until, ended });
    this.#host.dispatch({ kind: 'promise-kept', group, epoch, round, to, ended });
  }

  async #ping({ member, path }: Action<'ping'>): Promise<void> {
    const { book } = this.#parts;
    const state = this.#host.state();
    const address = book.addressOf(member, path, state.vantage);
    const gateway = state.config?.servers.get(this.#host.self)?.gateway ?? null;
    const { echo } = this.#host.platform;
    const [answers, gatewayAnswers] = await Promise.all([
      address === null || book.isTaken(address, member, state.vantage) ? false : echo.ping(address, pingMs),
      gateway === null ? null : echo.ping(gateway, pingMs),
    ]);
    this.#host.dispatch({ kind: 'pinged', member, path, answers, gatewayAnswers });
  }

  /** The loop asks again for a spare on a period, so what is busy now can be left out. */
  #spare({ kind, group, address }: Extract<AgentAction, { readonly address: string }>): void {
    const { queue, addresses, gate } = this.#parts;
    if (kind === 'keep-spare' && !queue.isIdle(group)) return;
    const work = queue.add(group, async () => {
      const state = this.#host.state();
      const holding = state.groups.get(group)?.holding;
      const config = groupConfig(state, group);
      const holds = holding !== undefined && heldEpoch(holding) !== null;
      // An owner has given its spare up, and what it owns is not its own.
      if (holds && (kind === 'keep-spare' || addresses.addressesOf(config).includes(address))) return;
      const ended = await addresses.keepSpare(group, address, config);
      const says = ended.kind === 'failed' ? `${address}: ${ended.says}` : '';
      if (says !== '' && this.#spareTrouble.get(group) !== says) this.#host.note(group, 'spare-failed', says);
      this.#spareTrouble.set(group, says);
    });
    if (work !== null) void gate.track(group, work);
  }

  async #announce(group: GroupId): Promise<void> {
    const config: GroupConfig | null = groupConfig(this.#host.state(), group);
    if (config === null) return;
    const ended = await this.#parts.addresses.announce(identityAddresses(config.identity), config);
    if (ended.kind === 'failed') this.#host.log.warn('announce', `${group}: ${ended.says}`);
  }

  async #fenceServer({ server, command, reason }: Action<'fence-server'>): Promise<void> {
    const told = environmentOf(this.#host.self, { group: '', epoch: 0n, event: 'fence', peer: server });
    const result = await this.#host.platform.commands.run(command.argv, command.timeoutMs, told);
    const outcome = outcomeOf(command.argv, result);
    const how = outcome.kind === 'done' ? 'worked' : `failed: ${outcome.says}`;
    this.#host.note(null, 'fence-server', `${reason}; the fence command of ${server} ${how}`);
  }

  #purpose(group: GroupId, epoch: bigint): Purpose {
    const wanted = (): boolean => !this.#parts.gate.isOver(group, epoch);
    return { group, epoch, peer: peerOf(this.#host, group), wanted };
  }
}
