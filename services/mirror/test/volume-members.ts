/** Members with a copy of one volume each, whose mirror processes are real ones and can be killed. */
import { spawn, type ChildProcess } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import type { MirrorOrder, MirrorRole, VolumeDataset } from '@holdfast/core';
import { createMemberDirectory, defaultPorts } from '@holdfast/wire/directory';
import { MirrorLink, type MirrorAnswer, type MirrorSocketReport } from '@holdfast/wire/mirror';
import { createAuthority } from '@holdfast/wire/pki';
import { credentials } from './transport-cluster.ts';
import { volumeBytes } from './volume-hosts.ts';
import { VolumeClient } from './volume-client.ts';

const program = join(import.meta.dirname, '../../cli/dist/bundle/mirror.js');
const mirror = 'd3/disk';
const limitMs = 60_000;
const lookMs = 10;
const openMs = 30_000;

/** Of all members of one story. */
export interface MemberTerms {
  readonly folder: string;
  readonly mode: 'async' | 'sync';
  readonly sizeBytes?: number;
}

export class VolumeMember {
  readonly name: string;
  readonly image: string;
  readonly #dir: string;
  readonly #port: number;
  readonly #dataset: VolumeDataset;
  #child: ChildProcess | null = null;
  #link: MirrorLink | null = null;
  #role: MirrorRole = { kind: 'idle', epoch: 0n, says: '' };
  /** Of this process. */
  #report: MirrorSocketReport | null = null;
  #said = '';

  private constructor(name: string, terms: MemberTerms, port: number) {
    this.name = name;
    this.#dir = join(terms.folder, name);
    this.image = join(terms.folder, `${name}.image`);
    this.#port = port;
    this.#dataset = {
      ...{ kind: 'volume', path: this.image, sizeBytes: terms.sizeBytes ?? volumeBytes, mode: terms.mode },
      ...{ onTargetLoss: 'block', targetLossMs: 0, granularityBytes: 16_384 },
    };
  }

  static async pair(terms: MemberTerms): Promise<readonly [VolumeMember, VolumeMember]> {
    const authority = await createAuthority('acme');
    const make = async (name: string): Promise<VolumeMember> => {
      const member = new VolumeMember(name, terms, await freePort());
      const { certificate, key } = await credentials({ name: 'acme', authority }, name);
      const created = await createMemberDirectory(member.#dir, {
        record: {
          ...{ format: 1, cluster: 'acme', id: name, role: 'server', addresses: ['127.0.0.1'] },
          ports: { ...defaultPorts, mirror: member.#port },
          ...{ members: [], externalEtcd: null },
        },
        ...{ authority: authority.certificate, authorityKey: authority.key, certificate, key },
        heartbeatKey: randomBytes(32),
      });
      if (created.kind === 'error') throw new Error(JSON.stringify(created.error));
      return member;
    };
    return [await make('anna'), await make('bert')];
  }

  get socketPath(): string {
    return join(this.#dir, 'run', 'nbd-d3.disk.sock');
  }

  contents(): Buffer {
    return readFileSync(this.image);
  }

  get report(): MirrorSocketReport | null {
    return this.#report;
  }

  start(): void {
    this.#said = '';
    const child = spawn(process.execPath, ['--no-warnings', program, '--dir', this.#dir], {
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    for (const stream of [child.stdout, child.stderr])
      stream.on('data', (chunk: Buffer) => (this.#said += chunk.toString()));
    this.#child = child;
    this.#link = new MirrorLink(join(this.#dir, 'run', 'mirror.sock'), {
      report: ([report]) => (this.#report = report ?? null),
      connected: () => undefined,
      garbled: () => undefined,
    });
    this.#order();
  }

  /** SIGKILL. What it was told to be is said again to the next one. */
  async kill(): Promise<void> {
    this.#link?.close();
    this.#report = null;
    const child = this.#child;
    this.#child = null;
    if (child === null || child.exitCode !== null) return;
    const gone = new Promise((resolve) => child.once('exit', resolve));
    child.kill('SIGKILL');
    await gone;
  }

  beSource(epoch: bigint, target: VolumeMember): void {
    const line = { addresses: ['127.0.0.1'], port: target.#port, paused: null };
    const terms = { throttle: null, compress: 'auto', encrypt: 'always' } as const;
    const targets = [{ member: target.name, ...line, ...terms }];
    this.#role = { kind: 'source', epoch, grantUntil: null, targets };
    this.#order();
  }

  /** `forced`: the last epoch at which the group was given by force. */
  beTarget(epoch: bigint, source: VolumeMember, forced?: bigint): void {
    this.#role = { kind: 'target', epoch, sources: [source.name], forced };
    this.#order();
  }

  /** As the agent of whoever takes over. */
  async takeOver(epoch: bigint): Promise<MirrorAnswer> {
    this.#role = { kind: 'idle', epoch, says: 'it is not open yet' };
    this.#order();
    if (this.#link === null) throw new Error(`${this.name} does not run`);
    return this.#link.open(mirror, epoch, false, openMs);
  }

  /** What a person asks of it, of `target` or of itself. */
  async resync(target = ''): Promise<MirrorAnswer> {
    if (this.#link === null) throw new Error(`${this.name} does not run`);
    const run = { kind: 'resync', mirror, target, repair: false, path: '', to: '' } as const;
    return this.#link.run(run, openMs, () => undefined);
  }

  /** To its export, once there is one. */
  async client(): Promise<VolumeClient> {
    for (const endMs = performance.now() + limitMs; performance.now() < endMs;) {
      const client = await VolumeClient.open(this.socketPath, 'disk');
      if (client !== null) return client;
      this.#mustRun();
      await pause();
    }
    throw new Error(this.story('it exports nothing'));
  }

  async until(what: string, isSo: () => boolean): Promise<void> {
    const endMs = performance.now() + limitMs;
    while (!isSo()) {
      if (performance.now() > endMs) throw new Error(this.story(`waited in vain until ${what}`));
      this.#mustRun();
      await pause();
    }
  }

  story(says: string): string {
    const report = JSON.stringify(this.#report, (_key, value: unknown) =>
      typeof value === 'bigint' ? value.toString() : value,
    );
    return `${this.name}: ${says}\n${report}\n${this.#said.slice(-2_000)}`;
  }

  #mustRun(): void {
    const status = this.#child?.exitCode ?? null;
    if (status !== null) throw new Error(this.story(`it ended by itself, with status ${status}`));
  }

  #order(): void {
    const order: MirrorOrder = { mirror, dataset: this.#dataset, keepMaxBytes: null, role: this.#role };
    this.#link?.order([order]);
  }
}

const pause = (): Promise<void> => new Promise((next) => setTimeout(next, lookMs));

/** Of this moment. */
function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once('error', reject);
    server.listen(0, '127.0.0.1', () => {
      const address = server.address();
      server.close(() => {
        if (address === null || typeof address === 'string') reject(new Error('no port'));
        else resolve(address.port);
      });
    });
  });
}
