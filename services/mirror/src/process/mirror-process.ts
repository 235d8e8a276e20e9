/**
 * The mirror process of one member: the door for its agent, the port for other members' sources, and the mirrors.
 *
 *   P1  the door opens before anything else: whoever asks is answered, even while the port can't be had
 *   P2  a port that is taken is a problem that is told, and tried again; the sources of this member work without it
 *   P3  close() ends every role with a clean mark on disk
 */

import { mkdir } from 'node:fs/promises';
import { bootMs, pathIn, type MemberDirectory } from '@holdfast/wire/directory';
import type { Log } from '@holdfast/wire/log';
import type { Listened, Listener } from '../transport/types.ts';
import { ControlSocket } from './control-socket.ts';
import { Door } from './door.ts';
import { Mirrors } from './mirrors.ts';
import { Reporting } from './reporting.ts';
import type { Sides } from './side.ts';

export interface MirrorProcessOptions {
  readonly directory: MemberDirectory;
  readonly log: Log;
  /** Opens the port for sources of other members. `absent`: why a mirror takes no copy here. */
  readonly listen: (absent: (mirror: string) => string) => Promise<Listened>;
  readonly sides: (door: Door) => Sides;
  /** A broken invariant: the process ends. */
  readonly fault: (error: unknown) => void;
}

const listenAgainMs = 1_000;

export class MirrorProcess {
  readonly #options: MirrorProcessOptions;
  readonly #mirrors: Mirrors;
  readonly #control: ControlSocket;
  readonly #reporting: Reporting;
  readonly #door = new Door();
  #port: Listener | null = null;
  #portTrouble = '';
  #timer: NodeJS.Timeout | null = null;
  #closing = false;

  constructor(options: MirrorProcessOptions) {
    this.#options = options;
    const { directory, log } = options;
    this.#mirrors = new Mirrors({
      sides: options.sides(this.#door),
      dir: pathIn(directory.path, 'mirror'),
      bootMs,
      says: (sentence) => log.info('mirror', sentence),
    });
    this.#control = new ControlSocket(pathIn(directory.path, 'run', 'mirror.sock'), {
      orders: (mirrors) => {
        this.#mirrors.order(mirrors);
        this.#reporting.wake();
      },
      open: (request) => this.#mirrors.open(request),
      drain: (request) => this.#mirrors.drain(request),
      run: (request, ports) => this.#mirrors.run(request, ports),
      garbled: (says) => log.warn('control', says),
      fault: options.fault,
    });
    this.#reporting = new Reporting({
      reports: () => this.#mirrors.reports(),
      problems: () => (this.#portTrouble === '' ? [] : [this.#portTrouble]),
      tell: (reports, problems) => this.#control.report(reports, problems),
      nowMs: () => performance.now(),
    });
  }

  /** P1. Throws when the socket can't be opened. */
  async start(): Promise<void> {
    await mkdir(pathIn(this.#options.directory.path, 'run'), { recursive: true, mode: 0o700 });
    await this.#control.listen();
    await this.#listen();
  }

  /** P3. */
  async close(): Promise<void> {
    this.#closing = true;
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#reporting.close();
    await this.#mirrors.close();
    await this.#port?.close();
    this.#control.close();
  }

  /** P2. */
  async #listen(): Promise<void> {
    const listened = await this.#options.listen((mirror) => this.#mirrors.absent(mirror));
    if (listened.kind === 'listening') {
      this.#port = listened.listener;
      this.#door.opened(listened.listener);
      this.#portTrouble = '';
      if (this.#closing) await listened.listener.close();
      return;
    }
    if (this.#portTrouble !== listened.says) this.#options.log.error('port', listened.says);
    this.#portTrouble = listened.says;
    if (!this.#closing) this.#timer = setTimeout(() => void this.#listen(), listenAgainMs);
  }
}
