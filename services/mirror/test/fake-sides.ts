/** Roles of mirrors without files, for tests of what decides about them. */
import type { Epoch, MemberId, MirrorOrder } from '@holdfast/core';
import type { Answered, Opened, Sides, SourceSide, TargetSide } from '../src/process/side.ts';

const done: Answered = { kind: 'done', says: '' };

/** Everything that happened, in order, such as "open source 7". */
export class FakeSides implements Sides {
  readonly events: string[] = [];
  consistent = true;
  /** Not empty: what is open has lost its root. */
  lost = '';
  /** Not empty: nothing can be opened. */
  trouble = '';
  /** Who holds everything when a drain is asked for. */
  drained: readonly MemberId[] = ['b'];
  grantUntil: () => number | null = () => null;

  source: Sides['source'] = (order, role, grantUntil) => {
    this.grantUntil = grantUntil;
    return this.#opening(`source ${role.epoch.toString()}`, () => this.#sourceOf(order, role.epoch));
  };

  target: Sides['target'] = (order, role) =>
    this.#opening(`target of ${role === null ? 'nobody' : role.sources.join()}`, () => this.#targetOf(order));

  kept: Sides['kept'] = (order) => {
    this.#note(`kept of ${order.mirror}`);
    return Promise.resolve(done);
  };

  confirm = (order: MirrorOrder): Promise<Answered> => {
    this.#note(`confirm ${order.mirror}`);
    this.trouble = '';
    return Promise.resolve(done);
  };

  release: Sides['release'] = (order) => {
    const { dataset } = order;
    this.#note(`release ${dataset.kind === 'files' ? dataset.root : dataset.path}`);
    return '';
  };

  forget: Sides['forget'] = (order) => {
    this.#note(`forget ${order.mirror}`);
    return Promise.resolve('');
  };

  #note(what: string): void {
    this.events.push(what);
  }

  #opening<Side>(what: string, open: () => Side): Promise<Opened<Side>> {
    if (this.trouble !== '') return Promise.resolve({ kind: 'failed', says: this.trouble });
    this.#note(`open ${what}`);
    return Promise.resolve({ kind: 'open', side: open() });
  }

  #sourceOf({ mirror }: MirrorOrder, epoch: Epoch): SourceSide {
    const lostNow = (): string => this.lost;
    return {
      change: (_order, { targets }) => this.#note(`source to ${targets.map((t) => t.member).join()}`),
      get lost() {
        return lostNow();
      },
      report: () => ({ kind: 'source', mirror, epoch, sequence: 1, says: '', export: null, targets: [] }),
      drain: () => Promise.resolve(this.drained),
      run: (_run, { row }) => {
        row({ kind: 'verified', target: 'b', compared: 1, differing: 0, mended: 0, says: '' });
        return Promise.resolve(done);
      },
      close: () => this.#closed('source'),
    };
  }

  #targetOf({ mirror }: MirrorOrder): TargetSide {
    const lostNow = (): string => this.lost;
    return {
      change: (_order, role) => this.#note(`target of ${role === null ? 'nobody' : role.sources.join()}`),
      get lost() {
        return lostNow();
      },
      report: () => ({
        kind: 'target',
        mirror,
        epoch: 1n,
        sequence: 1,
        consistent: this.consistent,
        state: 'replicating',
        word: null,
        says: '',
      }),
      consistent: this.consistent,
      promote: (epoch) => {
        this.#note(`promote ${epoch.toString()}`);
        return Promise.resolve(done);
      },
      run: () => Promise.resolve(done),
      close: () => this.#closed('target'),
    };
  }

  #closed(what: string): Promise<void> {
    this.#note(`close ${what}`);
    return Promise.resolve();
  }
}
