/**
 * One mirror on this member: brings the role that it has in step with the one that it is ordered to have.
 *
 *   M1  at most one role is open at a time; the next is opened when the one before is closed
 *   M2  a copy that was a target is opened before it is a source, at one epoch, and that is on disk before the first
 *       frame is sent. One that is not complete is opened only when that is forced, also where its mirror was taken away
 *       meanwhile, or a person says that it is meant as it is
 *   M3  a source is closed when its grant ends, whether or not anybody says so
 *   M4  whatever can't be opened is tried again, ever more slowly, and says why
 *   M5  one change at a time; an order that comes meanwhile is looked at afterwards
 *   M6  a target opens anew to be larger; a source grows while it is open, for its clients stay
 *   M7  a role whose root is not the folder any more that it was, or whose disk failed, is closed, and opened anew where that
 *       is right: before it is opened as a source, too
 *   M8  what is kept aside is written by one at a time: a person's order to discard is carried out between two turns
 *   M9  a folder that it leaves, for another one or for good, may be written to again
 *   M10 one that was taken away is nobody's any more: what was known of its data is not believed when it comes back
 */

import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import type { BootMs, Epoch, MemberId, MirrorOrder, MirrorReport } from '@holdfast/core';
import type { MirrorRun } from '@holdfast/wire/mirror';
import { readRole, writeRole, type RoleRecord } from './role-record.ts';
import {
  failed,
  type Answered,
  type Closing,
  type RunPorts,
  type Sides,
  type SourceRole,
  type SourceSide,
  type TargetRole,
  type TargetSide,
} from './side.ts';
import { Turns } from '../turns.ts';

export interface SeatPorts {
  readonly sides: Sides;
  /** DIR/mirror. */
  readonly dir: string;
  readonly bootMs: () => BootMs;
  /** For the log of the process: one sentence. */
  readonly says: (sentence: string) => void;
}

type Now =
  | { readonly kind: 'closed' }
  | { readonly kind: 'source'; readonly epoch: Epoch; readonly side: SourceSide }
  | { readonly kind: 'target'; readonly side: TargetSide };

const retryMs = { first: 200, most: 5_000 } as const;
const timerMsMax = 2 ** 31 - 1;
const rootPeriodMs = 1_000;
/** A disk may hang. */
const openingMs = 2_000;

/** `d3/data` as the name of a folder. */
export const folderOf = (mirror: string): string => encodeURIComponent(mirror);

export class Seat {
  readonly #ports: SeatPorts;
  readonly #dir: string;
  #order: MirrorOrder;
  #now: Now = { kind: 'closed' };
  #record: RoleRecord | null = null;
  /** With which the open role was opened, as far as that can't change while it is open. */
  #former: MirrorOrder | null = null;
  /** Of the volume with which a target was opened; 0: of files. */
  #sizeBytes = 0;
  /** M5. */
  readonly #turns = new Turns();
  #waiting = false;
  #timer: NodeJS.Timeout | null = null;
  #delayMs: number = retryMs.first;
  #says = '';
  #closing = false;
  /** Why it is no source: its copy is not complete (M2). */
  #incomplete = false;
  readonly #rootTimer: NodeJS.Timeout;

  constructor(order: MirrorOrder, ports: SeatPorts) {
    this.#order = order;
    this.#ports = ports;
    this.#dir = join(ports.dir, folderOf(order.mirror));
    this.#rootTimer = setInterval(() => {
      if (this.#lost() !== '') this.#look(); // M7
    }, rootPeriodMs).unref();
    this.#look();
  }

  order(order: MirrorOrder): void {
    this.#order = order;
    this.#look();
  }

  /** One row while it has a role, or should have one. */
  report(): MirrorReport | null {
    const { role, mirror } = this.#order;
    const now = this.#now;
    switch (role.kind) {
      case 'idle':
        return null;
      case 'source':
        if (now.kind === 'source') return now.side.report();
        return closedSource(mirror, role, this.#says);
      case 'target':
        if (now.kind === 'target') return now.side.report();
        return {
          kind: 'target',
          mirror,
          epoch: 0n,
          sequence: 0,
          consistent: false,
          state: this.#says === '' ? 'disconnected' : 'failed',
          word: null,
          says: this.#says,
        };
    }
  }

  /** M2. The copy becomes writable at this epoch. Idempotent. `forced`: even one that is not complete. */
  open(epoch: Epoch, forced: boolean): Promise<Answered> {
    return this.#turns.next(async () => {
      const answered = await this.#open(epoch, forced);
      this.#look();
      return answered;
    });
  }

  async drain(to: MemberId | null, limitMs: number): Promise<Answered> {
    const now = this.#now;
    if (now.kind !== 'source') return failed(`${this.#order.mirror} is not a source here: ${this.#says}`);
    return { kind: 'drained', targets: await now.side.drain(to, limitMs) };
  }

  async run(run: MirrorRun, ports: RunPorts): Promise<Answered> {
    // What is about to be opened knows more than what is kept.
    const isQuiet = this.#now.kind !== 'closed' || (await this.#quiet());
    const now = this.#now;
    if (now.kind !== 'closed') return now.side.run(run, ports);
    const { kind } = this.#order.role;
    if (run.kind === 'resync' && (kind === 'target' || (kind === 'source' && run.target === '')))
      return this.#confirm();
    if (run.kind !== 'discard') return this.#kept(run, ports);
    const { mirror } = this.#order;
    if (!isQuiet) return failed(`${mirror} is being opened or closed here: try again in a moment`); // M8
    return this.#turns.next(() =>
      this.#now.kind === 'closed' ? this.#kept(run, ports) : this.#now.side.run(run, ports),
    );
  }

  /** No turn is under way; false: one still is, for a disk may hang. */
  #quiet(): Promise<boolean> {
    const idle = this.#turns.idle().then(() => true);
    return Promise.race([idle, delay(openingMs, false, { ref: false })]);
  }

  async #kept(run: MirrorRun, ports: RunPorts): Promise<Answered> {
    const answered = await this.#ports.sides.kept(this.#order, run, ports);
    if (answered.kind !== 'failed' || this.#says === '') return answered;
    return { ...answered, says: `${answered.says}: ${this.#says}` };
  }

  /** Whoever wants everything to be compared means the root as it is. */
  #confirm(): Promise<Answered> {
    return this.#turns.next(async () => {
      if (this.#now.kind !== 'closed') return failed(`${this.#order.mirror} was opened just now: try again`);
      const answered =
        this.#incomplete && this.#order.role.kind === 'source'
          ? await this.#goOn()
          : ((await this.#ports.sides.confirm?.(this.#order)) ?? failed('it does not work here now'));
      if (answered.kind === 'failed' && this.#says !== '')
        return { ...answered, says: `${answered.says}: ${this.#says}` };
      this.#look();
      return answered;
    });
  }

  /** M2. What is not complete is meant to be as it is. */
  async #goOn(): Promise<Answered> {
    const says = await this.#write({ kind: 'none' });
    if (says !== null) return failed(says);
    return { kind: 'done', says: `${this.#order.mirror} goes on with what is here, as it is` };
  }

  /** `forget`: its order was taken away, so that a later one begins anew; but a copy that is not complete stays one. */
  async close(forget: boolean): Promise<void> {
    this.#closing = true;
    clearInterval(this.#rootTimer);
    if (this.#timer !== null) clearTimeout(this.#timer);
    await this.#turns.next(async () => {
      const mayForget = forget && (await this.#isWhole());
      await this.#shut(forget ? 'over' : 'restart');
      if (!forget) return;
      this.#tell(await this.#ports.sides.forget(this.#order)); // M10
      if (mayForget) this.#tell((await this.#write({ kind: 'none' })) ?? '');
      this.#release(this.#order); // M9
    });
  }

  #release(order: MirrorOrder): void {
    this.#tell(this.#ports.sides.release(order));
  }

  /** Nothing, where all went well. */
  #tell(says: string): void {
    if (says !== '') this.#ports.says(`${this.#order.mirror}: ${says}`);
  }

  /** False: it was a target, and its copy is not complete, or that is not known. */
  async #isWhole(): Promise<boolean> {
    const record = await this.#read();
    if (typeof record === 'string' || record.kind !== 'target') return true;
    return this.#now.kind === 'target' && this.#now.side.consistent;
  }

  #look(): void {
    if (this.#waiting || this.#closing) return;
    this.#waiting = true;
    void this.#turns.next(async () => {
      this.#waiting = false;
      if (!this.#closing) await this.#reconcile();
    });
  }

  async #reconcile(): Promise<void> {
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = null;
    const { role } = this.#order;
    const says = await this.#become();
    if (says !== this.#says && says !== '') this.#ports.says(`${this.#order.mirror}: ${says}`);
    this.#says = says;
    if (says !== '')
      this.#again(this.#slower()); // M4
    else {
      this.#delayMs = retryMs.first;
      if (role.kind === 'source' && role.grantUntil !== null)
        this.#again(role.grantUntil - this.#ports.bootMs()); // M3
    }
  }

  /** Empty when it is as ordered. */
  async #become(): Promise<string> {
    const { role } = this.#order;
    const former = this.#former;
    if (former !== null && fixedOf(former) !== fixedOf(this.#order)) {
      await this.#shut();
      this.#release(former); // M9
    }
    this.#former = this.#order;
    if (this.#now.kind === 'target' && this.#sizeBytes !== sizeOf(this.#order)) await this.#shut(); // M6
    const lost = this.#lost();
    if (lost !== '') {
      this.#ports.says(`${this.#order.mirror}: ${lost}`);
      await this.#shut();
    }
    switch (role.kind) {
      case 'idle':
        await this.#shut();
        return '';
      case 'target':
        return this.#becomeTarget(role);
      case 'source':
        return this.#becomeSource(role);
    }
  }

  async #becomeTarget(role: TargetRole): Promise<string> {
    if (this.#now.kind === 'target') {
      this.#now.side.change(this.#order, role);
      return '';
    }
    await this.#shut(); // M1
    const record = await this.#read();
    if (typeof record === 'string') return record;
    const written = record.kind === 'target' ? null : await this.#write({ kind: 'target' });
    if (written !== null) return written;
    return this.#openTarget(role);
  }

  async #openTarget(role: TargetRole | null): Promise<string> {
    const sizeBytes = sizeOf(this.#order);
    const opened = await this.#ports.sides.target(this.#order, role);
    if (opened.kind === 'failed') return opened.says;
    this.#now = { kind: 'target', side: opened.side };
    this.#sizeBytes = sizeBytes;
    return '';
  }

  async #becomeSource(role: SourceRole): Promise<string> {
    const over = this.#isOver(role);
    if (this.#now.kind === 'source' && this.#now.epoch === role.epoch && !over) {
      this.#now.side.change(this.#order, role);
      return '';
    }
    if (this.#now.kind === 'source') await this.#shut();
    if (over) return `its grant at epoch ${role.epoch.toString()} has ended`;
    const record = await this.#read();
    if (typeof record === 'string') return record;
    if (record.kind !== 'source' || record.epoch !== role.epoch) {
      const opened = await this.#open(role.epoch, false);
      if (opened.kind === 'failed') {
        if (!this.#incomplete) return opened.says;
        await this.#shut();
        return `${opened.says}. ${remedy(this.#order.mirror)}`;
      }
    }
    const grantUntil = (): number | null =>
      this.#order.role.kind === 'source' ? this.#order.role.grantUntil : 0;
    const opened = await this.#ports.sides.source(this.#order, role, grantUntil);
    if (opened.kind === 'failed') return opened.says;
    this.#now = { kind: 'source', epoch: role.epoch, side: opened.side };
    return '';
  }

  #lost(): string {
    return this.#now.kind === 'closed' ? '' : (this.#now.side.lost ?? '');
  }

  /** M3. */
  #isOver({ grantUntil }: SourceRole): boolean {
    return grantUntil !== null && grantUntil <= this.#ports.bootMs();
  }

  async #open(epoch: Epoch, forced: boolean): Promise<Answered> {
    const { mirror } = this.#order;
    this.#incomplete = false;
    const record = await this.#read();
    if (typeof record === 'string') return failed(record);
    if (record.kind === 'source' && record.epoch === epoch) {
      if (this.#now.kind === 'source') this.#now.side.writable?.();
      return { kind: 'done', says: '' };
    }
    if (record.kind === 'source' && record.epoch > epoch)
      return failed(`${mirror} was opened at epoch ${record.epoch.toString()} already`);
    if (this.#now.kind === 'source') await this.#shut();
    if (record.kind === 'target') {
      const promoted = await this.#promote(epoch, forced);
      if (promoted.kind === 'failed') return promoted;
    }
    const says = await this.#write({ kind: 'source', epoch });
    if (says !== null) return failed(says);
    return { kind: 'done', says: `${mirror} is open at epoch ${epoch.toString()}` };
  }

  async #promote(epoch: Epoch, forced: boolean): Promise<Answered> {
    if (this.#lost() !== '') await this.#shut(); // M7
    if (this.#now.kind !== 'target') {
      const says = await this.#openTarget(null);
      if (says !== '') return failed(says);
    }
    const now = this.#now;
    if (now.kind !== 'target') throw new Error('a copy that was opened as a target is not one');
    now.side.change(this.#order, null);
    this.#incomplete = !now.side.consistent && !forced;
    if (this.#incomplete) return failed(`the copy of ${this.#order.mirror} here is not complete`);
    const promoted = await now.side.promote(epoch);
    // M7: whoever asks again finds it opened anew.
    if (promoted.kind !== 'failed' || this.#lost() !== '') await this.#shut();
    return promoted;
  }

  async #shut(why: Closing = 'over'): Promise<void> {
    const now = this.#now;
    this.#now = { kind: 'closed' };
    if (now.kind !== 'closed') await now.side.close(why);
  }

  async #read(): Promise<RoleRecord | string> {
    if (this.#record !== null) return this.#record;
    const read = await readRole(this.#dir);
    if (read.kind === 'unreadable') return read.says;
    this.#record = read;
    return read;
  }

  async #write(role: RoleRecord): Promise<string | null> {
    const says = await writeRole(this.#dir, role);
    if (says === null) this.#record = role;
    return says;
  }

  #again(inMs: number): void {
    const delayMs = Math.min(timerMsMax, Math.max(1, Math.ceil(inMs)));
    this.#timer = setTimeout(() => this.#look(), delayMs);
  }

  #slower(): number {
    const delayMs = this.#delayMs;
    this.#delayMs = Math.min(retryMs.most, delayMs * 2);
    return delayMs;
  }
}

/** Its targets, as they stand while it can't work. */
function closedSource(mirror: string, role: SourceRole, says: string): MirrorReport {
  const targets = role.targets.map(({ member }) => ({
    target: member,
    state: says === '' ? ('disconnected' as const) : ('failed' as const),
    consistent: false,
    behindBytes: 0,
    behindMs: 0,
    totalBytes: 0,
    doneBytes: 0,
    rateBytesPerSecond: 0,
    says,
  }));
  return { kind: 'source', mirror, epoch: role.epoch, sequence: 0, says, export: null, targets };
}

/** A volume's export stays open while its mode or its size changes. */
function fixedOf({ dataset, keepMaxBytes }: MirrorOrder): string {
  switch (dataset.kind) {
    case 'files':
      return JSON.stringify([dataset, keepMaxBytes]);
    case 'volume':
      return JSON.stringify([dataset.kind, dataset.path, dataset.granularityBytes]);
  }
}

const sizeOf = ({ dataset }: MirrorOrder): number => (dataset.kind === 'volume' ? dataset.sizeBytes : 0);

const remedy = (mirror: string): string =>
  `If another server has a complete copy, let that one take over. Only if this one is meant to be as it is: holdfast mirror ` +
  `resync ${mirror} goes on with it, and every copy becomes like it`;
