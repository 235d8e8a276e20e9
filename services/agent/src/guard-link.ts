/**
 * The connection to the guard, the dead man's switch beside us.
 *
 *   K1  it reconnects by itself; the first thing said on a new connection is the latest `arm`
 *   K2  a group counts as armed only while the guard's answer to the latest `arm` says so
 *   K3  a fence that ended while nobody was connected is learned from the guard's state afterwards
 *   K4  a guard that does not answer an `arm` in time is connected to anew
 */

import { connect, type Socket } from 'node:net';
import type { Ended, Epoch, GroupId } from '@holdfast/core';
import {
  parseGuardMessage,
  type GuardGroup,
  type GuardRequest,
  type GuardMessage,
  type GuardState,
} from './guard-protocol.ts';
import { LineReader } from './line-reader.ts';

export interface GuardListener {
  fencing(group: GroupId, epoch: Epoch, reason: string): void;
  fenced(group: GroupId, epoch: Epoch, ended: Ended): void;
  connected(yes: boolean): void;
  trouble(says: string): void;
}

type Reply = Extract<GuardMessage, { readonly id: number }>;

const retryMs = 100;
const answerMs = 1_000;
const lineBytesMax = 8 * 1024 * 1024;
const armedWaitersMax = 256;

interface Arming {
  readonly watchdog: string | null;
  readonly groups: readonly GuardGroup[];
}

export class GuardLink {
  readonly #path: string;
  readonly #listener: GuardListener;
  readonly #replies = new Map<number, (reply: Reply | null) => void>();
  #socket: Socket | null = null;
  #open = false;
  #timer: NodeJS.Timeout | null = null;
  #closed = false;
  #lastId = 0;
  #arming: Arming | null = null;
  /** K2. */
  #armed = new Map<GroupId, Epoch>();
  #refusal = '';
  /** The highest epoch of each group whose fence began at the guard. */
  readonly #fenced = new Map<GroupId, Epoch>();
  readonly #waiters = new Set<() => void>();

  constructor(path: string, listener: GuardListener) {
    this.#path = path;
    this.#listener = listener;
  }

  get isConnected(): boolean {
    return this.#open;
  }

  /** Why it refuses to watch over a group; empty when it does not. */
  get refusal(): string {
    return this.#refusal;
  }

  start(): void {
    this.#connect();
  }

  /** Whether it is connected before the limit. */
  async connected(limitMs: number): Promise<boolean> {
    return this.#until(() => this.#open, limitMs);
  }

  /** Null when the guard does not say in time. */
  async state(limitMs: number): Promise<GuardState | null> {
    const reply = await this.#ask({ type: 'state' }, limitMs);
    return reply?.type === 'state' ? reply : null;
  }

  /** The whole of what is to be watched over. */
  arm(groups: readonly GuardGroup[], watchdog: string | null): void {
    this.#arming = { groups, watchdog };
    for (const [group, epoch] of this.#armed) {
      const wanted = groups.find((g) => g.group === group);
      if (wanted?.epoch !== epoch.toString()) this.#armed.delete(group);
    }
    void this.#sendArming();
  }

  /** Done when the guard has confirmed that it watches over the group at this epoch. */
  async armed(group: GroupId, epoch: Epoch, limitMs: number): Promise<Ended> {
    const confirmed = await this.#until(() => this.#armed.get(group) === epoch, limitMs);
    if (confirmed) return { kind: 'done' };
    const why = this.#open ? 'the guard did not confirm' : 'the guard is not connected';
    return {
      kind: 'failed',
      says: `${why} that it watches over ${group} at epoch ${epoch.toString()}; see journal/guard.jsonl`,
    };
  }

  async fence(group: GroupId, limitMs: number): Promise<'accepted' | 'refused' | 'no-answer'> {
    const reply = await this.#ask({ type: 'fence', group }, limitMs);
    if (reply === null) return 'no-answer';
    return reply.type === 'accepted' ? 'accepted' : 'refused';
  }

  /** For an orderly end, when nothing is held. */
  async disarm(limitMs: number): Promise<void> {
    this.#arming = null;
    await this.#ask({ type: 'disarm' }, limitMs);
  }

  close(): void {
    this.#closed = true;
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#socket?.destroy();
    this.#wake();
  }

  #connect(): void {
    const socket = connect(this.#path);
    this.#socket = socket;
    const lines = new LineReader(lineBytesMax, () =>
      this.#listener.trouble('the guard sent a line too long'),
    );
    socket.on('connect', () => {
      this.#open = true;
      this.#listener.connected(true);
      void this.#sendArming(); // K1
      void this.#catchUp();
      this.#wake();
    });
    socket.on('data', (chunk: Buffer) => lines.push(chunk).forEach((line) => this.#hear(line)));
    // 'close' follows, and there the next try begins.
    socket.on('error', () => socket.destroy());
    socket.on('close', () => {
      const was = this.#open;
      this.#open = false;
      this.#armed.clear();
      for (const answer of this.#replies.values()) answer(null);
      this.#replies.clear();
      if (was) this.#listener.connected(false);
      if (!this.#closed) this.#timer = setTimeout(() => this.#connect(), retryMs);
    });
  }

  async #sendArming(): Promise<void> {
    const arming = this.#arming;
    if (arming === null || !this.#open) return;
    const socket = this.#socket;
    const reply = await this.#ask({ type: 'arm', ...arming }, answerMs);
    if (this.#arming !== arming) return; // a later one is under way
    if (reply === null) {
      if (this.#socket === socket) socket?.destroy(); // K4
      return;
    }
    const refused =
      reply.type === 'refused'
        ? (group: string) => reply.groups.length === 0 || reply.groups.includes(group)
        : () => reply.type !== 'armed';
    this.#armed = new Map(
      arming.groups.filter((g) => !refused(g.group)).map((g) => [g.group, BigInt(g.epoch)]),
    );
    this.#tellRefusal(arming, reply);
    this.#wake();
  }

  /** The same refusal comes with every renewal: it is told once. */
  #tellRefusal(arming: Arming, reply: Reply): void {
    const says = reply.type === 'refused' && this.#isNews(arming, reply.groups) ? reply.reason : '';
    if (says !== '' && says !== this.#refusal) this.#listener.trouble(`the guard refused: ${says}`);
    this.#refusal = says;
  }

  /** A group that is fenced at this epoch stays in the orders until the loop has heard of it. */
  #isNews(arming: Arming, refused: readonly GroupId[]): boolean {
    const over = (group: GroupId): boolean => {
      const order = arming.groups.find((g) => g.group === group);
      const fenced = this.#fenced.get(group);
      return order !== undefined && fenced !== undefined && BigInt(order.epoch) <= fenced;
    };
    return refused.length === 0 || !refused.every(over);
  }

  /** K3. */
  async #catchUp(): Promise<void> {
    const state = await this.state(answerMs);
    for (const { group, epoch, reason } of state?.fencing.map((f) => ({ ...f, reason: 'found under way' })) ??
      [])
      this.#listener.fencing(group, epoch, reason);
    for (const outcome of state?.fenced ?? []) this.#tellFenced(outcome);
  }

  #tellFenced(outcome: GuardState['fenced'][number]): void {
    const { group, epoch, ok, failures } = outcome;
    if (epoch >= (this.#fenced.get(group) ?? 0n)) this.#fenced.set(group, epoch);
    this.#listener.fenced(
      group,
      epoch,
      ok ? { kind: 'done' } : { kind: 'failed', says: failures.join('; ') },
    );
  }

  #hear(line: string): void {
    const message = parseGuardMessage(line);
    if (message === null) {
      this.#listener.trouble(`the guard said something unknown: ${line.slice(0, 200)}`);
      return;
    }
    switch (message.type) {
      case 'fencing':
        this.#armed.delete(message.group);
        this.#fenced.set(message.group, message.epoch);
        this.#listener.fencing(message.group, message.epoch, message.reason);
        return;
      case 'fenced':
        this.#armed.delete(message.group);
        this.#tellFenced(message);
        return;
      case 'watchdog':
        this.#listener.trouble(`watchdog ${message.device}: ${message.says}`);
        return;
      case 'armed':
      case 'accepted':
      case 'disarmed':
      case 'refused':
      case 'state': {
        const answer = this.#replies.get(message.id);
        this.#replies.delete(message.id);
        answer?.(message);
        return;
      }
    }
  }

  #ask(request: GuardRequest, limitMs: number): Promise<Reply | null> {
    const socket = this.#socket;
    if (!this.#open || socket === null) return Promise.resolve(null);
    this.#lastId += 1;
    const id = this.#lastId;
    return new Promise((resolve) => {
      const timer = setTimeout(() => {
        this.#replies.delete(id);
        resolve(null);
      }, limitMs);
      this.#replies.set(id, (reply) => {
        clearTimeout(timer);
        resolve(reply);
      });
      socket.write(`${JSON.stringify({ ...request, id })}\n`);
    });
  }

  #wake(): void {
    for (const waiter of this.#waiters) waiter();
  }

  #until(condition: () => boolean, limitMs: number): Promise<boolean> {
    if (condition()) return Promise.resolve(true);
    if (this.#closed || this.#waiters.size >= armedWaitersMax) return Promise.resolve(false);
    return new Promise((resolve) => {
      const end = (yes: boolean): void => {
        clearTimeout(timer);
        this.#waiters.delete(look);
        resolve(yes);
      };
      const look = (): void => {
        if (condition()) end(true);
        else if (this.#closed) end(false);
      };
      const timer = setTimeout(() => end(condition()), limitMs);
      this.#waiters.add(look);
    });
  }
}
