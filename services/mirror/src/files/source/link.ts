/**
 * One connection to a target as a session uses it: frames that answer something, acknowledgements, numbers of batches, and
 * the end of it all.
 *
 * N1. What comes is judged: an answer to nothing, or more than was asked for, ends the connection.
 * N2. At most so many batches are under way as the caller allows; then it waits for acknowledgements.
 */

import type {
  Ack,
  Beat,
  Candidates,
  Commit,
  Connection,
  Frame,
  Hello,
  Refuse,
  Wants,
} from '../../transport/types.ts';
import { Outlet, SessionOver } from './outlet.ts';

type Answer = Hello | Candidates | Wants;

/** Far beyond anything that is compared with a deadline; a silent line ends much earlier. */
const answerMsMax = 3_600_000;
const helloMsMax = 10_000;
/** N1: of frames that nobody took yet. */
const answersMax = 4_096;

export interface LinkListener {
  acknowledged(ack: Ack): void;
  refused(refuse: Refuse): void;
  heard(beat: Beat): void;
}

interface UnderWay {
  readonly number: number;
  readonly sequence: number;
}

export class Link {
  readonly connection: Connection;
  readonly outlet: Outlet;
  readonly #listener: LinkListener;
  readonly #answers: Answer[] = [];
  #underWay: UnderWay[] = [];
  #wake: (() => void) | null = null;
  #number = 0;
  #stream = 0;
  #says = '';

  constructor(connection: Connection, stopped: () => string | null, listener: LinkListener) {
    this.connection = connection;
    this.#listener = listener;
    this.outlet = new Outlet({ connection, stopped: () => (this.#says === '' ? stopped() : this.#says) });
    connection.onEnd(() => {
      this.#wakeUp();
    });
    connection.onFrame((frame) => {
      this.#take(frame);
    });
  }

  nextNumber(): number {
    this.#number += 1;
    return this.#number;
  }

  nextStream(): number {
    this.#stream += 1;
    return this.#stream;
  }

  get underWay(): number {
    return this.#underWay.length;
  }

  /** Why nothing goes on, as far as this side said it. */
  get says(): string {
    return this.#says;
  }

  async hello(): Promise<Hello> {
    const answer = await this.#answer('hello', helloMsMax);
    if (answer.kind !== 'hello') throw new SessionOver('the target did not begin with its hello');
    return answer;
  }

  async candidates(): Promise<Candidates> {
    const answer = await this.#answer('candidates', answerMsMax);
    if (answer.kind !== 'candidates')
      throw new SessionOver(`the target sent ${answer.kind} instead of candidates`);
    return answer;
  }

  async wants(number: number): Promise<Wants> {
    const answer = await this.#answer('wants', answerMsMax);
    if (answer.kind !== 'wants' || answer.number !== number) {
      throw new SessionOver('the target answered something that it was not asked');
    }
    return answer;
  }

  async commit(commit: Commit): Promise<void> {
    this.#underWay.push({ number: commit.number, sequence: commit.sequence });
    await this.outlet.send(commit);
  }

  /** N2. */
  async room(most: number): Promise<void> {
    while (this.#underWay.length >= most) await this.sleep(null);
  }

  /** Until wake() is called, the connection ended, or the time is over. Throws SessionOver. */
  async sleep(ms: number | null): Promise<void> {
    this.outlet.check();
    await new Promise<void>((resolve) => {
      const timer = ms === null ? null : setTimeout(resolve, ms);
      this.#wake = () => {
        if (timer !== null) clearTimeout(timer);
        resolve();
      };
    });
    this.#wake = null;
    this.outlet.check();
  }

  wake(): void {
    this.#wakeUp();
  }

  /** What is being waited for throws SessionOver. */
  close(says: string): void {
    if (this.#says === '') this.#says = says;
    this.connection.close(says);
    this.#wakeUp();
  }

  #wakeUp(): void {
    this.#wake?.();
  }

  async #answer(kind: string, limitMs: number): Promise<Answer> {
    const until = performance.now() + limitMs;
    for (;;) {
      const answer = this.#answers.shift();
      if (answer !== undefined) return answer;
      const left = until - performance.now();
      if (left <= 0) throw new SessionOver(`the target sent no ${kind} in time`);
      await this.sleep(left);
    }
  }

  #take(frame: Frame): void {
    switch (frame.kind) {
      case 'hello':
      case 'candidates':
      case 'wants':
        if (this.#answers.length >= answersMax) this.close('the target sends more than it was asked for');
        else this.#answers.push(frame);
        break;
      case 'ack':
        this.#acknowledge(frame);
        break;
      case 'beat':
        this.#listener.heard(frame);
        break;
      case 'refuse':
        this.#listener.refused(frame);
        this.close(frame.says);
        break;
      case 'plan':
      case 'offer':
      case 'begin':
      case 'operations':
      case 'data':
      case 'hole':
      case 'stream-end':
      case 'stream-abort':
      case 'commit':
      case 'volume-writes':
      case 'volume-ack':
      case 'volume-standing':
      case 'volume-resync':
      case 'volume-compare':
      case 'volume-hashes':
        this.close(`a target of files does not send ${frame.kind}`);
    }
    this.#wakeUp();
  }

  /** N1. In the order of the batches. */
  #acknowledge(ack: Ack): void {
    const [first, ...rest] = this.#underWay;
    if (first?.number !== ack.number || first.sequence !== ack.sequence) {
      this.close('the target acknowledged something that it was not sent');
      return;
    }
    this.#underWay = rest;
    this.#listener.acknowledged(ack);
  }
}
