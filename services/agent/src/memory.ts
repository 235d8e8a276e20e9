/**
 * What this agent tells the next one, in the folder `state`:
 *
 *   holdings.json   the highest epoch of each group, what was held, and in which boot of the host
 *   promises.json   promises not to accept a takeover (rule 11)
 *
 *   M1  a record that can't be read counts as the worst it could have said (core, former-life.ts)
 *   M2  a new epoch is written at once. What becomes of an epoch is written a moment later: the next agent believes it only
 *       where the guard vouches for that epoch, and the guard is told first. In a planned move this keeps the disk for
 *       the voter beside us, whose commit everybody waits for
 *   M3  an epoch that is written ahead of time was given to nobody yet: it is kept apart from what was seen, and counts as
 *       seen once it is remembered
 */

import type { BootMs, Ended, Epoch, GroupId, HoldingState, KeptPromise, Remembered } from '@holdfast/core';
import * as z from 'zod';
import { DurableRecord, readRecord, statePath } from './durable-record.ts';

interface Written {
  readonly epoch: Epoch;
  readonly written: Promise<Ended>;
}

const laterMs = 100;

const onDisk: Promise<Ended> = Promise.resolve({ kind: 'done' });

const epoch = z
  .string()
  .regex(/^\d{1,20}$/)
  .transform((text) => BigInt(text));

const holdingsSchema = z.record(
  z.string(),
  z.object({
    bootId: z.string(),
    epoch,
    state: z.enum(['acquiring', 'active', 'releasing', 'fenced', 'failed', 'idle']),
    ahead: epoch.optional(),
  }),
);
const promisesSchema = z.record(z.string(), z.object({ bootId: z.string(), epoch, until: z.number() }));

export class Memory {
  readonly holdings: Map<GroupId, Remembered>;
  readonly promises: Map<GroupId, KeptPromise>;
  /** What could not be read. */
  readonly garbage: readonly string[];
  /** M1: anything may have been held. */
  readonly holdingsLost: boolean;
  /** M1: promises may have been given that nobody knows of. */
  readonly promisesLost: boolean;
  readonly #bootId: string;
  readonly #holdingsFile: DurableRecord;
  readonly #promisesFile: DurableRecord;
  /** By group: the write of its latest epoch. */
  readonly #entered = new Map<GroupId, Written>();
  /** By group: the write of the epoch that is there ahead of time (M3). */
  readonly #ahead = new Map<GroupId, Written>();

  constructor(
    directory: string,
    bootId: string,
    read: {
      readonly holdings: ReadonlyMap<GroupId, Remembered>;
      readonly promises: ReadonlyMap<GroupId, KeptPromise>;
      readonly garbage: readonly string[];
      readonly holdingsLost: boolean;
      readonly promisesLost: boolean;
    },
  ) {
    this.#bootId = bootId;
    this.holdings = new Map(read.holdings);
    for (const [group, held] of read.holdings) {
      if (held.bootId === bootId) this.#entered.set(group, { epoch: held.epoch, written: onDisk });
    }
    this.promises = new Map(read.promises);
    this.garbage = read.garbage;
    this.holdingsLost = read.holdingsLost;
    this.promisesLost = read.promisesLost;
    this.#holdingsFile = new DurableRecord(statePath(directory, 'holdings'));
    this.#promisesFile = new DurableRecord(statePath(directory, 'promises'));
  }

  /** M2. */
  remember(group: GroupId, at: Epoch, state: HoldingState | 'idle'): Promise<Ended> {
    const entered = this.#entered.get(group);
    // M3: the end of what may have begun in a former life, and was not seen.
    if (state === 'fenced' && entered?.epoch !== at) return onDisk;
    if (entered?.epoch === at && this.holdings.get(group)?.state === state) return entered.written;
    this.holdings.set(group, { bootId: this.#bootId, epoch: at, state });
    if (entered?.epoch === at) return this.#write(laterMs);
    const ahead = this.#ahead.get(group);
    this.#ahead.delete(group);
    const written = ahead?.epoch === at ? this.#writtenAhead(ahead) : this.#write();
    this.#entered.set(group, { epoch: at, written });
    return written;
  }

  /** The number is on the disk, or is on its way. That it is used now is told a moment later, as in M2. */
  async #writtenAhead({ written }: Written): Promise<Ended> {
    const told = this.#write(laterMs);
    const ahead = await written;
    return ahead.kind === 'done' ? ahead : told;
  }

  /** M3: the step that needs it on the disk finds it there. */
  rememberAhead(group: GroupId, at: Epoch): void {
    const before = this.holdings.get(group);
    if (before !== undefined && at <= (before.ahead ?? before.epoch)) return;
    this.holdings.set(group, { ...this.#hereNow(before), ahead: at });
    this.#ahead.set(group, { epoch: at, written: this.#write() });
  }

  /** M3: nothing came of it. */
  forgetAhead(group: GroupId): void {
    const before = this.holdings.get(group);
    if (before?.ahead === undefined) return;
    const { bootId, epoch, state } = before;
    this.holdings.set(group, { bootId, epoch, state });
    this.#ahead.delete(group);
    void this.#write(laterMs);
  }

  /** What another boot held is over. */
  #hereNow(before: Remembered | undefined): Remembered {
    if (before?.bootId === this.#bootId) return before;
    return { bootId: this.#bootId, epoch: before?.epoch ?? 0n, state: 'idle' };
  }

  #write(withinMs = 0): Promise<Ended> {
    return this.#holdingsFile.set(asText(this.holdings), withinMs);
  }

  /** Whether it is on the disk that this epoch was seen here: before that nothing of it may be visible outside. */
  entered(group: GroupId, at: Epoch): Promise<Ended> {
    const entered = this.#entered.get(group);
    if (entered?.epoch === at) return entered.written;
    return Promise.resolve({ kind: 'failed', says: `epoch ${at.toString()} of ${group} was not remembered` });
  }

  keepPromise(group: GroupId, at: Epoch, until: BootMs, now: BootMs): Promise<Ended> {
    for (const [name, promise] of this.promises) {
      if (promise.bootId === this.#bootId && promise.until < now) this.promises.delete(name);
    }
    this.promises.set(group, { bootId: this.#bootId, epoch: at, until });
    return this.#promisesFile.set(asText(this.promises));
  }

  async close(): Promise<void> {
    await Promise.all([this.#holdingsFile.close(), this.#promisesFile.close()]);
  }
}

function asText(map: ReadonlyMap<GroupId, object>): unknown {
  const inWords = (value: unknown): unknown => (typeof value === 'bigint' ? value.toString() : value);
  const row = (kept: object) => Object.fromEntries(Object.entries(kept).map(([k, v]) => [k, inWords(v)]));
  return Object.fromEntries([...map].map(([name, kept]) => [name, row(kept)]));
}

export async function openMemory(directory: string, bootId: string): Promise<Memory> {
  const holdings = await readRecord(statePath(directory, 'holdings'), holdingsSchema);
  const promises = await readRecord(statePath(directory, 'promises'), promisesSchema);
  const garbage = [holdings, promises].flatMap((read) => (read.kind === 'garbage' ? [read.says] : []));
  return new Memory(directory, bootId, {
    holdings: new Map(Object.entries(holdings.kind === 'ok' ? holdings.value : {})),
    promises: new Map(Object.entries(promises.kind === 'ok' ? promises.value : {})),
    garbage,
    holdingsLost: holdings.kind === 'garbage',
    promisesLost: promises.kind === 'garbage',
  });
}
