/** A volume that is a store and nothing else: what is opened read-only, and what tests serve. */

import { errorCode } from '@holdfast/wire/directory';
import { outcome } from './nbd/protocol.ts';
import type { Segment, Store } from './store/store.ts';
import type { Volume, VolumeRequest } from './volume.ts';

export class PlainVolume implements Volume {
  readonly sizeBytes: number;
  readonly #store: Store;

  constructor(store: Store, sizeBytes: number) {
    this.#store = store;
    this.sizeBytes = sizeBytes;
  }

  submit(request: VolumeRequest, done: (outcome: number) => void): void {
    const waits = this.#carryOut(request);
    if (typeof waits === 'number') {
      done(waits);
      return;
    }
    waits.then(
      () => done(outcome.done),
      (error: unknown) => done(outcomeOf(error)),
    );
  }

  segments(offset: number, length: number): readonly Segment[] | number {
    try {
      return this.#store.segments(offset, length);
    } catch (error) {
      return outcomeOf(error);
    }
  }

  #carryOut(request: VolumeRequest): number | Promise<void> {
    try {
      switch (request.kind) {
        case 'read':
          this.#store.read(request.into, request.offset);
          return outcome.done;
        case 'write':
          this.#store.write(request.contents, request.offset);
          return request.durable ? this.#store.sync() : outcome.done;
        case 'zero':
          this.#store.zero(request.offset, request.length, request.hole);
          return request.durable ? this.#store.sync() : outcome.done;
        case 'flush':
          return this.#store.sync();
      }
    } catch (error) {
      return outcomeOf(error);
    }
  }
}

/** What the system said, in the numbers of the protocol. Anything else is a mistake, and is thrown. */
export function outcomeOf(error: unknown): number {
  switch (errorCode(error)) {
    case '':
      throw error;
    case 'ENOSPC':
    case 'EDQUOT':
      return outcome.noSpace;
    case 'EPERM':
    case 'EACCES':
    case 'EROFS':
      return outcome.notPermitted;
    default:
      return outcome.io;
  }
}
