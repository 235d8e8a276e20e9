/**
 * A volume whose writes can be held for a moment: while the last of them are drained to the next owner, nothing may be
 * answered that it would not get.
 *
 *   H1  a held request is answered when the hold ends, or with ESHUTDOWN when the volume closes; never silence
 *   H2  a hold ends by itself after `holdMs`: a planned move that was given up must not leave the service hanging
 */

import { outcome } from '../volumes/nbd/protocol.ts';
import type { Segment } from '../volumes/store/store.ts';
import type { Volume, VolumeRequest } from '../volumes/volume.ts';

interface Held {
  readonly request: VolumeRequest;
  readonly done: (outcome: number) => void;
}

const holdMs = 10_000;

export class HeldVolume implements Volume {
  readonly #inner: Volume;
  #held: Held[] | null = null;
  #timer: NodeJS.Timeout | null = null;

  constructor(inner: Volume) {
    this.#inner = inner;
  }

  get sizeBytes(): number {
    return this.#inner.sizeBytes;
  }

  submit(request: VolumeRequest, done: Held['done']): void {
    if (this.#held === null || request.kind === 'read') this.#inner.submit(request, done);
    else this.#held.push({ request, done });
  }

  segments(offset: number, length: number): readonly Segment[] {
    return this.#inner.segments(offset, length);
  }

  hold(): void {
    this.#held ??= [];
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.release(), holdMs); // H2
  }

  /** H1. */
  release(): void {
    for (const { request, done } of this.#end()) this.#inner.submit(request, done);
  }

  close(): void {
    for (const { done } of this.#end()) done(outcome.shutdown);
  }

  #end(): readonly Held[] {
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = null;
    const held = this.#held ?? [];
    this.#held = null;
    return held;
  }
}
