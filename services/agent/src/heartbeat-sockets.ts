/**
 * The UDP sockets of this member: one for each address that a path of ours may have, bound to exactly that address, so
 * that every datagram leaves from the address of its path and arrives only on it.
 *
 * An address that is not here yet (a cable, an identity that moved away) is tried again on a period, and at once when
 * `look` says that addresses changed.
 */

import { createSocket, type Socket } from 'node:dgram';
import { isIPv6 } from 'node:net';
import { errorCode } from '@holdfast/wire/directory';
import type { Candidate } from './address-book.ts';

export interface DatagramListener {
  datagram(bytes: Buffer): void;
  /** A socket is bound, or an address can't be bound for another reason than that it is not here. */
  bound(address: string): void;
  trouble(says: string): void;
}

const retryMs = 1_000;
const notHere = 'EADDRNOTAVAIL';
const inUse = 'EADDRINUSE';

type Binding =
  | { readonly kind: 'trying'; readonly socket: Socket }
  | { readonly kind: 'bound'; readonly socket: Socket }
  | { readonly kind: 'absent'; readonly code: string; readonly says: string };

export class HeartbeatSockets {
  readonly #port: number;
  readonly #listener: DatagramListener;
  readonly #bindings = new Map<string, Binding>();
  readonly #settling = new Set<Promise<void>>();
  #timer: NodeJS.Timeout | null = null;
  #closed = false;

  constructor(port: number, listener: DatagramListener) {
    this.#port = port;
    this.#listener = listener;
  }

  /** From now on these addresses; sockets of others are closed. Resolves when each was tried once. */
  async use(candidates: readonly Candidate[]): Promise<void> {
    const wanted = new Set(candidates.map((c) => c.address));
    for (const [address, binding] of this.#bindings) {
      if (wanted.has(address)) continue;
      this.#bindings.delete(address);
      if (binding.kind !== 'absent') binding.socket.close();
    }
    for (const address of wanted) {
      if (!this.#bindings.has(address)) this.#bind(address);
    }
    await Promise.all(this.#settling);
  }

  /** Tries the missing ones now. */
  look(): void {
    if (this.#closed) return;
    for (const [address, binding] of this.#bindings) if (binding.kind === 'absent') this.#bind(address);
  }

  /** Addresses with a socket. */
  get boundAddresses(): readonly string[] {
    return [...this.#bindings].filter(([, b]) => b.kind === 'bound').map(([address]) => address);
  }

  /** Addresses of this host that can't be bound, in words. */
  get troubles(): readonly string[] {
    return [...this.#bindings.values()].flatMap((b) =>
      b.kind === 'absent' && b.code !== notHere ? [b.says] : [],
    );
  }

  /** The same, where another process has the port: it would stay like this. */
  get taken(): readonly string[] {
    return [...this.#bindings.values()].flatMap((b) =>
      b.kind === 'absent' && b.code === inUse ? [b.says] : [],
    );
  }

  /** False when there is no socket for that source address. Failures while sending are counted by `failed`. */
  send(bytes: Buffer, from: string, to: string, port: number, failed: (code: string) => void): boolean {
    const binding = this.#bindings.get(from);
    if (binding?.kind !== 'bound') return false;
    try {
      binding.socket.send(bytes, port, to, (error) => {
        if (error !== null) failed(errorCode(error));
      });
      return true;
    } catch (error) {
      failed(errorCode(error));
      return true;
    }
  }

  close(): void {
    this.#closed = true;
    if (this.#timer !== null) clearTimeout(this.#timer);
    for (const binding of this.#bindings.values()) if (binding.kind !== 'absent') binding.socket.close();
    this.#bindings.clear();
  }

  #bind(address: string): void {
    const before = this.#bindings.get(address);
    const type = isIPv6(address) ? 'udp6' : 'udp4';
    // Never shared: of two that are bound to one address, only one would be sent what comes.
    const socket = createSocket({ type, ipv6Only: type === 'udp6', lookup });
    this.#bindings.set(address, { kind: 'trying', socket });
    socket.on('message', (bytes) => this.#listener.datagram(bytes));
    const settled = new Promise<void>((resolve) => {
      socket.on('listening', () => {
        if (this.#isCurrent(address, socket)) {
          this.#bindings.set(address, { kind: 'bound', socket });
          this.#listener.bound(address);
        }
        resolve();
      });
      // Before it is bound: the address is not here. Afterwards: bind anew.
      socket.on('error', (error) => {
        if (this.#isCurrent(address, socket)) {
          const code = errorCode(error);
          const told = before?.kind === 'absent' && before.code === code;
          const says = this.#sentence(address, code, error);
          if (code !== notHere && !told) this.#listener.trouble(says);
          this.#bindings.set(address, { kind: 'absent', code, says });
          socket.close();
          this.#retryLater();
        }
        resolve();
      });
      socket.on('close', () => resolve());
    });
    this.#settling.add(settled);
    void settled.then(() => this.#settling.delete(settled));
    socket.bind({ address, port: this.#port });
  }

  #sentence(address: string, code: string, error: Error): string {
    const where = `heartbeats can't be received on ${address} port ${this.#port}/udp`;
    if (code !== inUse) return `${where}: ${error.message}`;
    return `${where}: another process has it. Stop that process (ss -lunp shows it), or choose another port`;
  }

  #isCurrent(address: string, socket: Socket): boolean {
    const binding = this.#bindings.get(address);
    return binding !== undefined && binding.kind !== 'absent' && binding.socket === socket;
  }

  #retryLater(): void {
    if (this.#closed) return;
    this.#timer ??= setTimeout(() => {
      this.#timer = null;
      this.look();
    }, retryMs);
  }
}

/** Addresses are literal: Node's own would send each datagram one turn later, by way of its resolver. */
function lookup(
  address: string,
  _options: unknown,
  found: (error: null, address: string, family: number) => void,
): void {
  found(null, address, isIPv6(address) ? 6 : 4);
}
