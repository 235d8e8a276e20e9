/**
 * One random life of a volume with two copies: writes and flushes, while lines are cut, processes are killed, hosts lose their
 * power, and the other one takes over. After each takeover the survivor has to be in a state that the owner was in: in sync
 * mode no flushed write may be missing, in async mode none that was reported as arrived.
 */
import { outcome } from '../src/volumes/nbd/protocol.ts';
import { Chance } from './random-files.ts';
import { Checker } from './volume-checker.ts';
import { inStep, submit, until, VolumeHost, volumeBytes, writeOf } from './volume-hosts.ts';

const sectorBytes = 512;
const stepsMax = 14;

/** Null: it went well. Otherwise what was wrong, and what had been done. */
export async function volumeSequence(seed: number): Promise<string | null> {
  const life = new Life(seed);
  try {
    await life.run();
    return null;
  } catch (error) {
    const says = error instanceof Error ? (error.stack ?? error.message) : String(error);
    return [`seed ${seed}: ${says}`, ...life.done.map((line) => `  ${line}`)].join('\n');
  } finally {
    await life.end();
  }
}

class Life {
  readonly done: string[] = [];
  readonly #chance: Chance;
  readonly #sync: boolean;
  readonly #narrow: boolean;
  readonly #checker = new Checker(volumeBytes);
  #owner: VolumeHost;
  #other: VolumeHost;
  #epoch = 1n;
  /** Answered as durable, by the owner. */
  #flushed = 0;
  /** Durable at the target for certain. */
  #arrived = 0;
  /** The target lost its power since it was last in step: its contents are no moment, as those of a disk are not. */
  #scarred = false;
  /** Of writes in this life of the owner. */
  #answers: Promise<unknown>[] = [];

  constructor(seed: number) {
    this.#chance = new Chance(seed);
    this.#sync = this.#chance.below(2) === 0;
    // Blocked writes would wait for a person where nobody comes back.
    const mode = this.#sync ? 'sync' : 'async';
    // What leaves at once lies in many frames then, and a cut falls between them.
    this.#narrow = seed % 3 === 0;
    const narrow = this.#narrow ? { dataBytes: 4_096 } : {};
    const snapshots = seed % 2 === 0;
    const terms = { mode, onTargetLoss: 'block', snapshots, ...narrow } as const;
    this.#owner = new VolumeHost('anna', terms);
    this.#other = new VolumeHost('bert', terms);
    this.done.push(`${mode}${this.#narrow ? ', narrow lines' : ''}${snapshots ? ', snapshots' : ''}`);
  }

  async run(): Promise<void> {
    await this.#other.openTarget();
    await this.#owner.openSource(this.#epoch, [this.#other]);
    if (this.#chance.below(2) === 0) await inStep(this.#owner, this.#other);
    const steps = 4 + this.#chance.below(stepsMax);
    for (let step = 0; step < steps; step += 1) await this.#step();
    await this.#settle();
  }

  async end(): Promise<void> {
    await this.#owner.close();
    await this.#other.close();
  }

  async #step(): Promise<void> {
    switch (this.#chance.below(10)) {
      case 0:
      case 1:
      case 2:
      case 3:
        return this.#burst();
      case 4:
        return this.#cut();
      case 5:
        return this.#restartOwner();
      case 6:
        return this.#restartTarget();
      case 7:
      case 8:
        return this.#takeOver();
      default:
        this.done.push('in step');
        await this.#everythingArrived();
        this.#seeStep();
        this.#arrived = this.#checker.last;
    }
  }

  /** A write that is not answered waits for its extent to be hot, and is not on its way yet. */
  async #everythingArrived(): Promise<void> {
    await inStep(this.#owner, this.#other);
    const answered = await within(20_000, Promise.all(this.#answers));
    if (answered === 'late') throw new Error('writes are not answered, though both are in step');
    await inStep(this.#owner, this.#other);
  }

  /** Whether the target is in step by its own account. */
  #seeStep(): boolean {
    const inStep = this.#other.target?.state().phase === 'replicating';
    if (inStep) this.#scarred = false;
    return inStep;
  }

  get #random(): (below: number) => number {
    return (below) => this.#chance.below(below);
  }

  /** Writes and flushes, many at once; not waited for in sync mode while the target is away, for they wait for it. */
  async #burst(): Promise<void> {
    const { source } = this.#owner;
    if (source === null) return;
    const count = 1 + this.#chance.below(30);
    this.done.push(`${count} writes`);
    const answers: Promise<unknown>[] = [];
    for (let i = 0; i < count; i += 1) {
      const sectors = 1 + this.#chance.below(this.#chance.below(4) === 0 ? 200 : 12);
      const at = this.#chance.below(volumeBytes / sectorBytes - sectors);
      const durable = this.#chance.below(5) === 0;
      const contents = this.#checker.write(at * sectorBytes, sectors * sectorBytes);
      answers.push(
        submit(source, writeOf(at * sectorBytes, contents, durable)).then((came) => {
          if (came !== outcome.done && came !== outcome.shutdown) throw new Error(`a write came to ${came}`);
        }),
      );
      if (this.#chance.below(4) === 0) await new Promise((next) => setImmediate(next));
    }
    this.#answers.push(...answers);
    if (this.#chance.below(2) === 0) return;
    const before = this.#checker.last;
    // A flush covers what was answered before it.
    const flush = Promise.all(this.#answers).then(() => submit(source, { kind: 'flush' }));
    const came = await within(300, flush);
    if (came !== outcome.done) return;
    this.#flushed = before;
    this.done.push(`flushed ${before}`);
  }

  async #cut(): Promise<void> {
    this.done.push('cut');
    this.#other.cut();
    await this.#pause();
    if (this.#chance.below(3) > 0) await this.#burst();
    this.#other.mend();
  }

  /** At the same epoch, after a crash. What it had not flushed may be gone with the power. */
  async #restartOwner(): Promise<void> {
    const power = this.#chance.below(2) === 0;
    this.done.push(power ? 'power cut of the owner' : 'owner killed');
    this.#answers = [];
    await this.#owner.kill(power ? this.#random : null);
    this.#judge(this.#owner, power, this.#flushed);
    await this.#owner.openSource(this.#epoch, [this.#other]);
    await this.#pause();
  }

  async #restartTarget(): Promise<void> {
    const power = this.#chance.below(2) === 0;
    this.done.push(power ? 'power cut of the target' : 'target killed');
    this.#seeStep();
    await this.#other.kill(power ? this.#random : null);
    if (power) {
      this.#scarred = true;
      this.#arrived = 0;
    }
    await this.#pause();
    await this.#other.openTarget();
    await this.#pause();
  }

  async #takeOver(): Promise<void> {
    const { target } = this.#other;
    const wasInStep = this.#seeStep();
    const power = this.#chance.below(2) === 0;
    this.#answers = [];
    await this.#owner.kill(power ? this.#random : null);
    if (target?.state().consistent !== true) {
      this.done.push('no takeover: it is not complete');
      this.#judge(this.#owner, power, this.#flushed);
      await this.#owner.openSource(this.#epoch, [this.#other]);
      return;
    }
    this.#epoch += 1n;
    this.done.push(`takeover ${this.#epoch}, ${wasInStep ? 'in step' : 'behind'}`);
    const atLeast = this.#sync && wasInStep ? this.#flushed : wasInStep ? this.#arrived : 0;
    [this.#owner, this.#other] = [this.#other, this.#owner];
    await this.#owner.takeOver(this.#epoch, [this.#other]);
    this.#judge(this.#owner, this.#scarred, atLeast, !wasInStep);
    this.#scarred = power;
    if (this.#chance.below(2) === 0) await this.#burst();
    await this.#other.openTarget();
    await this.#pause();
  }

  /**
   * A copy that lost power holds what was flushed, and any part of the rest. Another one is a prefix; of a write that takes
   * several frames a part may have come.
   */
  #judge(host: VolumeHost, power: boolean, atLeast: number, behind = false): void {
    const contents = host.contents();
    const wrong = power
      ? this.#checker.flushed(contents, atLeast, behind)
      : this.#checker.prefix(contents, atLeast, { behind, killed: this.#narrow });
    if (wrong !== null) throw new Error(`${host.name}: ${wrong}`);
    this.#flushed = Math.min(this.#flushed, this.#checker.last);
    this.#arrived = 0;
  }

  async #settle(): Promise<void> {
    this.done.push('settle');
    await this.#everythingArrived();
    const equal = (): boolean => this.#owner.contents().equals(this.#other.contents());
    await until('both are equal', equal).catch((error: unknown) => {
      throw new Error(`${String(error)}; ${this.#differences()}`);
    });
    const wrong = this.#checker.prefix(this.#owner.contents(), this.#checker.last);
    if (wrong !== null) throw new Error(`the owner: ${wrong}`);
  }

  /** Where the copies differ, and what both say of each other. */
  #differences(): string {
    const [owned, copied] = [this.#owner.contents(), this.#other.contents()];
    const sectors = Array.from({ length: volumeBytes / sectorBytes }, (_, sector) => sector * sectorBytes)
      .filter((at) => owned.compare(copied, at, at + sectorBytes, at, at + sectorBytes) !== 0)
      .map((at) => `${at / sectorBytes}: ${owned.readUInt32BE(at)}, copied ${copied.readUInt32BE(at)}`);
    const states = JSON.stringify(
      [this.#owner.source?.rows(), this.#other.target?.state()],
      (_, value: unknown) => (typeof value === 'bigint' ? String(value) : value),
    );
    return `${sectors.length} sectors differ (${sectors.slice(0, 8).join('; ')}); ${states}`;
  }

  #pause(): Promise<void> {
    const ms = this.#chance.below(30);
    return new Promise((next) => setTimeout(next, ms));
  }
}

async function within<T>(ms: number, what: Promise<T>): Promise<T | 'late'> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<'late'>((resolve) => {
    timer = setTimeout(() => resolve('late'), ms);
  });
  // A timer that is left would keep a whole life.
  return Promise.race([what, late]).finally(() => clearTimeout(timer));
}
