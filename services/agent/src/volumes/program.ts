/**
 * `program.js attach|mount start|stop|fence|status --dir DIR --mirror GROUP/NAME ...`: starts, stops and looks at what a
 * volume brings to its owner. A program of its own, on nothing but Node, because the guard has to run it when the agent
 * is gone. Exit status: 0 done, or it runs; 1 not, and standard error says why; 2 the command is wrong.
 */

import { parseArgs } from 'node:util';
import { attach, attachedState, detach } from './attaching.ts';
import { failed, Limit, type Did } from './ended.ts';
import { fenceMount, mount, mountState, unmount, type MountOrder } from './mounting.ts';
import { volumePlaces } from './places.ts';

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    dir: { type: 'string' },
    mirror: { type: 'string' },
    method: { type: 'string', default: '' },
    at: { type: 'string', default: '' },
    type: { type: 'string', default: '' },
    options: { type: 'string', default: '' },
    fsck: { type: 'string', default: 'preen' },
    'limit-ms': { type: 'string', default: '30000' },
  },
});

/** Null: the command is wrong. */
function act(): Promise<Did> | null {
  const { dir, mirror, method, at, type, options, fsck } = values;
  const [what, verb = ''] = positionals;
  if (dir === undefined || mirror === undefined) return null;
  const places = volumePlaces(dir, mirror);
  const limit = new Limit(Number(values['limit-ms']));
  if (what === 'attach') {
    if (method !== 'nbd-client' && method !== 'nbdfuse') return null;
    const verbs: Verbs = {
      start: () => attach(places, method, limit),
      stop: () => detach(places, limit),
      fence: () => detach(places, limit),
      status: () => attachedState(places),
    };
    return call(verbs, verb);
  }
  if (what !== 'mount' || at === '' || (fsck !== 'preen' && fsck !== 'none' && fsck !== 'force')) return null;
  const order: MountOrder = { at, type, options, fsck };
  const verbs: Verbs = {
    start: () => mount(places, order, limit),
    stop: () => unmount(places, order, limit),
    fence: () => fenceMount(places, order, limit),
    status: () => mountState(places, order),
  };
  return call(verbs, verb);
}

type Verbs = Readonly<Record<string, () => Did | Promise<Did>>>;

function call(verbs: Verbs, verb: string): Promise<Did> | null {
  const act = Object.hasOwn(verbs, verb) ? verbs[verb] : undefined;
  return act === undefined ? null : Promise.resolve().then(act);
}

function fault(error: unknown): Did {
  return failed(error instanceof Error ? error.message : String(error));
}

async function main(): Promise<void> {
  const asked = act();
  if (asked === null) {
    process.stderr.write('usage: attach|mount start|stop|fence|status --dir DIR --mirror GROUP/NAME ...\n');
    process.exit(2);
  }
  const ended = await asked.catch(fault);
  if (ended.kind === 'failed') process.stderr.write(`${ended.says}\n`);
  process.exit(ended.kind === 'done' ? 0 : 1);
}

void main();
