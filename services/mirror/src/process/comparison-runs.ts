/**
 * What a person has compared: verify, with repair or without, and resync. One target after the other; each gets an answer
 * of its own, so that one that is away keeps nobody from hearing of the others.
 *
 *   V1  a repair is done when a second comparison says so: what that finds still differs, the rest was mended
 *   V2  whoever goes away ends a comparison, and not what is being sent
 */

import type { MemberId } from '@holdfast/core';
import type { MirrorRunRow } from '@holdfast/wire/mirror';
import type { FileSource } from '../files/source/file-source.ts';
import type { Verified } from '../files/source/types.ts';
import type { Foreign } from '../files/target/types.ts';
import { shownPath } from '../files/shown-path.ts';
import { progressMs, tellAll } from './rows.ts';
import type { Answered, RunPorts } from './side.ts';

/** More are counted, and not named. */
const differencesMax = 10_000;

export async function runVerify(
  source: FileSource,
  members: readonly MemberId[],
  repair: boolean,
  ports: RunPorts,
): Promise<Answered> {
  for (const member of members) {
    const { verified, mended } = await withProgress(source, member, ports, () =>
      repair ? repaired(source, member, ports.signal) : compared(source, member, ports.signal),
    );
    await tell(member, verified, mended, ports);
  }
  return { kind: 'done', says: '' };
}

/** Ordered at every target that is there, then waited for. */
export async function runResync(
  source: FileSource,
  mirror: string,
  members: readonly MemberId[],
  ports: RunPorts,
): Promise<Answered> {
  const refused: string[] = [];
  const ordered = members.filter((member) => {
    const order = source.resync(member);
    if (order.kind === 'failed') refused.push(`${member} is not compared: ${order.says}`);
    else ports.row({ kind: 'progress', target: member, done: 0, total: 0, unit: 'bytes' });
    return order.kind === 'done';
  });
  const ended = await Promise.all(
    ordered.map((member) => withProgress(source, member, ports, () => source.compared(member, ports.signal))),
  );
  ended.forEach((end, index) => {
    if (end.kind === 'failed') refused.push(`${String(ordered[index])}: ${end.says}`);
  });
  if (refused.length > 0) return { kind: 'failed', as: 'failed', says: refused.join('; ') };
  return {
    kind: 'done',
    says: `${mirror} was compared as a whole with ${members.join(', ')}, and is in step`,
  };
}

interface Outcome {
  readonly verified: Verified;
  readonly mended: readonly Foreign[];
}

async function compared(source: FileSource, member: MemberId, signal: AbortSignal): Promise<Outcome> {
  return { verified: await source.verify(member, false, signal), mended: [] };
}

/** V1. */
async function repaired(source: FileSource, member: MemberId, signal: AbortSignal): Promise<Outcome> {
  const first = await source.verify(member, true, signal);
  if (first.kind === 'failed' || first.differences.length === 0) return { verified: first, mended: [] };
  const sent = await source.compared(member, signal);
  const second = sent.kind === 'failed' ? sent : await source.verify(member, false, signal);
  if (second.kind === 'failed') {
    const count = String(first.differences.length);
    const says = `${count} entries differ and are being mended, which was not seen to its end: ${second.says}`;
    return { verified: { kind: 'failed', says }, mended: [] };
  }
  const left = new Set(second.differences.map(({ path }) => path.toString('latin1')));
  const mended = first.differences.filter(({ path }) => !left.has(path.toString('latin1')));
  return { verified: second, mended };
}

async function tell(
  member: MemberId,
  verified: Verified,
  mended: readonly Foreign[],
  ports: RunPorts,
): Promise<void> {
  if (verified.kind === 'failed') {
    ports.row({
      kind: 'verified',
      target: member,
      compared: 0,
      differing: 0,
      mended: 0,
      says: verified.says,
    });
    return;
  }
  const { compared: count, differences } = verified;
  const rowOf =
    (isMended: boolean) =>
    ({ path, kind }: Foreign): MirrorRunRow => ({
      kind: 'difference',
      target: member,
      path: nameOf(path),
      what: kind,
      mended: isMended,
    });
  await tellAll(differences.slice(0, differencesMax), rowOf(false), ports);
  await tellAll(mended.slice(0, differencesMax), rowOf(true), ports);
  ports.row({
    kind: 'verified',
    target: member,
    compared: count,
    differing: differences.length,
    mended: mended.length,
    says: '',
  });
}

/** The root has no name of its own. */
const nameOf = (path: Buffer): string => (path.length === 0 ? '.' : shownPath(path));

async function withProgress<T>(
  source: FileSource,
  member: MemberId,
  { row }: RunPorts,
  work: () => Promise<T>,
): Promise<T> {
  const timer = setInterval(() => {
    const found = source.state().targets.find(({ target }) => target === member);
    if (found === undefined || found.totalBytes === 0) return;
    const { doneBytes: done, totalBytes: total } = found;
    row({ kind: 'progress', target: member, done, total, unit: 'bytes' });
  }, progressMs);
  return work().finally(() => clearInterval(timer));
}
