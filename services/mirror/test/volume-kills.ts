/**
 * One random life of a volume whose mirror processes are killed: what the survivor holds has to be what the first k writes
 * made, with all that were answered in sync mode, and in async mode with all that had arrived.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Chance } from './random-files.ts';
import { Checker } from './volume-checker.ts';
import type { VolumeClient } from './volume-client.ts';
import { volumeBytes } from './volume-hosts.ts';
import { VolumeMember } from './volume-members.ts';

const sectorBytes = 512;
const stepsMax = 5;
const writesMax = 60;
const answersMs = 20_000;

/** Null: it went well. Otherwise what was wrong, and what had been done. */
export async function volumeKills(seed: number): Promise<string | null> {
  const folder = mkdtempSync(join(tmpdir(), 'holdfast-kills-'));
  const life = await Life.begin(seed, folder);
  try {
    await life.run();
    return null;
  } catch (error) {
    const says = error instanceof Error ? (error.stack ?? error.message) : String(error);
    return [`seed ${seed}: ${says}`, ...life.done.map((line) => `  ${line}`)].join('\n');
  } finally {
    await life.end();
    rmSync(folder, { recursive: true, force: true });
  }
}

class Life {
  readonly done: string[] = [];
  readonly #chance: Chance;
  readonly #sync: boolean;
  readonly #checker = new Checker(volumeBytes);
  #owner: VolumeMember;
  #other: VolumeMember;
  #client: VolumeClient | null = null;
  #epoch = 1n;
  /** Numbers of writes that were answered by this process of the owner, beyond `#answered`. */
  #ahead = new Set<number>();
  /** This write and all before it were answered; those that were lost in a takeover count. */
  #answered = 0;
  /** What the owner held when it was judged last, and the number that came next. */
  #held = { last: 0, next: 1 };
  /** At the target for certain. */
  #arrived = 0;
  #refused = '';
  #answers: Promise<void>[] = [];

  private constructor(seed: number, sync: boolean, members: readonly [VolumeMember, VolumeMember]) {
    this.#chance = new Chance(seed);
    this.#sync = sync;
    [this.#owner, this.#other] = members;
    this.done.push(sync ? 'sync' : 'async');
  }

  static async begin(seed: number, folder: string): Promise<Life> {
    const mode = seed % 2 === 0 ? 'sync' : 'async';
    return new Life(seed, mode === 'sync', await VolumeMember.pair({ folder, mode }));
  }

  async run(): Promise<void> {
    this.#owner.start();
    this.#other.start();
    this.#owner.beSource(this.#epoch, this.#other);
    this.#other.beTarget(this.#epoch, this.#owner);
    this.#client = await this.#owner.client();
    const steps = 2 + this.#chance.below(stepsMax);
    for (let step = 0; step < steps; step += 1) {
      if (this.#chance.below(2) === 0) await this.#inStep();
      await this.#burst();
      await this.#kill();
    }
    await this.#settle();
  }

  async end(): Promise<void> {
    this.#client?.close();
    await this.#owner.kill();
    await this.#other.kill();
  }

  async #kill(): Promise<void> {
    switch (this.#chance.below(4)) {
      case 0:
        return this.#killOwner();
      case 1:
        return this.#killTarget();
      default:
        return this.#takeOver();
    }
  }

  /** Many at once. Some of the time they are still under way when something is killed. */
  async #burst(): Promise<void> {
    const client = this.#client;
    if (client === null) throw new Error('there is no client');
    const count = 1 + this.#chance.below(writesMax);
    this.done.push(`${count} writes`);
    const answers: Promise<void>[] = [];
    for (let i = 0; i < count; i += 1) {
      const sectors = 1 + this.#chance.below(this.#chance.below(4) === 0 ? 200 : 12);
      const at = this.#chance.below(volumeBytes / sectorBytes - sectors);
      const durable = this.#chance.below(8) === 0;
      const contents = this.#checker.write(at * sectorBytes, sectors * sectorBytes);
      const number = this.#checker.last;
      answers.push(
        client.write(at * sectorBytes, contents, durable).then((came) => {
          if (client === this.#client) this.#hear(number, came);
        }),
      );
      if (this.#chance.below(6) === 0) await pause(this.#chance.below(5));
    }
    this.#answers.push(...answers);
    // In sync mode they wait for a target that is away.
    const waited = this.#answers.slice(0, this.#chance.below(this.#answers.length + 1));
    await Promise.race([Promise.all(waited), pause(1_000)]);
  }

  #hear(number: number, came: number | null): void {
    if (came === null) return;
    if (came !== 0) this.#refused ||= `write ${number} came to ${came}`;
    this.#ahead.add(number);
    while (this.#ahead.delete(this.#answered + 1)) this.#answered += 1;
  }

  async #inStep(): Promise<void> {
    const { name } = this.#other;
    this.done.push('in step');
    await this.#owner.until('both are in step', () => {
      const { report } = this.#owner;
      const row =
        report?.kind === 'source' ? report.targets.find(({ target }) => target === name) : undefined;
      return row?.state === 'replicating' && row.behindBytes === 0;
    });
    await this.#other.until('the target says so', () => this.#targetInStep());
    this.#arrived = this.#durable;
  }

  /** The last write that was answered and is not lost. */
  get #durable(): number {
    return this.#answered < this.#held.next ? this.#held.last : this.#answered;
  }

  #targetInStep(): boolean {
    const { report } = this.#other;
    return report?.kind === 'target' && report.state === 'replicating';
  }

  async #killOwner(): Promise<void> {
    this.done.push(`owner killed, ${this.#durable} answered`);
    await this.#owner.kill();
    this.#judge(this.#owner, this.#durable, { killed: true });
    this.#owner.start();
    this.#client = await this.#owner.client();
  }

  async #killTarget(): Promise<void> {
    this.done.push('target killed');
    await this.#other.kill();
    await pause(this.#chance.below(100));
    this.#other.start();
  }

  /** What it was in step with was answered; while it is not, it may be at a moment long ago. */
  async #takeOver(): Promise<void> {
    const inStep = this.#targetInStep();
    const atLeast = !inStep ? 0 : this.#sync ? this.#durable : this.#arrived;
    await this.#owner.kill();
    const opened = await this.#other.takeOver(this.#epoch + 1n);
    if (opened.kind !== 'done') {
      this.done.push(`no takeover: ${JSON.stringify(opened)}`);
      this.#other.beTarget(this.#epoch, this.#owner);
      this.#judge(this.#owner, this.#durable, { killed: true });
      this.#owner.start();
      this.#client = await this.#owner.client();
      return;
    }
    this.#epoch += 1n;
    this.done.push(`takeover ${this.#epoch}, ${inStep ? 'in step' : 'behind'}, at least ${atLeast}`);
    [this.#owner, this.#other] = [this.#other, this.#owner];
    this.#judge(this.#owner, atLeast, { behind: !inStep });
    this.#owner.beSource(this.#epoch, this.#other);
    this.#client = await this.#owner.client();
    this.#other.beTarget(this.#epoch, this.#owner);
    this.#other.start();
  }

  /** From here on, what it holds is what was written. */
  #judge(host: VolumeMember, atLeast: number, how: { behind?: boolean; killed?: boolean }): void {
    if (this.#refused !== '') throw new Error(this.#refused);
    const wrong = this.#checker.prefix(host.contents(), atLeast, how);
    if (wrong !== null) throw new Error(host.story(wrong));
    this.#client?.close();
    this.#client = null;
    this.#answers = [];
    this.#ahead.clear();
    this.#held = { last: this.#checker.last, next: this.#checker.next };
    this.#answered = this.#held.next - 1;
    this.#arrived = 0;
  }

  async #settle(): Promise<void> {
    this.done.push('settle');
    await this.#inStep();
    const answered = await Promise.race([Promise.all(this.#answers), pause(answersMs).then(() => null)]);
    if (answered === null) throw new Error(this.#owner.story('writes are not answered'));
    await this.#inStep();
    await this.#owner.until('both are equal', () => this.#owner.contents().equals(this.#other.contents()));
    this.#judge(this.#owner, this.#checker.last, {});
  }
}

/** It keeps nobody waiting at the end. */
const pause = (ms: number): Promise<void> =>
  new Promise((next) => {
    setTimeout(next, ms).unref();
  });
