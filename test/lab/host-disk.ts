/**
 * A disk of one host that forgets on a power cut what was not flushed: ext4 on a loop device on a file that nbdfuse(1) serves
 * from programs/volatile-disk.js. The host has its /srv on it, and what its mirrors remember.
 *
 * D1. It is mounted in the name space of the host alone, so that nothing of it outlives the host's power.
 * D2. Whoever serves it goes with this process.
 */
import { spawn, execFile, type ChildProcess } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { promisify } from 'node:util';
import type { Host } from '@holdfast/lab';
import { until } from './until.ts';

/** What became of the writes since the last flush: of those in the cache, and of those in the host's memory (`late`). */
export interface Fates {
  readonly kept: number;
  readonly lost: number;
  readonly torn: number;
  readonly late: number;
}

const program = join(import.meta.dirname, 'programs/volatile-disk.js');
const run = promisify(execFile);
const limitMs = 20_000;
const soonMs = 2_000;

interface Powered {
  readonly server: ChildProcess;
  readonly fuse: ChildProcess;
  readonly device: string;
  /** Lines that the server prints. */
  readonly said: string[];
}

export class HostDisk {
  readonly #host: Host;
  /** Of everything that it needs; not in the lab's, which goes first. */
  readonly #dir = mkdtempSync(join(tmpdir(), 'holdfast-disk-'));
  readonly #mib: number;
  #seed: number;
  readonly #children = new Set<ChildProcess>();
  #powered: Powered | null = null;
  #hasRecords = false;

  /** `seed`: what a power cut loses. */
  constructor(host: Host, mib: number, seed: number) {
    this.#host = host;
    this.#mib = mib;
    this.#seed = seed;
    mkdirSync(join(this.#dir, 'fuse'));
  }

  get #file(): string {
    return join(this.#dir, 'fuse', 'nbd');
  }

  /** Idempotent. The host has to be on. */
  async mount(): Promise<void> {
    if (this.#powered !== null) return;
    const fresh = !existsSync(join(this.#dir, 'image'));
    this.#powered = await this.#powerOn();
    const { device } = this.#powered;
    if (fresh) await run('mkfs.ext4', ['-q', '-E', 'nodiscard,lazy_itable_init=0', device]);
    await this.#must(['mount', device, '/srv']); // D1
    // From now on it goes when nobody uses it any more.
    await run('losetup', ['--detach', device]);
    if (this.#hasRecords) await this.mountRecords();
  }

  /** What the mirrors of this host remember, once there is a member on it. */
  async mountRecords(): Promise<void> {
    const folder = join(this.#host.dir, 'mirror');
    const made = `mkdir -p /srv/records ${folder} && sync /srv`;
    await this.#must(['sh', '-ec', `${made} && mount --bind /srv/records ${folder}`]);
    this.#hasRecords = true;
  }

  /**
   * At a moment at which the cache holds something, if there is one soon. `stop`: whoever could tell others that the disk fails
   * is stopped, at once. The host has no power afterwards.
   */
  async cut(stop: () => void): Promise<Fates> {
    const powered = this.#powered;
    if (powered === null) throw new Error(`${this.#host.name} has no disk that is on`);
    powered.server.stdin?.write('hold\n');
    const endMs = performance.now() + soonMs;
    const held = (): boolean => powered.said.includes('held') || performance.now() > endMs;
    await until('there is something to lose', limitMs, held);
    stop();
    powered.server.stdin?.write('cut\n');
    await until('the disk has no power', limitMs, () => powered.said.includes('off'));
    await this.#host.powerOff();
    await this.#release(powered);
    return JSON.parse(powered.said.at(-1) ?? '') as Fates;
  }

  /** The host is gone. */
  async close(): Promise<void> {
    try {
      if (this.#powered !== null) await this.#release(this.#powered);
    } finally {
      for (const child of this.#children) child.kill('SIGKILL');
      rmSync(this.#dir, { recursive: true, force: true });
    }
  }

  async #powerOn(): Promise<Powered> {
    const socket = join(this.#dir, 'socket');
    rmSync(socket, { force: true });
    const serves = [program, socket, join(this.#dir, 'image'), String(this.#mib), String(this.#seed)];
    this.#seed += 1;
    const server = spawn(process.execPath, serves, { stdio: ['pipe', 'pipe', 'inherit'] });
    this.#children.add(server);
    const said: string[] = [];
    createInterface({ input: server.stdout }).on('line', (line) => said.push(line));
    await until('the disk has power', limitMs, () => said.includes('ready'));
    // D2.
    const shows = ['--pdeathsig', 'KILL', 'nbdfuse', this.#file, `nbd+unix:///?socket=${socket}`];
    const fuse = spawn('setpriv', shows, { stdio: 'ignore' });
    this.#children.add(fuse);
    await until('the disk is there', limitMs, () => sizeOf(this.#file) > 0);
    const { stdout } = await run('losetup', ['--find', '--show', this.#file]);
    return { server, fuse, said, device: stdout.trim() };
  }

  async #release({ server, fuse, device }: Powered): Promise<void> {
    this.#powered = null;
    const told = `/sys/block/${device.slice('/dev/'.length)}/loop/backing_file`;
    await until(
      `${device} is free`,
      limitMs,
      () => !existsSync(told) || !readFileSync(told, 'utf8').startsWith(this.#file),
    );
    await run('umount', ['--lazy', join(this.#dir, 'fuse')]);
    const gone = Promise.all([server, fuse].map((child) => ended(child)));
    server.stdin?.end();
    fuse.kill('SIGKILL');
    await gone;
    this.#children.clear();
  }

  async #must(argv: readonly string[]): Promise<void> {
    const { status, stderr } = await this.#host.exec(argv);
    if (status !== 0) throw new Error(`on ${this.#host.name}: ${argv.join(' ')}: ${stderr}`);
  }
}

function sizeOf(file: string): number {
  try {
    return statSync(file).size;
  } catch {
    // Not there yet.
    return 0;
  }
}

function ended(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return Promise.resolve();
  return new Promise((resolve) => child.once('exit', () => resolve()));
}
