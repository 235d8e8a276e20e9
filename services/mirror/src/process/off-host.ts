/**
 * A target's copy for other uses while nothing is sent to it: reports, a tape, a test. It is exported read-only, or under an
 * overlay that can be written to and is thrown away.
 *
 *   U1  the copy itself is never written to
 *   U2  a source that comes has precedence: the export ends, its clients are told so with ESHUTDOWN, and then frames are taken
 *   U3  a copy that is no moment of its source is not exported
 */

import { errorCode, errorText } from '@holdfast/wire/directory';
import type { MirrorRun } from '@holdfast/wire/mirror';
import type { Connection } from '../transport/types.ts';
import { NbdServer } from '../volumes/nbd/server.ts';
import { OverlayVolume } from '../volumes/overlay.ts';
import { PlainVolume } from '../volumes/plain-volume.ts';
import type { Disk, Store } from '../volumes/store/store.ts';
import { failed, type Answered } from './side.ts';
import { exportNameOf, exportUri } from './volume-export.ts';
import { Turns } from '../turns.ts';

export interface OffHostPorts {
  readonly mirror: string;
  /** This member. */
  readonly self: string;
  readonly store: Store;
  readonly sizeBytes: number;
  /** Where the overlay lies meanwhile. */
  readonly disk: Disk;
  /** As much as may be kept aside, when it is opened. */
  readonly overlayBytesMax: () => number;
  readonly socketPath: string;
  /** Empty when nothing is written to the copy; otherwise why it can't be exported. */
  readonly atRest: () => Promise<string>;
  readonly says: (sentence: string) => void;
}

export type OffHostRun = MirrorRun & { readonly kind: 'open' | 'close' };

export const isOfOffHost = (run: MirrorRun): run is OffHostRun => run.kind === 'open' || run.kind === 'close';

interface Exported {
  readonly server: NbdServer;
  /** Null: read-only. */
  readonly overlay: Store | null;
}

const overlayName = 'overlay';

export class OffHost {
  readonly #ports: OffHostPorts;
  #exported: Exported | null = null;
  #source: Connection | null = null;
  readonly #turns = new Turns();

  constructor(ports: OffHostPorts) {
    this.#ports = ports;
    // Of a process that was killed.
    ports.disk.remove(overlayName);
  }

  /** Done with `open` says the URI of the export, and nothing else. */
  run(run: OffHostRun): Promise<Answered> {
    switch (run.kind) {
      case 'open':
        return this.#turns.next(() => this.#open(run.writable ?? false));
      case 'close':
        return this.#turns.next(async () => {
          const { mirror, self } = this.#ports;
          if (this.#exported === null) return done(`${mirror} was not open on ${self}`);
          await this.#end();
          return done(`${mirror} is closed on ${self}`);
        });
    }
  }

  /** U2. Resolves when frames may be taken. */
  async arrived(source: Connection): Promise<void> {
    this.#source = source;
    await this.close();
  }

  close(): Promise<void> {
    return this.#turns.next(() => this.#end());
  }

  async #open(writable: boolean): Promise<Answered> {
    const { mirror, self, atRest } = this.#ports;
    if (this.#exported !== null) return failed(`${mirror} is open on ${self} already: close it first`);
    const why = this.#sourceIsHere ? 'its source is connected; pause it first' : await atRest();
    if (why !== '') return failed(`${mirror} on ${self}: ${why}`);
    try {
      this.#exported = await this.#export(writable);
    } catch (error) {
      if (errorCode(error) === '') throw error;
      return failed(`${mirror} on ${self}: ${errorText(error)}`);
    }
    if (!this.#sourceIsHere) return done(exportUri(mirror, this.#ports.socketPath));
    await this.#end();
    return failed(`${mirror} on ${self}: its source has just connected; pause it first`);
  }

  get #sourceIsHere(): boolean {
    return this.#source !== null && this.#source.ended === null;
  }

  async #export(writable: boolean): Promise<Exported> {
    const { mirror, store, sizeBytes, disk, overlayBytesMax, socketPath, says } = this.#ports;
    const overlay = writable ? disk.open(overlayName) : null;
    try {
      const volume =
        overlay === null
          ? new PlainVolume(store, sizeBytes)
          : new OverlayVolume(store, overlay, sizeBytes, overlayBytesMax());
      const name = exportNameOf(mirror);
      const server = await NbdServer.listen({ socketPath, name, volume, readOnly: !writable, says });
      return { server, overlay };
    } catch (error) {
      overlay?.close();
      disk.remove(overlayName);
      throw error;
    }
  }

  async #end(): Promise<void> {
    const exported = this.#exported;
    this.#exported = null;
    if (exported === null) return;
    await exported.server.close();
    exported.overlay?.close();
    this.#ports.disk.remove(overlayName);
    this.#ports.says(`${this.#ports.mirror}: the export of the copy is closed`);
  }
}

const done = (says: string): Answered => ({ kind: 'done', says });
