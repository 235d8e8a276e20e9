/**
 * Addresses that left this host, as its own does in mode `replace`. etcd's connections from such an address say nothing for
 * 5 s and do not end. Where they made the majority nothing is committed meanwhile, and an owner at a short outage, which has
 * just taken over, would have to fence itself. So they are ended here at once.
 *
 *   L1  only an address that was seen here has left: at the start there is nothing to end
 *   L2  addresses that can't be listed tell of nothing
 */

import { networkInterfaces } from 'node:os';
import { dropPeerConnections, type DropAnswer } from './etcd/peer-sockets.ts';

const dropMs = 2_000;

interface HostAddresses {
  /** Those of this host now; an interface without a link has none. Throws where the system does not tell. */
  list(): readonly string[];
  /** Ends the etcd peer connections that come from there. */
  drop(address: string, peerPort: number): Promise<DropAnswer>;
}

const ofThisHost: HostAddresses = {
  list: () =>
    Object.values(networkInterfaces()).flatMap((entries) => (entries ?? []).map(({ address }) => address)),
  drop: (address, peerPort) => dropPeerConnections('near', address, peerPort, dropMs),
};

export class LeftAddresses {
  readonly #warn: (says: string) => void;
  readonly #host: HostAddresses;
  #here: readonly string[] = [];

  constructor(warn: (says: string) => void, host: HostAddresses = ofThisHost) {
    this.#warn = warn;
    this.#host = host;
  }

  /** To be called often: a connection is as good as its address until then. */
  async leave(peerPort: number): Promise<void> {
    let here: readonly string[];
    try {
      here = this.#host.list();
    } catch (error) {
      this.#warn(`the addresses of this host can't be listed: ${String(error)}`);
      return; // L2
    }
    const left = this.#here.filter((address) => !here.includes(address)); // L1
    this.#here = here;
    await Promise.all(
      left.map(async (address) => {
        const done = await this.#host.drop(address, peerPort);
        if (done.kind === 'dropped' && done.connections === 0) return;
        const says =
          done.kind === 'failed' ? `; etcd's connections from it stay until they time out: ${done.says}` : '';
        this.#warn(`${address} left this host${says}`);
      }),
    );
  }
}
