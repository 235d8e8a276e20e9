/**
 * Datagrams out and in: seals and sends what the loop orders, opens and checks what comes, tells the loop and the
 * quorum service beside us.
 *
 *   D1  nothing reaches the loop that was not sealed by a member of this cluster, or that was seen before
 *   D2  whatever is refused is counted under its name
 *   D3  a heartbeat that grew too long loses what matters least, and is sent
 */

import type { AgentAction, AgentState, BootMs, Heartbeat, MemberId, Message } from '@holdfast/core';
import { open, ReplayWindow, seal } from '@holdfast/wire/datagram';
import { hostOf, type AddressBook } from './address-book.ts';
import type { ClockWatch } from './clock-watch.ts';
import type { HeardRelay } from './heard-relay.ts';
import { HeartbeatSockets } from './heartbeat-sockets.ts';
import type { Host } from './host.ts';
import type { Tallies } from './tallies.ts';
import { fromBody, toBody } from './wire-message.ts';

export interface HeartbeatOptions {
  readonly cluster: string;
  readonly key: Buffer;
  readonly incarnation: bigint;
  readonly port: number;
  readonly book: AddressBook;
  readonly relay: HeardRelay;
  readonly tallies: Tallies;
  readonly clocks: ClockWatch;
  /** What another member saw at an address. */
  readonly onSighting: (message: Extract<Message, { kind: 'sighting' }>) => void;
}

type Send = Extract<AgentAction, { kind: 'send' }>;

const shorterMax = 8;

export class Heartbeats {
  readonly #host: Host;
  readonly #options: HeartbeatOptions;
  readonly #sockets: HeartbeatSockets;
  readonly #window = new ReplayWindow();
  #sequence = 0n;
  /** The beat that was relayed last, by path: it goes to many members and is relayed once. */
  readonly #relayed = new Map<number, BootMs>();
  #toldTooLong = false;

  constructor(host: Host, options: HeartbeatOptions) {
    this.#host = host;
    this.#options = options;
    this.#sockets = new HeartbeatSockets(options.port, {
      datagram: (bytes) => this.#receive(bytes),
      bound: (address) => host.log.debug('socket-bound', `heartbeats on ${address}`),
      trouble: (says) => host.log.warn('socket', says),
    });
  }

  /** Resolves when every address of ours was tried: those that another process has, in words. */
  async bind(): Promise<readonly string[]> {
    await this.#sockets.use(this.#options.book.candidates(this.#host.state().config));
    const bound = this.#sockets.boundAddresses;
    if (bound.length === 0)
      this.#host.log.warn('socket', 'no heartbeat address of this member is here yet; it is tried again');
    return this.#sockets.taken;
  }

  /** Addresses of this host that can't be bound, in words. */
  get troubles(): readonly string[] {
    return this.#sockets.troubles;
  }

  /** Addresses of this host changed. */
  look(): void {
    this.#sockets.look();
  }

  send(action: Send): void {
    const { book, tallies } = this.#options;
    const state = this.#host.state();
    const message = this.#current(action.message, state);
    if (message.kind === 'heartbeat') this.#relayOwn(message, action.path);
    const to = book.addressOf(action.to, action.path, state.vantage);
    const from = this.#sourceOf(action.path, state);
    if (to === null || from === null) {
      tallies.unsent.count(to === null ? 'no-address-there' : 'no-address-here');
      return;
    }
    const datagram = this.#seal(message, action.path);
    if (datagram === null) return;
    const port = book.ports(action.to).heartbeat;
    const failed = (code: string): void => tallies.unsent.count(code);
    if (this.#sockets.send(datagram, from, to, port, failed)) tallies.sent += 1;
    else tallies.unsent.count('no-socket');
  }

  /** Our own sign of life for the quorum service beside us, when there is no other member to send one to. */
  beatAlone(): void {
    const state = this.#host.state();
    const reports = (state.renewal.inFlight?.record ?? state.renewal.current)?.groups ?? [];
    const heartbeat: Heartbeat = {
      kind: 'heartbeat',
      sentAt: this.#host.bootMs(),
      echo: null,
      version: state.version,
      leaving: state.leaving !== null,
      addresses: this.#options.book.ownAddresses(state.config),
      groups: reports.map((r) => ({ group: r.group, epoch: r.epoch, state: r.state })),
      vantage: [],
      diagnoses: [],
    };
    heartbeat.addresses.forEach((_, path) => this.#relayOwn(heartbeat, path));
  }

  close(): void {
    this.#sockets.close();
  }

  /** The core knows our addresses as members know them; an identity may have moved one. */
  #current(message: Message, state: AgentState): Message {
    if (message.kind !== 'heartbeat') return message;
    return { ...message, addresses: this.#options.book.ownAddresses(state.config) };
  }

  #sourceOf(path: number, state: AgentState): string | null {
    const address = this.#options.book.ownAddresses(state.config)[path] ?? '';
    return address === '' ? null : hostOf(address);
  }

  #relayOwn(heartbeat: Heartbeat, path: number): void {
    if (this.#relayed.get(path) === heartbeat.sentAt) return;
    this.#relayed.set(path, heartbeat.sentAt);
    this.#options.relay.push({ from: this.#host.self, path, heartbeat });
  }

  /** D3. */
  #seal(message: Message, path: number): Buffer | null {
    const { cluster, key, incarnation } = this.#options;
    let shorter = message;
    for (let turn = 0; turn < shorterMax; turn += 1) {
      this.#sequence += 1n;
      const body = toBody(shorter, Date.now());
      const sender = this.#host.self;
      const sealed = seal({ cluster, sender, incarnation, sequence: this.#sequence, path, body }, key);
      if (sealed.kind === 'ok') return sealed.datagram;
      this.#options.tallies.unsent.count('too-long');
      if (!this.#toldTooLong) {
        this.#toldTooLong = true;
        const says = `a ${message.kind} has ${sealed.bytes} bytes, more than a datagram; rows take turns`;
        this.#host.log.warn('heartbeat-too-long', says);
      }
      if (shorter.kind !== 'heartbeat') return null;
      shorter = shorten(shorter, turn, Number(this.#sequence % 1_000_000n));
    }
    return null;
  }

  #receive(bytes: Buffer): void {
    const { cluster, key, relay, tallies, clocks } = this.#options;
    const opened = open(bytes, key, cluster);
    if (opened.kind === 'rejected') {
      tallies.rejected.count(opened.why);
      return;
    }
    const { sender, incarnation, sequence, path, body } = opened.envelope;
    const refusal = this.#refuse(sender, path);
    if (refusal !== null) {
      tallies.rejected.count(refusal);
      return;
    }
    const verdict = this.#window.admit(sender, incarnation, sequence); // D1
    if (verdict !== 'fresh') {
      tallies.rejected.count(verdict);
      return;
    }
    const message = body === undefined ? null : fromBody(body);
    if (message === null) {
      tallies.rejected.count('not-understood');
      return;
    }
    tallies.heard += 1;
    const at = this.#host.bootMs();
    if (message.kind === 'heartbeat') {
      relay.push({ from: sender, path, heartbeat: message });
      if (body?.$case === 'heartbeat')
        clocks.heard(sender, message.sentAt, body.value.wallMs, at, Date.now());
    }
    if (message.kind === 'sighting') this.#options.onSighting(message);
    else this.#host.dispatch({ kind: 'heard', from: sender, path, message });
  }

  #refuse(sender: MemberId, path: number): 'from-ourselves' | 'not-a-member' | 'no-such-path' | null {
    const { members } = this.#host.state();
    if (sender === this.#host.self) return 'from-ourselves';
    if (!members.has(sender)) return 'not-a-member';
    const paths = members.get(this.#host.self)?.addresses.length ?? 0;
    return path < paths ? null : 'no-such-path';
  }
}

/** First without diagnoses and mirrors, then with half of the vantage, then of the groups; which half changes with every beat. */
function shorten(beat: Heartbeat, turn: number, offset: number): Heartbeat {
  if (turn === 0) return { ...beat, diagnoses: [], mirrors: [] };
  if (turn % 2 === 1) return { ...beat, vantage: halfOf(beat.vantage, offset) };
  return { ...beat, groups: halfOf(beat.groups, offset) };
}

function halfOf<T>(rows: readonly T[], offset: number): readonly T[] {
  const count = Math.floor(rows.length / 2);
  const start = rows.length === 0 ? 0 : (offset * Math.max(1, count)) % rows.length;
  return [...rows.slice(start), ...rows.slice(0, start)].slice(0, count);
}
