/**
 * Names in the hosts file, in one block that is ours:
 *
 *     # holdfast: begin
 *     10.77.0.100 d3
 *     # holdfast: end
 *
 * Nothing outside the block is touched. The file is replaced in one step where possible; where it is a mount of its own (containers)
 * it can only be written in place.
 *
 *   W1  one change at a time: each reads what the one before wrote
 *   W2  a disk that hangs is not waited for: who asked is told so, and what was asked last comes when the disk lets it
 */
import { chmod, chown, open, readFile, realpath, rename, rm, stat, writeFile } from 'node:fs/promises';
import type { Outcome } from '../platform.ts';
import { within } from '../../within.ts';
import { codeOf, messageOf } from './failure.ts';

const BEGIN = '# holdfast: begin';
const END = '# holdfast: end';

export interface HostsFile {
  /** The name stands for exactly these addresses; for none: it is removed. */
  set(name: string, addresses: readonly string[]): Promise<Outcome>;
}

export type ChangeHosts = (file: string, name: string, addresses: readonly string[]) => Promise<Outcome>;

const changeMs = 2_000;

/** `make` and `limitMs` for tests. `make` never rejects. */
export function createHostsFile(file: string, make: ChangeHosts = change, limitMs = changeMs): HostsFile {
  let last: Promise<unknown> = Promise.resolve();
  const waiting = new Map<string, { addresses: readonly string[]; readonly done: Promise<Outcome> }>();
  const add = (name: string, addresses: readonly string[]): Promise<Outcome> => {
    const before = waiting.get(name);
    if (before !== undefined) {
      before.addresses = addresses;
      return before.done;
    }
    // W1
    const done = last.then(() => {
      const wanted = waiting.get(name)?.addresses ?? addresses;
      waiting.delete(name);
      return make(file, name, wanted);
    });
    waiting.set(name, { addresses, done });
    last = done;
    return done;
  };
  const late = `${file} can't be changed within ${String(limitMs)} ms: does its disk hang? It is changed as soon as it can be`;
  return {
    set: async (name, addresses) =>
      (await within(add(name, addresses), limitMs)) ?? { kind: 'failed', says: late }, // W2
  };
}

/** The text with `name` standing for `addresses` in our block. A pure function, for `change` and its tests. */
export function withName(text: string, name: string, addresses: readonly string[]): string {
  const lines = text === '' ? [] : text.replace(/\n$/, '').split('\n');
  const from = lines.indexOf(BEGIN);
  const to = from < 0 ? -1 : lines.indexOf(END, from);
  const ours = from >= 0 && to >= 0 ? lines.slice(from + 1, to) : [];
  const kept = ours.filter((line) => line.trim() !== '' && line.trim().split(/\s+/)[1] !== name);
  const entries = [...kept, ...addresses.map((address) => `${address} ${name}`)];
  const block = entries.length === 0 ? [] : [BEGIN, ...entries, END];
  if (from >= 0 && to >= 0) lines.splice(from, to - from + 1, ...block);
  // A beginning without an end: somebody cut the block. Only the marker is ours then.
  else if (from >= 0) lines.splice(from, 1, ...block);
  else lines.push(...block);
  return lines.length === 0 ? '' : `${lines.join('\n')}\n`;
}

async function change(file: string, name: string, addresses: readonly string[]): Promise<Outcome> {
  try {
    const target = await realpath(file);
    const before = await readFile(target, 'utf8');
    const after = withName(before, name, addresses);
    if (after !== before) await replace(target, after);
    return { kind: 'done' };
  } catch (error) {
    return {
      kind: 'failed',
      says: `${file} can't be changed: ${messageOf(error)}`,
    };
  }
}

async function replace(target: string, text: string): Promise<void> {
  const draft = `${target}.holdfast`;
  try {
    const { mode, uid, gid } = await stat(target);
    const handle = await open(draft, 'w', mode);
    try {
      await handle.writeFile(text);
      await handle.sync();
    } finally {
      await handle.close();
    }
    await chown(draft, uid, gid);
    await chmod(draft, mode);
    await rename(draft, target);
  } catch (error) {
    await rm(draft, { force: true }).catch(() => undefined); // a folder that can't be written never had a draft
    // EBUSY: a mount of its own. EXDEV, EROFS, EACCES, EPERM: its folder can't be written, but the file perhaps can.
    if (!['EBUSY', 'EXDEV', 'EROFS', 'EACCES', 'EPERM'].includes(codeOf(error))) throw error;
    await writeFile(target, text);
  }
}
