/**
 * DIR/run/mirror.sock: where the agent gives its orders and hears reports, and where the quorum service asks for what a
 * person wants. The protocol is @holdfast/wire/mirror.
 *
 *   B1  at most `clientsMax` clients (the oldest gives way), `runningMax` requests of each at a time, `unreadBytesMax`
 *       unread bytes for each (then it is disconnected); a run that tells a lot waits until these are read, `unreadMsMax` at most
 *   B2  what a client asked for ends with it: the signal of its runs is aborted when it goes
 */

import { chmodSync, rmSync } from 'node:fs';
import { createServer, type Server, type Socket } from 'node:net';
import { setImmediate } from 'node:timers/promises';
import {
  Lines,
  mirrorLine,
  parseMirrorRequest,
  type MirrorSocketMessage,
  type MirrorSocketReport,
  type MirrorSocketRequest,
} from '@holdfast/wire/mirror';
import type { Answered, RunPorts } from './side.ts';

export interface ControlHandler {
  orders(mirrors: Extract<MirrorSocketRequest, { type: 'orders' }>['mirrors']): void;
  open(request: Extract<MirrorSocketRequest, { type: 'open' }>): Promise<Answered>;
  drain(request: Extract<MirrorSocketRequest, { type: 'drain' }>): Promise<Answered>;
  run(request: Extract<MirrorSocketRequest, { type: 'run' }>, ports: RunPorts): Promise<Answered>;
  garbled(says: string): void;
  /** What a handler threw: a broken invariant. */
  fault(error: unknown): void;
}

interface Client {
  readonly socket: Socket;
  readonly gone: AbortController;
  /** It gave orders, so it gets reports. */
  agent: boolean;
  running: number;
}

const clientsMax = 32;
const runningMax = 64;
const unreadBytesMax = 8_388_608;
/** Whoever asked for something and does not read it for so long never will. */
const unreadMsMax = 60_000;

export class ControlSocket {
  readonly #path: string;
  readonly #handler: ControlHandler;
  readonly #server: Server;
  readonly #clients = new Set<Client>();
  #last: { readonly reports: readonly MirrorSocketReport[]; readonly problems: readonly string[] } = {
    reports: [],
    problems: [],
  };

  constructor(path: string, handler: ControlHandler) {
    this.#path = path;
    this.#handler = handler;
    this.#server = createServer((socket) => this.#accept(socket));
  }

  /** A socket that an earlier process left is replaced: `holdfast run` starts one process at a time. */
  listen(): Promise<void> {
    rmSync(this.#path, { force: true });
    // Nobody else may connect in the moment before chmod.
    const usual = process.umask(0o177);
    return new Promise<void>((resolve, reject) => {
      this.#server.once('error', reject);
      this.#server.listen(this.#path, () => {
        this.#server.off('error', reject);
        // Out of file descriptors, say: the clients that are connected go on.
        this.#server.on('error', (error) => this.#handler.garbled(error.message));
        chmodSync(this.#path, 0o600);
        resolve();
      });
    }).finally(() => process.umask(usual));
  }

  /** To every client that gave orders. */
  report(reports: readonly MirrorSocketReport[], problems: readonly string[]): void {
    this.#last = { reports, problems };
    for (const client of this.#clients) if (client.agent) this.#tell(client);
  }

  close(): void {
    this.#server.close();
    for (const { socket } of this.#clients) socket.end();
    rmSync(this.#path, { force: true });
  }

  #tell(client: Client): void {
    const { reports, problems } = this.#last;
    this.#send(client, { type: 'report', reports, problems });
  }

  #accept(socket: Socket): void {
    const client: Client = { socket, gone: new AbortController(), agent: false, running: 0 };
    this.#clients.add(client);
    if (this.#clients.size > clientsMax) {
      const [oldest] = this.#clients;
      oldest?.socket.destroy();
    }
    const lines = new Lines(() => this.#handler.garbled('a line of a client was too long'));
    socket.on('data', (chunk: Buffer) => lines.push(chunk).forEach((line) => this.#hear(client, line)));
    // It died with data under way: 'close' follows.
    socket.on('error', () => socket.destroy());
    socket.on('close', () => {
      this.#clients.delete(client);
      client.gone.abort(); // B2
    });
  }

  #hear(client: Client, line: string): void {
    const parsed = parseMirrorRequest(line);
    switch (parsed.kind) {
      case 'garbage':
        this.#handler.garbled('a line of a client is no request');
        return;
      case 'wrong':
        this.#send(client, { type: 'failed', id: parsed.id, kind: 'invalid', says: parsed.says });
        return;
      case 'request':
        this.#take(client, parsed.request);
        return;
    }
  }

  #take(client: Client, request: MirrorSocketRequest): void {
    const { id } = request;
    switch (request.type) {
      case 'orders':
        this.#handler.orders(request.mirrors);
        this.#send(client, { type: 'done', id, says: '' });
        if (!client.agent) this.#tell(client);
        client.agent = true;
        return;
      case 'open':
        this.#answer(client, id, () => this.#handler.open(request));
        return;
      case 'drain':
        this.#answer(client, id, () => this.#handler.drain(request));
        return;
      case 'run': {
        const { signal } = client.gone;
        const ports: RunPorts = {
          signal,
          row: (row) => this.#send(client, { type: 'row', id, row }),
          room: () => this.#room(client),
        };
        this.#answer(client, id, () => this.#handler.run(request, ports));
        return;
      }
    }
  }

  #answer(client: Client, id: number, work: () => Promise<Answered>): void {
    if (client.running >= runningMax) {
      this.#send(client, { type: 'failed', id, kind: 'failed', says: 'too much is asked at a time' });
      return;
    }
    client.running += 1;
    work()
      .then((answered) => this.#send(client, messageOf(id, answered)))
      .catch((error: unknown) => this.#handler.fault(error))
      .finally(() => {
        client.running -= 1;
      });
  }

  /** B1. */
  #send({ socket }: Client, message: MirrorSocketMessage): void {
    if (socket.destroyed) return;
    if (socket.writableLength > unreadBytesMax) socket.destroy();
    else socket.write(mirrorLine(message));
  }

  /** B1. */
  #room({ socket }: Client): Promise<void> {
    if (socket.destroyed || !socket.writableNeedDrain) return setImmediate();
    return new Promise((resolve) => {
      const late = setTimeout(() => socket.destroy(), unreadMsMax);
      const end = (): void => {
        clearTimeout(late);
        socket.off('drain', end).off('close', end);
        resolve();
      };
      socket.once('drain', end).once('close', end);
    });
  }
}

function messageOf(id: number, answered: Answered): MirrorSocketMessage {
  switch (answered.kind) {
    case 'done':
      return { type: 'done', id, says: answered.says, settled: answered.settled };
    case 'drained':
      return { type: 'drained', id, targets: answered.targets };
    case 'failed':
      return { type: 'failed', id, kind: answered.as, says: answered.says };
  }
}
