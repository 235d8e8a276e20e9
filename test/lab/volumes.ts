/** A group's volume and its copies, as a story looks at them: through the export, and past everything of ours. */
import type { ChildProcess } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { argv } from './config.ts';
import { sh } from './mirrored.ts';
import { until } from './until.ts';
import type { Status, World } from './world.ts';

export const disk = 'd3/disk';
export const volumeMiB = 32;
const image = '/srv/disk.img';
const blockBytes = 4_096;
const qemuMsMax = 180_000;
const writer = join(import.meta.dirname, 'programs/volume-writer.js');

/** Lines of a group. */
export const volumeLines = (more: string, mib = volumeMiB): string => `    mirrors:
      disk: { volume: { path: ${image}, size: ${String(mib)}MiB${more} } }
`;

export function inStep(world: World, target: string, limitMs: number): Promise<Status> {
  return world.until('w', `the volume of ${target} in step`, limitMs, (status) => {
    const copy = status.groups['d3']?.mirrors['disk']?.targets[target];
    return copy?.state === 'replicating' && copy.consistent && copy.behindBytes === 0;
  });
}

/**
 * One write after the other by qemu, which connects again by itself when it is told to. `end` answers what it said; it rejects when
 * one failed.
 */
export function qemuWrites(
  world: World,
  host: string,
  socket: string,
): { readonly end: () => Promise<string> } {
  const stop = '/srv/qemu-stop';
  const options = `driver=nbd,server.type=unix,server.path=${socket},export=disk,reconnect-delay=60`;
  const script = `rm -f ${stop}; while [ ! -e ${stop} ]; do echo 'write -f -P 7 24M 4k'; sleep 0.02; done |
    qemu-io --image-opts ${options}`;
  const ran = world.lab.host(host).exec(['sh', '-ec', script], { timeoutMs: qemuMsMax });
  const said = ran.then(({ status, stdout, stderr }) => {
    if (status !== 0)
      throw new Error(`qemu-io on ${host}: status ${String(status)}: ${stderr} ${stdout.slice(-500)}`);
    return stdout;
  });
  said.catch(() => undefined); // Whoever ends it hears so.
  return {
    end: async () => {
      await sh(world, host, `touch ${stop}`);
      return said;
    },
  };
}

/** A file system on the volume: made the first time, then mounted at /srv/db. */
export function fileSystem(points: string): string {
  const device = `${points}/../hosts/$HOLDFAST_SERVER/holdfast/volumes/${disk}`;
  const make = argv(['sh', '-ec', `blkid -p ${device} || mkfs.ext4 -q ${device}`]);
  return `      - name: format
        command: { start: ${make}, stop: ["true"] }
      - name: db
        mount: { mirror: disk, at: /srv/db, type: ext4 }
        monitor: { every: 2s, timeout: 5s, restarts: 1 }
        startTimeout: 20s
        stopTimeout: 3s
`;
}

/** Of the whole volume as a host has it. */
export async function imageDigest(world: World, host: string): Promise<string> {
  const { stdout } = await world.lab.host(host).exec(['sha256sum', image]);
  return stdout.slice(0, 64);
}

/** The whole volume as it lies on a host. */
export const imageOf = (world: World, host: string): Buffer =>
  readFileSync(join(world.lab.dir, 'hosts', host, 'disk', image));

/** Where the owner exports it; waits until it does. */
export async function exportAt(world: World, from: string): Promise<{ uri: string; socket: string }> {
  const uri = await until('the volume is exported', 20_000, async () => {
    const [found] = await world.json<{ export?: string }[]>(from, 'get', 'mirrors');
    return found?.export;
  });
  return { uri, socket: decodeURIComponent(uri.slice(uri.indexOf('socket=') + 'socket='.length)) };
}

export interface Answer {
  readonly number: number;
  readonly at: number;
  readonly tookMs: number;
}

/** Writes numbered blocks on the owner, for as long as it can. */
export class Writer {
  readonly blocks = 512;
  readonly answers: Answer[] = [];
  /** An error of NBD that ended it. */
  error: number | null = null;
  readonly #child: ChildProcess;

  constructor(world: World, host: string, socket: string) {
    const argv = [process.execPath, writer, socket, 'disk', String(this.blocks)];
    this.#child = world.lab.host(host).spawn(argv, { stdio: ['ignore', 'pipe', 'inherit'] });
    if (this.#child.stdout === null) throw new Error('the writer has no output');
    createInterface({ input: this.#child.stdout }).on('line', (line) => {
      const told = JSON.parse(line) as Answer | { readonly error: number };
      if ('error' in told) this.error = told.error;
      else this.answers.push(told);
    });
  }

  get last(): number {
    return this.answers.at(-1)?.number ?? -1;
  }

  get longestMs(): number {
    return this.answers.reduce((longest, { tookMs }) => Math.max(longest, tookMs), 0);
  }

  async wrote(count: number, limitMs: number): Promise<void> {
    const wanted = this.last + count;
    const seen = (): string => `${String(this.last)} of ${String(wanted)}, error ${String(this.error)}`;
    await until('enough is written', limitMs, () => this.last >= wanted, seen);
  }

  stop(): void {
    this.#child.kill('SIGKILL');
  }

  /** How long the writes took that were answered and that a copy does not have. */
  lostMs(copy: Buffer): number {
    const there = Array.from({ length: this.blocks }, (_, block) =>
      Number(copy.readBigUInt64BE(block * blockBytes)),
    );
    const newest = Math.max(...there);
    const lost = this.answers.filter(({ number }) => number > newest).map(({ at }) => at);
    return lost.length === 0 ? 0 : Math.max(...lost) - Math.min(...lost);
  }

  /** What a copy lacks of the writes that were answered; the write after the last answer may be there. */
  missing(copy: Buffer): readonly string[] {
    const lacks: string[] = [];
    for (let block = 0; block < this.blocks && block <= this.last; block += 1) {
      const newest = this.last - ((this.last - block) % this.blocks);
      const there = Number(copy.readBigUInt64BE(block * blockBytes));
      const whole = copy.subarray(block * blockBytes + 8, (block + 1) * blockBytes);
      if (there !== newest && there !== newest + this.blocks)
        lacks.push(`block ${String(block)} is at ${String(there)}, and ${String(newest)} was answered`);
      else if (!whole.every((byte) => byte === there % 251)) lacks.push(`block ${String(block)} is torn`);
    }
    return lacks;
  }
}
