/**
 * A guard in this process that speaks the real protocol: it keeps deadlines, and carries drops and stops out on a fake
 * host. It can be mute, refuse, and be gone.
 */
import { createServer, type Server, type Socket } from 'node:net';
import type { GuardGroup } from '../src/guard-protocol.ts';
import type { FakeHost } from './fake-network.ts';

interface Request {
  readonly type: string;
  readonly id: number;
  readonly group?: string;
  readonly groups?: readonly GuardGroup[];
}

export class FakeGuard {
  readonly armed = new Map<string, GuardGroup>();
  readonly requests: Request[] = [];
  readonly fenced: { group: string; epoch: string; ok: boolean; atMs: number; failures: string[] }[] = [];
  /** Takes requests and answers nothing. */
  mute = false;
  refuses = false;
  readonly #host: FakeHost;
  readonly #path: string;
  #server: Server | null = null;
  readonly #sockets = new Set<Socket>();
  readonly #timers = new Map<string, NodeJS.Timeout>();

  constructor(host: FakeHost, path: string) {
    this.#host = host;
    this.#path = path;
  }

  async open(): Promise<void> {
    const server = createServer((socket) => this.#accept(socket));
    this.#server = server;
    await new Promise<void>((resolve) => server.listen(this.#path, resolve));
  }

  /** Its process ends: connections break, deadlines are forgotten. */
  async close(): Promise<void> {
    for (const timer of this.#timers.values()) clearTimeout(timer);
    this.#timers.clear();
    for (const socket of this.#sockets) socket.destroy();
    const server = this.#server;
    this.#server = null;
    if (server !== null) await new Promise((resolve) => server.close(resolve));
  }

  fence(group: string, why: string): void {
    const order = this.armed.get(group);
    if (order === undefined) return;
    this.armed.delete(group);
    this.#tell({ type: 'fencing', group, epoch: order.epoch, atMs: this.#host.now(), reason: why });
    for (const [, address = ''] of order.drops) this.#host.drop(address);
    for (const { argv } of order.stops) this.#host.runs.push({ argv, env: { by: 'guard' } });
    const outcome = { group, epoch: order.epoch, ok: true, atMs: this.#host.now(), failures: [] };
    this.fenced.push(outcome);
    this.#tell({ type: 'fenced', ...outcome });
  }

  #accept(socket: Socket): void {
    this.#sockets.add(socket);
    socket.on('close', () => this.#sockets.delete(socket));
    socket.on('error', () => socket.destroy());
    let pending = '';
    socket.on('data', (chunk) => {
      const lines = (pending + chunk.toString()).split('\n');
      pending = lines.pop() ?? '';
      for (const line of lines) this.#take(socket, JSON.parse(line) as Request);
    });
  }

  #take(socket: Socket, request: Request): void {
    this.requests.push(request);
    if (this.mute) return;
    const reply = (message: object): void => {
      socket.write(`${JSON.stringify({ ...message, id: request.id })}\n`);
    };
    switch (request.type) {
      case 'arm':
        if (this.refuses) {
          reply({ type: 'refused', reason: 'not today', groups: (request.groups ?? []).map((g) => g.group) });
          return;
        }
        this.#arm(request.groups ?? []);
        reply({ type: 'armed' });
        return;
      case 'fence': {
        const group = request.group ?? '';
        if (!this.armed.has(group)) {
          reply({ type: 'refused', reason: 'not armed', groups: [] });
          return;
        }
        reply({ type: 'accepted' });
        this.fence(group, 'it was asked for');
        return;
      }
      case 'disarm':
        this.#arm([]);
        reply({ type: 'disarmed' });
        return;
      case 'state':
        reply({
          type: 'state',
          armed: [...this.armed.values()],
          fencing: [],
          fenced: this.fenced,
        });
        return;
      default:
        throw new Error(`a guard is not asked for ${request.type}`);
    }
  }

  #arm(groups: readonly GuardGroup[]): void {
    this.armed.clear();
    for (const timer of this.#timers.values()) clearTimeout(timer);
    for (const order of groups) {
      this.armed.set(order.group, order);
      const leftMs = order.fenceAtMs - this.#host.now();
      this.#timers.set(
        order.group,
        setTimeout(() => this.fence(order.group, 'its deadline passed'), leftMs),
      );
    }
  }

  #tell(message: object): void {
    for (const socket of this.#sockets) socket.write(`${JSON.stringify(message)}\n`);
  }
}
