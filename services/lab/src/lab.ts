// A lab: several hosts on one machine, joined by a switch, without a trace outside of its directory and its namespaces.
// Works as root and, where unprivileged user namespaces are allowed, as an ordinary user.
//
// Invariants
// L1: whatever a lab starts carries its mark, so `down` finds all of it, from any process, in whatever state the lab is.
// L2: a tied lab is watched before it exists, so its owner's death at any moment removes it.
// L3: a directory that holds something else than a lab is never used and never removed.
import { mkdirSync, readdirSync, rmSync } from 'node:fs';
import { isErrno } from './command.ts';
import { hiding } from './disk.ts';
import { LabError } from './error.ts';
import { changeLab, hostHandle, setRate, type Host } from './host.ts';
import { withLock } from './lock.ts';
import { needPrograms, startAnchor } from './namespaces.ts';
import { defaultHosts, networks, numberHosts, portOf, type Network } from './plan.ts';
import { boot, powerOn } from './power.ts';
import { identityOf, isAlive, marked, signalUntilNone } from './process.ts';
import {
  canonicalDir,
  defaultLabDir,
  hostIn,
  markOf,
  needState,
  readState,
  writeState,
  type Block,
  type LabState,
} from './state.ts';
import { addBlocks, applyRate, buildSwitch, removeBlocks, setPorts } from './switch.ts';
import { isTied, tieToThisProcess, untie } from './tie.ts';

export interface LabOptions {
  /** Where the lab keeps its state and the hosts' directories; default /tmp/holdfast-lab-UID. One lab per directory. */
  readonly dir?: string;
  /** Default a, b, w and client. */
  readonly hosts?: readonly string[];
  /** True removes the lab when this process ends, in whatever way. */
  readonly tied?: boolean;
  /** False leaves the real machine's /run visible on the hosts, systemd's included; default true. */
  readonly hideRun?: boolean;
}

export interface PartitionOptions {
  /** Which frames are lost: from x to y ('to'), from y to x ('from'), or both (default). */
  readonly direction?: 'both' | 'to' | 'from';
  /** Default all. */
  readonly networks?: readonly Network[];
}

export interface Lab {
  readonly dir: string;
  readonly hosts: readonly Host[];
  /** Throws LabError for an unknown name. */
  host(name: string): Host;
  partition(x: string, y: string, options?: PartitionOptions): Promise<void>;
  /** Undoes all faults: partitions, pulled cables, rates, frozen processes, hosts without power. Starts no program again. */
  heal(): Promise<void>;
  /** Bits per second, in each direction; null takes the limit off. */
  rate(host: string, network: Network, bitsPerSecond: number | null): Promise<void>;
  down(): Promise<void>;
}

/**
 * Makes a lab, with all its hosts powered on. Removes the ruins of an earlier one in the same directory first.
 * Throws LabError: a lab is up there already, programs missing, namespaces not allowed, directory in use.
 */
export async function createLab(options: LabOptions = {}): Promise<Lab> {
  const dir = canonicalDir(options.dir ?? defaultLabDir());
  const mark = markOf(dir);
  const planned = numberHosts(options.hosts ?? defaultHosts);
  needPrograms();
  return withLock(mark, async () => {
    refuse(dir);
    await removeLab(dir, mark);
    if (options.tied === true) tieToThisProcess(mark, dir); // L2
    let created = false;
    try {
      created = mkdirSync(dir, { recursive: true, mode: 0o700 }) !== undefined;
      const { anchor, rootless } = await startAnchor(mark);
      const owner = options.tied === true ? (identityOf(process.pid) ?? null) : null;
      let state: LabState = {
        version: 1,
        complete: false,
        createdAt: new Date().toISOString(),
        rootless,
        hideRun: options.hideRun ?? true,
        ipv6: anchor.said.includes('ipv6'),
        drop: 'none',
        owner,
        anchor: anchor.who,
        hosts: planned.map((host) => ({
          ...host,
          holder: null,
          bootId: '00000000-0000-4000-8000-000000000000',
          bootIdBound: false,
          pulled: [],
          rates: {},
        })),
        blocks: [],
      };
      writeState(dir, state);
      state = { ...state, drop: await buildSwitch(state) };
      for (const { name } of planned) state = await boot(dir, mark, state, hostIn(state, name));
      writeState(dir, { ...state, complete: true });
    } catch (error) {
      await removeLab(dir, mark);
      if (created) rmSync(dir, { recursive: true, force: true });
      throw error;
    }
    return labHandle(dir, mark);
  });
}

/** A handle on a lab that another process made. Throws LabError when none is up there. */
export function openLab(dir: string = defaultLabDir()): Promise<Lab> {
  return Promise.resolve(dir)
    .then(canonicalDir)
    .then((canonical) => labHandle(canonical, markOf(canonical)));
}

/** Removes a lab, or what is left of one, with all its processes and files. Does nothing when there is none. */
export async function downLab(dir: string = defaultLabDir()): Promise<void> {
  const canonical = canonicalDir(dir);
  const mark = markOf(canonical);
  await withLock(mark, () => removeLab(canonical, mark));
}

async function removeLab(dir: string, mark: string): Promise<void> {
  const ours = isLabDirectory(dir);
  // The watcher first: it must not wake later and remove a lab that was made in the same place.
  untie(mark, dir);
  await signalUntilNone('SIGKILL', () => marked(mark), `cannot remove the lab in ${dir}`); // L1
  if (ours) rmSync(dir, { recursive: true, force: true });
}

/** True for a directory that a lab made, complete or not. L3. */
function isLabDirectory(dir: string): boolean {
  return entriesOf(dir)?.some((name) => name === 'lab.json' || name.startsWith('lab.json.')) ?? false;
}

function entriesOf(dir: string): string[] | undefined {
  try {
    return readdirSync(dir);
  } catch (error) {
    if (isErrno(error, 'ENOENT')) return undefined;
    throw new LabError({
      what: `cannot use ${dir} for a lab`,
      says: String(error),
      fix: 'Choose another directory with --lab-dir.',
    });
  }
}

function refuse(dir: string): void {
  const hidden = dir === '/run' || dir.startsWith('/run/') ? '/run' : hiding(dir);
  if (hidden !== undefined)
    throw new LabError({
      what: `cannot make a lab in ${dir}`,
      says: `${hidden} is hidden on the hosts`,
      fix: 'Choose a directory elsewhere with --lab-dir.',
    });
  if ((entriesOf(dir)?.length ?? 0) > 0 && !isLabDirectory(dir))
    throw new LabError({
      what: `cannot make a lab in ${dir}`,
      says: 'it holds other files',
      fix: 'Choose an empty directory with --lab-dir.',
    });
  const stored = readState(dir);
  if (stored.kind === 'broken' && stored.says.includes('belongs to user'))
    throw new LabError({
      what: `cannot make a lab in ${dir}`,
      says: stored.says,
      fix: 'Choose another directory with --lab-dir.',
    });
  if (stored.kind === 'lab' && isWhole(stored.state))
    throw new LabError({
      what: `a lab is already up in ${dir}`,
      says: `it was made at ${stored.state.createdAt}`,
      fix: 'Use it, or remove it with: holdfast lab down',
    });
}

/** True while everything that holds the lab is alive. */
export function isWhole(state: LabState): boolean {
  return (
    state.complete &&
    isAlive(state.anchor) &&
    state.hosts.every(({ holder }) => holder === null || isAlive(holder))
  );
}

export function isTiedLab(dir: string): boolean {
  return isTied(markOf(dir), dir);
}

function labHandle(dir: string, mark: string): Lab {
  const hosts = needState(dir).hosts.map(({ name }) => hostHandle(dir, mark, name));
  return {
    dir,
    hosts,
    host: (name) => {
      const found = hosts.find((host) => host.name === name);
      if (found !== undefined) return found;
      const names = hosts.map((host) => host.name).join(', ');
      throw new LabError({
        what: `there is no host "${name}" in the lab`,
        says: `its hosts are ${names}`,
        fix: 'Name one of them.',
      });
    },
    partition: (x, y, options = {}) => changeLab(dir, mark, (state) => partition(state, x, y, options)),
    heal: async () => {
      await changeLab(dir, mark, (state) => heal(dir, mark, state));
      for (const host of hosts) await host.thaw();
    },
    rate: (host, network, bitsPerSecond) => setRate(dir, mark, host, network, bitsPerSecond),
    down: () => downLab(dir),
  };
}

async function partition(
  state: LabState,
  x: string,
  y: string,
  options: PartitionOptions,
): Promise<LabState> {
  hostIn(state, x);
  hostIn(state, y);
  if (x === y)
    throw new LabError({
      what: `cannot partition host ${x} from itself`,
      says: 'a host talks to itself without a cable',
      fix: 'Name two hosts.',
    });
  const direction = options.direction ?? 'both';
  const wanted: Block[] = (options.networks ?? networks).flatMap((network) => [
    ...(direction === 'from' ? [] : [{ from: x, to: y, network }]),
    ...(direction === 'to' ? [] : [{ from: y, to: x, network }]),
  ]);
  const fresh = wanted.filter((block) => !state.blocks.some((have) => isSame(have, block)));
  await addBlocks(state, fresh);
  return { ...state, blocks: [...state.blocks, ...fresh] };
}

const isSame = (one: Block, other: Block): boolean =>
  one.from === other.from && one.to === other.to && one.network === other.network;

function everyBlock(state: LabState): Block[] {
  const names = state.hosts.map(({ name }) => name);
  return names.flatMap((from) =>
    names.filter((to) => to !== from).flatMap((to) => networks.map((network) => ({ from, to, network }))),
  );
}

async function heal(dir: string, mark: string, state: LabState): Promise<LabState> {
  // All there could be, not only those recorded: a command that was killed in the middle records nothing.
  await removeBlocks(state, everyBlock(state));
  let next: LabState = {
    ...state,
    blocks: [],
    hosts: state.hosts.map((host) => ({ ...host, pulled: [], rates: {} })),
  };
  for (const before of state.hosts) {
    const host = hostIn(next, before.name);
    if (host.holder === null || !isAlive(host.holder)) {
      next = await powerOn(dir, mark, next, host);
      continue;
    }
    await setPorts(
      next,
      networks.map((network) => portOf(host.name, network)),
      'up',
    );
    for (const network of networks)
      if (before.rates[network] !== undefined) await applyRate(next, host, network);
  }
  return next;
}
