/** What a person asks of the divergence store: list, show, restore, discard. */

import type { MirrorRun, MirrorRunRow } from '@holdfast/wire/mirror';
import type { Divergence, Kept, KeptAnswer } from '../files/target/types.ts';
import { pathsMeant, shownPath } from '../files/shown-path.ts';
import { progressOf, tellAll } from './rows.ts';
import type { Answered, RunPorts } from './side.ts';

/** More are not listed at once; the answer says how many there are. */
const rowsMax = 50_000;

export type DivergenceRun = MirrorRun & { readonly kind: 'list' | 'show' | 'restore' | 'discard' };

export function isOfDivergence(run: MirrorRun): run is DivergenceRun {
  switch (run.kind) {
    case 'list':
    case 'show':
    case 'restore':
    case 'discard':
      return true;
    case 'resync':
    case 'verify':
    case 'open':
    case 'close':
      return false;
  }
}

/** `self`: this member, which keeps it. */
export async function runDivergence(
  store: Divergence,
  run: DivergenceRun,
  self: string,
  ports: RunPorts,
): Promise<Answered> {
  switch (run.kind) {
    case 'list': {
      const all = store.list();
      await tellAll(all.slice(0, rowsMax), rowOf, ports);
      const more = all.length - rowsMax;
      return done(more > 0 ? `${more} more are kept on ${self}` : '');
    }
    case 'show': {
      const [kept] = pathsMeant(run.path).flatMap((path) => store.show(path) ?? []);
      if (kept === undefined) return nothing(run, self);
      ports.row(rowOf(kept));
      return done('');
    }
    case 'restore': {
      const watched = { signal: ports.signal, progress: progressOf(self, ports) };
      return answered(
        run,
        self,
        pathsMeant(run.path).map((path) => () => store.restore(path, run.to, watched)),
        `${run.path} is in ${run.to} on ${self}`,
      );
    }
    case 'discard': {
      const paths = run.path === '' ? [null] : pathsMeant(run.path);
      const what = run.path === '' ? 'what was kept' : run.path;
      return answered(
        run,
        self,
        paths.map((path) => () => store.discard(path)),
        `${what} is discarded on ${self}`,
      );
    }
  }
}

/** The first that works; what a person typed may mean several paths. */
async function answered(
  run: DivergenceRun,
  self: string,
  tries: readonly (() => KeptAnswer | Promise<KeptAnswer>)[],
  says: string,
): Promise<Answered> {
  let last: Answered = nothing(run, self);
  for (const attempt of tries) {
    const answer = await attempt();
    if (answer.kind === 'done') return done(says);
    const unknown = answer.says.startsWith('nothing is kept');
    last = { kind: 'failed', as: unknown ? 'not-found' : 'failed', says: `${self}: ${answer.says}` };
  }
  return last;
}

function nothing({ path }: DivergenceRun, self: string): Answered {
  return { kind: 'failed', as: 'not-found', says: `${self} keeps nothing of ${path}` };
}

const done = (says: string): Answered => ({ kind: 'done', says });

function rowOf({ path, size, modifiedMs, change, from, epoch, kept }: Kept): MirrorRunRow {
  return { kind: 'kept', path: shownPath(path), size, modifiedMs, change, from, epoch, kept };
}
