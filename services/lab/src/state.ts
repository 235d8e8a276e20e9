// What a lab remembers between commands: one JSON file in its directory, parsed here and nowhere else.
//
// Invariants
// S1: the file is replaced as a whole (rename), so a reader never sees half of it.
// S2: only the holder of the lab's lock writes it.
// S3: a lab is recognised by its mark, which follows from its directory alone; processes carry it among their mounts. So
//     a lab can be removed even when this file is gone.
import { createHash } from 'node:crypto';
import { lstatSync, readFileSync, realpathSync, renameSync, writeFileSync } from 'node:fs';
import { tmpdir, userInfo } from 'node:os';
import { basename, dirname, join, resolve } from 'node:path';
import * as z from 'zod';
import { isErrno } from './command.ts';
import { LabError } from './error.ts';

const identity = z.object({ pid: z.int().positive(), start: z.string() }).readonly();
const network = z.enum(['service', 'private']);

const hostState = z
  .object({
    name: z.string(),
    number: z.int().positive(),
    /** Whoever holds the host's namespaces open; none while the power is off. */
    holder: identity.nullable(),
    bootId: z.uuid(),
    /** False where /proc/sys/kernel/random/boot_id could not be replaced; then HOLDFAST_BOOT_ID tells it. */
    bootIdBound: z.boolean(),
    pulled: z.array(network).readonly(),
    rates: z.partialRecord(network, z.int().positive()).readonly(),
  })
  .readonly();

const block = z.object({ from: z.string(), to: z.string(), network }).readonly();

const labState = z
  .object({
    version: z.literal(1),
    /** False until every host was powered on for the first time. */
    complete: z.boolean(),
    createdAt: z.iso.datetime(),
    /** True when the lab lives in a user namespace of its own. */
    rootless: z.boolean(),
    hideRun: z.boolean(),
    ipv6: z.boolean(),
    /** How this kernel drops a frame in a filter; undefined when it cannot. */
    drop: z.enum(['gact', 'sink', 'none']),
    owner: identity.nullable(),
    /** Whoever holds the namespaces of the switch open. */
    anchor: identity,
    hosts: z.array(hostState).readonly(),
    /** Directions in which frames are lost. */
    blocks: z.array(block).readonly(),
  })
  .readonly();

export type LabState = z.infer<typeof labState>;
export type HostState = z.infer<typeof hostState>;
export type Block = z.infer<typeof block>;

export function defaultLabDir(): string {
  return join(tmpdir(), `holdfast-lab-${userInfo().uid}`);
}

/** The one spelling of a lab directory: absolute, its parents without symbolic links. It need not exist yet. */
export function canonicalDir(dir: string): string {
  const absolute = resolve(dir);
  try {
    return join(realpathSync(dirname(absolute)), basename(absolute));
  } catch (error) {
    if (isErrno(error, 'ENOENT')) return absolute;
    throw error;
  }
}

/** The mark of a lab. S3. */
export function markOf(dir: string): string {
  return `holdfast-lab:${createHash('sha256').update(dir).digest('hex').slice(0, 24)}:`;
}

const fileOf = (dir: string): string => join(dir, 'lab.json');

export type StoredLab =
  | { readonly kind: 'none' }
  | { readonly kind: 'broken'; readonly says: string }
  | { readonly kind: 'lab'; readonly state: LabState };

export function readState(dir: string): StoredLab {
  let text: string;
  try {
    // The default directory has a name that others can guess: never follow a link or believe a stranger's file.
    const { uid } = lstatSync(dir);
    if (uid !== process.getuid?.()) return { kind: 'broken', says: `${dir} belongs to user ${uid}` };
    text = readFileSync(fileOf(dir), 'utf8');
  } catch (error) {
    if (isErrno(error, 'ENOENT') || isErrno(error, 'ENOTDIR')) return { kind: 'none' };
    throw error;
  }
  try {
    const parsed = labState.safeParse(JSON.parse(text));
    return parsed.success
      ? { kind: 'lab', state: parsed.data }
      : { kind: 'broken', says: z.prettifyError(parsed.error) };
  } catch (error) {
    return { kind: 'broken', says: `lab.json is not JSON: ${String(error)}` };
  }
}

/** The state of a lab that must be up. Throws LabError when there is none. */
export function needState(dir: string): LabState {
  const stored = readState(dir);
  switch (stored.kind) {
    case 'lab':
      return stored.state;
    case 'none':
      throw new LabError({
        what: `no lab is up in ${dir}`,
        says: 'there is no lab.json',
        fix: 'Make one with: holdfast lab up',
      });
    case 'broken':
      throw new LabError({
        what: `the lab in ${dir} cannot be used`,
        says: stored.says,
        fix: 'Remove it with: holdfast lab down',
      });
  }
}

/** S1. */
export function writeState(dir: string, state: LabState): void {
  const draft = `${fileOf(dir)}.${process.pid}`;
  writeFileSync(draft, `${JSON.stringify(state, null, 2)}\n`, { mode: 0o600 });
  renameSync(draft, fileOf(dir));
}

export function hostIn(state: LabState, name: string): HostState {
  const host = state.hosts.find((each) => each.name === name);
  if (host !== undefined) return host;
  const names = state.hosts.map((each) => each.name).join(', ');
  throw new LabError({
    what: `there is no host "${name}" in the lab`,
    says: `its hosts are ${names}`,
    fix: 'Name one of them.',
  });
}

export function withHost(state: LabState, host: HostState): LabState {
  return { ...state, hosts: state.hosts.map((each) => (each.name === host.name ? host : each)) };
}
