/**
 * The boot rule: before anything else, every address that a former life may have left here goes, and so do its names,
 * and the devices and mounts of its volumes, whose caches are of that life. `stripped` is said only when all of them are
 * gone; what resists is tried again.
 */

import { setTimeout as pause } from 'node:timers/promises';
import type { AgentAction, GroupId } from '@holdfast/core';
import { groupConfig, type Host } from './host.ts';
import type { Resources } from './resources.ts';
import type { ServiceAddresses } from './service-addresses.ts';
import type { ServiceNames } from './service-names.ts';

type Strip = Extract<AgentAction, { kind: 'strip' }>;

const againMs = 1_000;
const volumeMs = 5_000;

interface BootParts {
  readonly addresses: ServiceAddresses;
  readonly names: ServiceNames;
  readonly resources: Resources;
}

export class BootRule {
  readonly #host: Host;
  readonly #parts: BootParts;
  readonly #stop = new AbortController();
  /** Of each strip under way that was tried in vain. */
  readonly #left = new Map<Strip, string>();

  constructor(host: Host, parts: BootParts) {
    this.#host = host;
    this.#parts = parts;
  }

  /** What resists, and holds up every takeover here. */
  get left(): readonly string[] {
    return [...this.#left.values()];
  }

  async strip(action: Strip): Promise<void> {
    const { signal } = this.#stop;
    // Afterwards nothing may be left that shows where they belong.
    await this.#parts.addresses.learnDevices(action.addresses);
    for (let told = ''; !signal.aborted;) {
      const left = await this.#stripOnce(action);
      if (left === null) {
        this.#left.delete(action);
        this.#host.journal.write('stripped', { addresses: action.addresses });
        this.#host.dispatch({ kind: 'stripped' });
        return;
      }
      if (left !== told)
        this.#host.note(null, 'strip-failed', `${left}; nothing is taken over before it is gone`);
      told = left;
      this.#left.set(action, left);
      // Interrupted by `close`.
      await pause(againMs, undefined, { signal }).catch(() => undefined);
    }
  }

  close(): void {
    this.#stop.abort();
  }

  /** What is left, in words; null when nothing is. */
  async #stripOnce({ addresses, groups, spared }: Strip): Promise<string | null> {
    const dropped = await Promise.all(
      addresses.map(async (address) => {
        if (!(await this.#host.platform.addresses.has(address))) return null;
        const ended = await this.#parts.addresses.drop('', [address]);
        return ended.kind === 'failed' ? ended.says : null;
      }),
    );
    await Promise.all(groups.map((group) => this.#unname(group, spared.hostnames)));
    const detached = await Promise.all(groups.map((group) => this.#detach(group, spared.folders)));
    const left = [...dropped, ...detached].filter((says) => says !== null);
    return left.length === 0 ? null : left.join('; ');
  }

  /** A name without its address leads nobody anywhere: it is said, and does not hold us up. */
  async #unname(group: GroupId, spared: readonly string[]): Promise<void> {
    const config = groupConfig(this.#host.state(), group);
    if (config === null || spared.includes(config.identity.hostname?.toLowerCase() ?? '')) return;
    const unnamed = await this.#parts.names.giveUp(config);
    if (unnamed.kind === 'failed') this.#host.log.warn('strip', unnamed.says);
  }

  /** The mounts before the devices that they are on. What is still attached, in words. */
  async #detach(group: GroupId, spared: readonly string[]): Promise<string | null> {
    const config = groupConfig(this.#host.state(), group);
    const purpose = { group, epoch: 0n, peer: '', wanted: () => true };
    const left: string[] = [];
    for (const resource of [...(config?.resources ?? [])].reverse()) {
      const { runs } = resource;
      if (runs.kind !== 'attach' && (runs.kind !== 'mount' || spared.includes(runs.at))) continue;
      const ended = await this.#parts.resources.stop(resource, purpose, volumeMs);
      if (ended.kind === 'failed') left.push(`${group}: ${resource.name}: ${ended.says}`);
    }
    return left.length === 0 ? null : left.join('; ');
  }
}
