/** Members with a copy of one volume each, in memory, and lines between them that can be cut. */
import type { SourceTarget } from '../src/files/source/types.ts';
import type { Dialed } from '../src/transport/types.ts';
import { KeptBlocks } from '../src/volumes/divergence/kept-blocks.ts';
import { ExportedVolume } from '../src/volumes/export/exported-volume.ts';
import { wakeIntake } from '../src/volumes/export/intake.ts';
import { VolumeGround } from '../src/volumes/ground.ts';
import { VolumeSource, type VolumeSourceOptions } from '../src/volumes/source/volume-source.ts';
import { settleWayBack } from '../src/volumes/target/found-way-back.ts';
import { VolumeTarget } from '../src/volumes/target/volume-target.ts';
import type { Snapshots, Store } from '../src/volumes/store/store.ts';
import type { VolumeRequest } from '../src/volumes/volume.ts';
import { connectionPair, type ConnectionPair } from './connection-pair.ts';
import { PowerCutDisk } from './power-cut-disk.ts';

export const volumeBytes = 1_048_576;
export const chunkBytes = 16_384;
const limitMs = 20_000;
export const grantMs = 1_000;
const renewMs = 50;
/** In which a disk that failed is opened anew. */
const reopenMs = 5;
/** Little enough that extents cool all the time. */
export const heat = { extentBytes: 65_536, hotMax: 6, coolAtOnce: 2, idleMs: 40 };

export interface HostTerms {
  readonly mode?: 'async' | 'sync';
  readonly onTargetLoss?: 'continue' | 'block';
  readonly targetLossMs?: number;
  readonly keepMaxBytes?: number;
  readonly undoBytesMax?: number;
  /** Its file system has them. */
  readonly snapshots?: boolean;
  /** Of contents in one frame, as on a line that carries little; absent: what the line says. */
  readonly dataBytes?: number;
}

export class VolumeHost {
  readonly name: string;
  readonly disk = new PowerCutDisk();
  readonly says: string[] = [];
  readonly terms: HostTerms;
  /** Of the volume; read when it is opened. */
  sizeBytes = volumeBytes;
  /** As a target: what its orders say. */
  ordered: { readonly epoch: bigint; readonly forced?: bigint } = { epoch: 1_000n };
  /** What its grant goes by. */
  nowMs = 0;
  source: VolumeSource | null = null;
  target: VolumeTarget | null = null;
  /** False: its lines are cut, and none can be made. */
  reachable = true;
  readonly #lines = new Set<ConnectionPair>();
  /** Of the source, to each of its targets: the one that was made last. */
  readonly #made = new Map<string, ConnectionPair>();
  /** What a life that is over would still do does not happen. */
  #life = 1;
  /** Whether renewals are confirmed. */
  renewing = true;
  #renewals = 0;

  constructor(name: string, terms: HostTerms = {}) {
    this.name = name;
    this.terms = terms;
    this.disk.format('volume', volumeBytes);
  }

  async openSource(epoch: bigint, targets: readonly VolumeHost[]): Promise<VolumeSource> {
    const ground = await VolumeGround.open(
      this.disk,
      this.disk.open('volume'),
      this.sizeBytes,
      chunkBytes,
      heat,
    );
    await settleWayBack(ground, this.#snapshots);
    const store = this.disk.open('volume');
    let wake = (): void => undefined;
    const options = this.#options(epoch, targets);
    this.source = await VolumeSource.open(store, ground, { ...options, wakeExport: () => wake() });
    wake = this.#serve(this.source, store);
    this.#renewSometimes(this.source);
    return this.source;
  }

  #renewSometimes(source: VolumeSource): void {
    const timer = setInterval(() => {
      if (this.source !== source) clearInterval(timer);
      else if (this.renewing) this.renew();
    }, renewMs).unref();
  }

  /** As the thread of clients does it; here it is the same one. Answers what wakes it. */
  #serve({ shared }: VolumeSource, store: Store): () => void {
    const exported = new ExportedVolume({
      store,
      shared,
      mayAct: () => this.nowMs < shared.untilMs,
      wakeSource: () => wakeIntake(shared),
      refused: (sentence) => this.says.push(sentence),
    });
    if (this.source !== null) exports.set(this.source, exported);
    const look = (): void => {
      exported.awake();
      exported.look();
      if (!exported.sleeps()) setImmediate(look);
    };
    look();
    return () => setImmediate(look);
  }

  #options(epoch: bigint, targets: readonly VolumeHost[]): Omit<VolumeSourceOptions, 'wakeExport'> {
    const life = this.#life;
    const { mode = 'async', onTargetLoss = 'continue', targetLossMs = 0 } = this.terms;
    return {
      ...{ name: 'd3/disk', cluster: 'acme', self: this.name, epoch, mode, onTargetLoss, targetLossMs },
      ...{ grantUntilMs: grantMs, nowMs: () => this.nowMs },
      targets: targets.map((host) => this.way(host, life)),
      says: (sentence) => this.says.push(sentence),
    };
  }

  /** To a target, in a life of this host. */
  way(host: VolumeHost, life = this.#life): SourceTarget {
    return {
      member: host.name,
      paused: null,
      dial: () => Promise.resolve(this.#dial(host, life)),
    };
  }

  async openTarget(): Promise<VolumeTarget> {
    const ground = await VolumeGround.open(
      this.disk,
      this.disk.open('volume'),
      this.sizeBytes,
      chunkBytes,
      heat,
    );
    const lost = await settleWayBack(ground, this.#snapshots);
    if (lost !== '') this.says.push(lost);
    const { keepMaxBytes = 1 << 30, undoBytesMax = 1 << 30 } = this.terms;
    this.target = await VolumeTarget.open({
      ...{ name: 'd3/disk', cluster: 'acme', self: this.name, ground, undoBytesMax },
      store: this.disk.open('volume'),
      snapshots: this.#snapshots,
      ordered: () => this.ordered,
      reopenMs,
      kept: new KeptBlocks(this.disk, keepMaxBytes),
      nowMs: () => 1_700_000_000_000,
      says: (sentence) => this.says.push(sentence),
    });
    return this.target;
  }

  get #snapshots(): Snapshots | null {
    return this.terms.snapshots === true ? this.disk.snapshotsOf('volume') : null;
  }

  /** As its seat does: what says that it has to be opened anew is. Answers how often it was. */
  async keepOpen(until: () => boolean): Promise<number> {
    let times = 0;
    for (const endMs = performance.now() + limitMs; !until() && performance.now() < endMs;) {
      if (this.target !== null && this.target.lost !== '') {
        await this.target.close();
        await this.openTarget();
        times += 1;
      }
      await new Promise((next) => setTimeout(next, 2));
    }
    return times;
  }

  /** From target to source. */
  async takeOver(epoch: bigint, targets: readonly VolumeHost[]): Promise<VolumeSource> {
    await this.target?.promote();
    await this.target?.close();
    this.target = null;
    return this.openSource(epoch, targets);
  }

  cut(): void {
    this.reachable = false;
    for (const line of this.#lines) line.cut();
    this.#lines.clear();
  }

  /** A renewal is confirmed: its grant ends a little later. */
  renew(): void {
    this.#renewals += 1;
    this.source?.grant(grantMs + this.#renewals / 1e6);
  }

  /** What is sent to it is not looked at until what is answered is called. */
  stall(): () => void {
    for (const line of this.#lines) line.target.hold();
    return () => {
      for (const line of this.#lines) line.target.go();
    };
  }

  mend(): void {
    this.reachable = true;
  }

  /** What runs here is gone at once, and says nothing to anybody. */
  async kill(random: ((below: number) => number) | null): Promise<void> {
    if (random === null) this.disk.kill();
    else this.disk.powerCut(random);
    this.#life += 1;
    this.cut();
    const [source, target] = [this.source, this.target];
    this.source = null;
    this.target = null;
    // Their timers go; what they would still write is not written.
    const gone = Promise.all([source?.close(), target?.close()]);
    await Promise.race([gone, new Promise((next) => setTimeout(next, 50))]);
    this.mend();
  }

  async close(): Promise<void> {
    await this.source?.close();
    await this.target?.close();
    this.source = null;
    this.cut();
  }

  /** Contents of blocks that went to a target by the connection that was made last. */
  sentTo(target: VolumeHost): number {
    return this.#made.get(target.name)?.source.counters().sentContentBytes ?? 0;
  }

  contents(): Buffer {
    const bytes = Buffer.alloc(this.disk.open('volume').sizeBytes);
    this.disk.open('volume').read(bytes, 0);
    return bytes;
  }

  #dial(to: VolumeHost, life: number): Dialed {
    const { target } = to;
    if (target === null || !to.reachable || !this.reachable || this.#life !== life)
      return { kind: 'failed', failure: { kind: 'refused', says: `${to.name} does not answer` } };
    const line = connectionPair({ source: this.name, target: to.name, chunkBytes: 65_536 });
    const { dataBytes } = this.terms;
    if (dataBytes !== undefined) Object.defineProperty(line.source, 'dataBytes', { value: dataBytes });
    this.#lines.add(line);
    this.#made.set(to.name, line);
    to.#lines.add(line);
    line.target.onFrame((frame) => {
      if (frame.kind !== 'hello') return;
      line.target.hold();
      void target.accept(line.target, frame);
    });
    return { kind: 'connected', connection: line.source };
  }
}

const exports = new WeakMap<VolumeSource, ExportedVolume>();

/** What it came to, asked of its export. */
export function submit(source: VolumeSource, request: VolumeRequest): Promise<number> {
  return new Promise((resolve) => exportedBy(source).submit(request, resolve));
}

export function exportedBy(source: VolumeSource): ExportedVolume {
  const exported = exports.get(source);
  if (exported === undefined) throw new Error('a source without an export');
  return exported;
}

export const writeOf = (offset: number, contents: Buffer, durable = false): VolumeRequest => ({
  kind: 'write',
  offset,
  contents,
  durable,
});

export async function until(what: string, condition: () => boolean, ms = limitMs): Promise<void> {
  const endMs = performance.now() + ms;
  while (!condition()) {
    if (performance.now() > endMs) throw new Error(`waited in vain until ${what}`);
    await new Promise((next) => setTimeout(next, 2));
  }
}

export const isInStep = (host: VolumeHost, target: VolumeHost): boolean => {
  const row = host.source?.rows().find((one) => one.target === target.name);
  return row?.state === 'replicating' && row.consistent && row.behindBytes === 0;
};

export const inStep = (host: VolumeHost, target: VolumeHost): Promise<void> =>
  until(`${target.name} is in step with ${host.name}`, () => isInStep(host, target));
