/**
 * The names that a group takes along: an entry in the hosts file, with `replace` the host's own name, and the DNS. The
 * name server may be dead: that never holds anything up, is tried again, and is shown.
 *
 *   N1  of a name that is given up and taken again meanwhile, or the reverse, what came last stays
 */

import { setTimeout as pause } from 'node:timers/promises';
import type { Ended, Epoch, GroupConfig, GroupId, MemberId } from '@holdfast/core';
import { identityAddresses } from '@holdfast/core';
import * as z from 'zod';
import { DurableRecord, readRecord, statePath } from './durable-record.ts';
import { withinMs } from './within.ts';
import { holdsNow, type Host } from './host.ts';

const dnsTimeoutMs = 5_000;
const dnsRetryMs = 1_000;
const dnsRetryMsMax = 60_000;
const rememberMs = 1_000;
const overtaken: Ended = { kind: 'failed', says: 'the name was given up or taken again meanwhile' };

/** The host's name before the first `replace` of this boot. */
export interface OwnName {
  readonly bootId: string;
  readonly hostname: string;
}

const schema = z.object({ bootId: z.string(), hostname: z.string() });

export class ServiceNames {
  readonly #host: Host;
  readonly #file: DurableRecord;
  readonly #stop = new AbortController();
  #own: OwnName;
  /** By group: the update that is wanted now. A newer one ends the older. */
  readonly #updates = new Map<GroupId, AbortController>();
  readonly #untold = new Map<GroupId, string>();
  /** N1: by group, how often it was taken or given up. */
  readonly #turns = new Map<GroupId, number>();

  constructor(host: Host, directory: string, own: OwnName) {
    this.#host = host;
    this.#file = new DurableRecord(statePath(directory, 'hostname'));
    this.#own = own;
  }

  /** Groups that are here, and why the name server does not know it yet. */
  get untold(): ReadonlyMap<GroupId, string> {
    return this.#untold;
  }

  async take(group: GroupId, epoch: Epoch, config: GroupConfig): Promise<Ended> {
    const { identity } = config;
    const { hostname } = identity;
    if (hostname === null) return { kind: 'done' };
    this.#updateDns(group, epoch, config);
    const isLast = this.#turn(group);
    const addresses = identityAddresses(identity);
    const { names } = this.#host.platform;
    const entry: Ended = addresses.length === 0 ? { kind: 'done' } : await names.add(hostname, addresses);
    if (identity.mode === 'add' || entry.kind === 'failed') return entry;
    // Where it can't be remembered in time, only a next agent misses it.
    await withinMs(this.#file.set(this.#own), rememberMs);
    return isLast() ? names.setHostname(hostname) : overtaken;
  }

  #turn(group: GroupId): () => boolean {
    const mine = (this.#turns.get(group) ?? 0) + 1;
    this.#turns.set(group, mine);
    return () => this.#turns.get(group) === mine;
  }

  /** What a former agent took: whether the name server heard of it died with that agent. */
  attached(configs: Iterable<GroupConfig>): void {
    for (const config of configs) {
      const holding = this.#host.state().groups.get(config.name)?.holding;
      if (holding?.kind === 'active') this.#updateDns(config.name, holding.epoch, config);
    }
  }

  async giveUp(config: GroupConfig): Promise<Ended> {
    const { identity } = config;
    const { hostname } = identity;
    this.#updates.get(config.name)?.abort();
    this.#untold.delete(config.name);
    if (hostname === null) return { kind: 'done' };
    const { names } = this.#host.platform;
    const isLast = this.#turn(config.name);
    const entry = await names.remove(hostname);
    if (identity.mode === 'add' || names.hostname() !== hostname || !isLast()) return entry;
    const renamed = await names.setHostname(this.#ownName(hostname));
    return entry.kind === 'failed' ? entry : renamed;
  }

  async close(): Promise<void> {
    this.#stop.abort();
    await this.#file.close();
  }

  /** The primary's own name is the identity itself: without the identity it goes by its name as a member. */
  #ownName(identity: string): string {
    if (this.#own.hostname !== identity) return this.#own.hostname;
    const self: MemberId = this.#host.self;
    return self === identity ? `${self}-standby` : self;
  }

  #updateDns(group: GroupId, epoch: Epoch, config: GroupConfig): void {
    this.#updates.get(group)?.abort();
    this.#untold.delete(group);
    const { dns, hostname } = config.identity;
    if (dns === null || hostname === null) return;
    const mine = new AbortController();
    this.#updates.set(group, mine);
    const update = {
      server: dns.server,
      zone: dns.zone,
      name: hostname,
      addresses: identityAddresses(config.identity),
      ttlSeconds: Math.round(dns.ttlMs / 1_000),
      keyFile: dns.key,
      timeoutMs: dnsTimeoutMs,
    };
    const signal = AbortSignal.any([mine.signal, this.#stop.signal]);
    void this.#insist(group, epoch, signal, () => this.#host.platform.names.updateDns(update));
  }

  /** Until it worked, or the name is not ours to give any more. */
  async #insist(
    group: GroupId,
    epoch: Epoch,
    signal: AbortSignal,
    update: () => Promise<Ended>,
  ): Promise<void> {
    // What is untold is of a later update then.
    const isOver = (): boolean => signal.aborted;
    for (let waitMs = dnsRetryMs, failed = false; ; waitMs = Math.min(2 * waitMs, dnsRetryMsMax)) {
      if (isOver()) return;
      if (!holdsNow(this.#host.state(), group, epoch)) {
        this.#untold.delete(group);
        return;
      }
      const ended = await update();
      if (isOver()) return;
      if (ended.kind === 'done') {
        this.#untold.delete(group);
        if (failed) this.#host.note(group, 'dns-updated', 'the name server was told after all');
        return;
      }
      this.#untold.set(group, ended.says);
      if (!failed) this.#host.note(group, 'dns-failed', `${ended.says}; it is tried again`);
      failed = true;
      // Interrupted when the update is not wanted any more; the next turn sees it.
      await pause(waitMs, undefined, { signal }).catch(() => undefined);
    }
  }
}

/** What an earlier agent of this boot found; otherwise the name that the host has now. */
export async function readOwnName(directory: string, bootId: string, current: string): Promise<OwnName> {
  const read = await readRecord(statePath(directory, 'hostname'), schema);
  const known = read.kind === 'ok' && read.value.bootId === bootId ? read.value : null;
  return known ?? { bootId, hostname: current };
}
