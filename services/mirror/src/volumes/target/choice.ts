/**
 * A copy that was written to as an owner, and whose group was then given away by force: whether the source may go over that is
 * for a person to say (core/mirror/both-written.ts). Until then it stays as it is.
 *
 *   S1  nobody is let over writes of its own before its orders know of the epoch of that source, and so of every failover by force
 *   S2  that it waits is on record, and so is the choice: neither is forgotten with the process
 *   S3  a choice is of the side that was refused when it was made. It is over when the copy is in step (overwriting.ts), and when it
 *       is written to as an owner again
 */

import { needsChoice, type Epoch, type MirrorTargetRole } from '@holdfast/core';
import type { Hello } from '../../transport/types.ts';
import type { ByteRange } from '../../transport/volume-frames.ts';
import type { ChoiceRecord, VolumeGround } from '../ground.ts';

export interface ChoicePorts {
  readonly ground: VolumeGround;
  /** GROUP/NAME. */
  readonly mirror: string;
  readonly self: string;
  /** What it is ordered to be now; null: no target. */
  readonly ordered: () => Pick<MirrorTargetRole, 'epoch' | 'forced'> | null;
}

/** What only exists here, as far as is known: some of it may be the same there. */
export interface OwnRange extends ByteRange {
  readonly epoch: Epoch;
}

export type Verdict =
  | { readonly kind: 'free' }
  /** It will be known soon. */
  | { readonly kind: 'unknown'; readonly says: string }
  | { readonly kind: 'choose'; readonly says: string };

export class Choice {
  readonly #ports: ChoicePorts;

  constructor(ports: ChoicePorts) {
    this.#ports = ports;
  }

  /** What a person should know and do; empty while nobody is waited for. */
  get says(): string {
    const open = this.#open;
    return open === null ? '' : this.#sentence(open);
  }

  /** What it said to this source before still holds. */
  isOf({ member, epoch }: Hello): boolean {
    const open = this.#open;
    return open?.source === member && open.epoch === epoch;
  }

  /** Whether this source may overwrite what is here. `stamp`: of its relation to this copy (peer-bitmap.ts). */
  async judge(hello: Hello, stamp: string): Promise<Verdict> {
    const { ground, mirror, self } = this.#ports;
    const { ownEpoch, history, choice } = ground.record;
    if (ownEpoch === null || !this.#isOwn(hello.member, stamp)) return this.#free();
    const ordered = this.#ports.ordered();
    if (ordered === null || ordered.epoch < hello.epoch) {
      const says = `${self} has not heard yet how ${mirror} came to epoch ${hello.epoch}`;
      return { kind: 'unknown', says }; // S1
    }
    const { forced = null } = ordered;
    const chosen = choice?.made === true && choice.own === ownEpoch ? choice.epoch : null;
    if (!needsChoice({ ours: history, theirs: hello.history, forced, chosen })) return this.#free();
    const whole = this.#bitsOf(hello.member)?.stamp !== stamp;
    const asked = { own: ownEpoch, source: hello.member, epoch: hello.epoch, whole, made: false };
    await ground.save({ choice: asked });
    return { kind: 'choose', says: this.#sentence(asked) };
  }

  /** A person wants what is here to be overwritten. What to tell of that; empty: nobody waited for it. */
  async make(): Promise<string> {
    const open = this.#open;
    if (open === null) return '';
    await this.#ports.ground.save({ choice: { ...open, made: true } });
    const { mirror, self } = this.#ports;
    return `${open.source} survives: what ${self} wrote to ${mirror} at epoch ${open.own} is kept aside, and what differs is overwritten`;
  }

  /** What waits for the choice. */
  *ranges(): Iterable<OwnRange> {
    const open = this.#open;
    if (open === null) return;
    const { own: epoch, source, whole } = open;
    const { sizeBytes } = this.#ports.ground;
    const bits = this.#bitsOf(source);
    if (whole || bits === undefined) yield { offset: 0, length: sizeBytes, epoch };
    else
      for (const { offset, length } of bits.ranges())
        if (offset < sizeBytes) yield { offset, length: Math.min(length, sizeBytes - offset), epoch };
  }

  /** Null: nobody is waited for. */
  get #open(): ChoiceRecord | null {
    const { choice, ownEpoch } = this.#ports.ground.record;
    return choice !== null && !choice.made && choice.own === ownEpoch ? choice : null;
  }

  async #free(): Promise<Verdict> {
    if (this.#open !== null) await this.#ports.ground.save({ choice: null });
    return { kind: 'free' };
  }

  #isOwn(source: string, stamp: string): boolean {
    const bits = this.#bitsOf(source);
    return bits === undefined || bits.stamp !== stamp || bits.count > 0;
  }

  #bitsOf(source: string) {
    return this.#ports.ground.peers().find(([peer]) => peer === source)?.[1];
  }

  #sentence({ own, source }: ChoiceRecord): string {
    const { mirror, self } = this.#ports;
    const [group = mirror] = mirror.split('/');
    return (
      `${self} wrote at epoch ${own} what nobody else has, and then ${group} was given to another server by force: a person ` +
      `chooses the side that survives, and nothing is overwritten before. For that of ${source}: holdfast mirror resync ${mirror} ` +
      `--target ${self}, which keeps aside what ${self} wrote. For that of ${self}: holdfast failover ${group} --to ${self} --force`
    );
  }
}
