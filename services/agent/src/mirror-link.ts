/**
 * The connection to the mirror process beside us: orders go there, reports come back, and two steps of a takeover are
 * done there.
 *
 *   R1  it reconnects by itself; the first thing said on a new connection is the latest orders
 *   R2  whatever is asked ends within its limit, whether or not there is a mirror process
 *   R3  what a mirror process said counts for `silentMs` after it went away; after `missedMs` the history is told, if there
 *       are orders, and again when it is back
 *   R4  one that is there and says nothing is told, too: the disk of one mirror may hold up all of them
 */

import type { AgentEvent, Ended, Epoch, MemberId, MirrorId, MirrorOrders } from '@holdfast/core';
import { MirrorLink as Link, type MirrorAnswer } from '@holdfast/wire/mirror';

export interface MirrorLinkHost {
  dispatch(event: AgentEvent): void;
  note(group: null, what: string, reason: string): void;
  /** `problems` says something else than before. */
  problemsChanged(): void;
}

export interface MirrorDrained {
  readonly ended: Ended;
  /** Members whose copies of all the mirrors hold everything. */
  readonly drained: readonly MemberId[];
}

const missedMs = 10_000;
/** A crashed process is back before that, and its copies are what they were. */
const silentMs = 2_000;
/** With mirrors it says something once a second (Reporting of the mirror process). */
const quietMsMax = 10_000;
/** What is left of a step's limit for the answer to get here. */
const answerMs = 500;

export class MirrorLink {
  readonly #host: MirrorLinkHost;
  readonly #link: Link;
  #ordered = false;
  #missing: NodeJS.Timeout | null = null;
  #missed = false;
  readonly #quietMs: number;
  #quiet: NodeJS.Timeout | null = null;
  #isQuiet = false;
  #problems: readonly string[] = [];
  #shown = '';

  /** `path`: run/mirror.sock. `quietMs`: R4. */
  constructor(path: string, host: MirrorLinkHost, quietMs = quietMsMax) {
    this.#host = host;
    this.#quietMs = quietMs;
    this.#link = new Link(path, {
      report: (reports, problems) => {
        this.#problems = problems;
        this.#heard(reports.length > 0);
        this.#show();
        host.dispatch({ kind: 'mirrors', reports });
      },
      connected: (yes) => this.#connected(yes),
      garbled: (says) => host.note(null, 'mirror-process', says),
    });
  }

  /** What is wrong with the mirror process, in words; nothing while it has no work here. */
  problems(): readonly string[] {
    if (!this.#ordered) return [];
    if (!this.#link.isConnected) return ['the mirror process does not answer'];
    return this.#isQuiet ? [quietSays, ...this.#problems] : this.#problems;
  }

  order({ mirrors }: MirrorOrders): void {
    this.#ordered = mirrors.length > 0;
    this.#link.order(mirrors);
    if (this.#ordered && !this.#link.isConnected) this.#miss();
    this.#show();
  }

  /** The step open-mirrors: all of them, or none counts. */
  async open(mirrors: readonly MirrorId[], epoch: Epoch, forced: boolean, limitMs: number): Promise<Ended> {
    const ended = await Promise.all(
      mirrors.map((mirror) => this.#link.open(mirror, epoch, forced, limitOf(limitMs))),
    );
    const says = ended.flatMap((answer) => (answer.kind === 'done' ? [] : [trouble(answer)]));
    return says.length === 0 ? { kind: 'done' } : { kind: 'failed', says: says.join('; ') };
  }

  /** The step drain-mirrors. `to`: whose copies must hold everything; null: whoever can. */
  async drain(mirrors: readonly MirrorId[], to: MemberId | null, limitMs: number): Promise<MirrorDrained> {
    const answers = await Promise.all(
      mirrors.map((mirror) => this.#link.drain(mirror, to, limitOf(limitMs))),
    );
    const says = answers.flatMap((answer) => (answer.kind === 'drained' ? [] : [trouble(answer)]));
    if (says.length > 0) return { ended: { kind: 'failed', says: says.join('; ') }, drained: [] };
    const lists = answers.map((answer) => (answer.kind === 'drained' ? answer.targets : []));
    const drained = (lists[0] ?? []).filter((member) => lists.every((list) => list.includes(member)));
    if (to === null || drained.includes(to)) return { ended: { kind: 'done' }, drained };
    const behind = mirrors.filter((_mirror, index) => lists[index]?.includes(to) !== true);
    const late = `${to} does not hold everything of ${behind.join(', ')} yet`;
    return { ended: { kind: 'failed', says: late }, drained };
  }

  close(): void {
    if (this.#missing !== null) clearTimeout(this.#missing);
    this.#heard(false);
    this.#link.close();
  }

  /** R4. `goes`: it will say something again. */
  #heard(goes: boolean): void {
    if (this.#quiet !== null) clearTimeout(this.#quiet);
    this.#quiet = null;
    // Two halves: after a pause of this process the first may end before what came meanwhile is read.
    if (goes) this.#later(() => this.#later(() => this.#tellQuiet()));
    if (!this.#isQuiet) return;
    this.#isQuiet = false;
    this.#host.note(null, 'mirror-process', 'the mirror process answers again');
  }

  #later(then: () => void): void {
    this.#quiet = setTimeout(then, this.#quietMs / 2);
  }

  #tellQuiet(): void {
    this.#isQuiet = true;
    this.#host.note(null, 'mirror-process', quietSays);
    this.#show();
  }

  /** R3. */
  #connected(yes: boolean): void {
    // One that went away is missed instead.
    if (!yes) this.#heard(false);
    this.#show();
    if (yes) {
      if (this.#missing !== null) clearTimeout(this.#missing);
      this.#missing = null;
      if (this.#missed) this.#host.note(null, 'mirror-process', 'the mirror process is back');
      this.#missed = false;
      return;
    }
    if (this.#ordered) this.#miss();
  }

  #show(): void {
    const shown = this.problems().join('; ');
    if (shown === this.#shown) return;
    this.#shown = shown;
    this.#host.problemsChanged();
  }

  #miss(): void {
    if (this.#missing !== null || this.#missed) return;
    this.#missing = setTimeout(() => {
      // Nobody knows any more how the copies stand.
      this.#host.dispatch({ kind: 'mirrors', reports: [] });
      this.#missing = setTimeout(() => this.#tellMissed(), missedMs - silentMs);
    }, silentMs);
  }

  #tellMissed(): void {
    this.#missing = null;
    this.#missed = true;
    const says = `the mirror process is away for ${missedMs / 1000} s; see run/mirror.log`;
    this.#host.note(null, 'mirror-process', says);
  }
}

const quietSays =
  'the mirror process says nothing any more: a disk that it works on may not answer, and all mirrors of this member wait for it';

const limitOf = (limitMs: number): number => Math.max(answerMs, limitMs - answerMs);

function trouble(answer: MirrorAnswer): string {
  switch (answer.kind) {
    case 'failed':
    case 'lost':
      return answer.says;
    case 'done':
    case 'drained':
      return 'the mirror process answered something else';
  }
}
