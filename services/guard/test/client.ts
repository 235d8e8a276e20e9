/** A guard as a process and a client of it, for tests. Everything waits with a limit. */

import { spawn, type ChildProcess } from 'node:child_process';
import { existsSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { guardNodeFlags } from '../src/index.ts';
import type { EventMessage, GroupMessage, ReplyMessage, StateMessage } from '../src/index.ts';

export type Message = ReplyMessage | EventMessage;

type Awaitable<T> = T | Promise<T>;

/** Waits until `look` gives something. */
export async function until<T>(
  what: string,
  look: () => Awaitable<T | null | undefined | false>,
  limitMs = 8_000,
): Promise<T> {
  const endMs = performance.now() + limitMs;
  for (;;) {
    const found = await look();
    if (found !== null && found !== undefined && found !== false) return found;
    if (performance.now() > endMs) throw new Error(`waited ${limitMs} ms in vain for ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

export class TestClient {
  readonly socket: Socket;
  readonly messages: Message[] = [];
  #lastId = 0;
  #rest = '';

  constructor(socket: Socket) {
    this.socket = socket;
    socket.setEncoding('utf8');
    socket.on('data', (text: string) => {
      const lines = (this.#rest + text).split('\n');
      this.#rest = lines.pop() ?? '';
      for (const line of lines) this.messages.push(JSON.parse(line) as Message);
    });
    socket.on('error', () => socket.destroy());
  }

  async ask(request: Record<string, unknown>): Promise<ReplyMessage> {
    this.#lastId += 1;
    const id = this.#lastId;
    this.socket.write(`${JSON.stringify({ ...request, id })}\n`);
    return await until(`a reply to ${JSON.stringify(request).slice(0, 80)}`, () =>
      this.messages.find((m): m is ReplyMessage => 'id' in m && m.id === id),
    );
  }

  async arm(groups: readonly GroupMessage[], watchdog: string | null = null): Promise<ReplyMessage> {
    return await this.ask({ type: 'arm', watchdog, groups });
  }

  async state(): Promise<StateMessage> {
    const reply = await this.ask({ type: 'state' });
    if (reply.type !== 'state') throw new Error(`no state: ${JSON.stringify(reply)}`);
    return reply;
  }

  async event<T extends EventMessage['type']>(type: T): Promise<EventMessage & { type: T }> {
    return await until(`the event ${type}`, () =>
      this.messages.find((m): m is EventMessage & { type: T } => !('id' in m) && m.type === type),
    );
  }
}

/** A socket file is there a moment before anybody listens on it: a refusal is tried again for a while. */
export async function connectTo(path: string): Promise<TestClient> {
  const endMs = performance.now() + 2_000;
  for (;;) {
    const socket = connect(path);
    const trouble = await new Promise<Error | null>((resolve) => {
      socket.once('connect', () => resolve(null));
      socket.once('error', resolve);
    });
    if (trouble === null) return new TestClient(socket);
    const refused = (trouble as NodeJS.ErrnoException).code === 'ECONNREFUSED';
    if (!refused || performance.now() > endMs) throw trouble;
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

export async function startGuard(main: string, socket: string, ...args: string[]): Promise<ChildProcess> {
  const guard = spawn(process.execPath, [...guardNodeFlags, main, '--socket', socket, ...args], {
    stdio: 'ignore',
  });
  await until('the guard to listen', () => existsSync(socket) || guard.exitCode !== null);
  return guard;
}

export async function exited(child: ChildProcess): Promise<number | string> {
  return await until(
    'a process to exit',
    () => child.signalCode ?? (child.exitCode === null ? null : String(child.exitCode)),
  );
}
