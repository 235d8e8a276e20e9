/**
 * Control messages of ours, as the contract writes them. What the other side would refuse is thrown here: it is a fault
 * of the code that made it, and the stack says whose.
 */

import type { EpochEnd, Position } from '@holdfast/core';
import { mirror } from '@holdfast/proto/mirror';
import { entryKinds } from './decode-operation.ts';
import { extendedBytesMax, extendedTotalBytesMax, linkBytesMax, listMax, nameBytesMax } from './limits.ts';
import { pathProblem } from './path.ts';
import type { Attributes, Commit, Data, FileOperation, Frame, Hello, Hole } from './types.ts';
import type { VolumeFrame } from './volume-frames.ts';

export type ControlFrame = Exclude<Frame, Data | Hole | VolumeFrame>;

/** The payload of a frame. */
export function encodeMessage(frame: ControlFrame): Uint8Array {
  switch (frame.kind) {
    case 'hello':
      return mirror.MirrorHello.encode(hello(frame)).finish();
    case 'refuse':
      return mirror.MirrorRefuse.encode({ ...frame, says: short(frame.says) }).finish();
    case 'plan':
      return mirror.MirrorPlan.encode({
        mode: frame.mode,
        from: BigInt(frame.from),
        entries: BigInt(frame.entries),
        bytes: BigInt(frame.bytes),
      }).finish();
    case 'candidates':
      return mirror.MirrorCandidates.encode({
        paths: list(frame.paths).map(usable),
        last: frame.last,
      }).finish();
    case 'offer':
      return mirror.MirrorOffer.encode({
        number: BigInt(frame.number),
        entries: list(frame.entries).map((entry) => ({
          ...entry,
          path: usable(entry.path),
          attributes: entry.attributes === null ? undefined : attributes(entry.attributes),
        })),
      }).finish();
    case 'wants':
      return mirror.MirrorWants.encode({
        number: BigInt(frame.number),
        entries: list(frame.entries).map((entry) => ({
          ...entry,
          path: usable(entry.path),
          blocks: [...entry.blocks],
        })),
      }).finish();
    case 'begin':
      return mirror.BatchBegin.encode({
        number: BigInt(frame.number),
        consistent: frame.consistent,
      }).finish();
    case 'operations':
      return mirror.BatchOperations.encode({ operations: list(frame.operations).map(operation) }).finish();
    case 'stream-end':
      return mirror.StreamEnd.encode({ stream: frame.stream, bytes: BigInt(frame.bytes) }).finish();
    case 'stream-abort':
      return mirror.StreamAbort.encode(frame).finish();
    case 'commit':
      return mirror.BatchCommit.encode(commit(frame)).finish();
    case 'ack':
      return mirror.BatchAck.encode({
        number: BigInt(frame.number),
        sequence: BigInt(frame.sequence),
        checksum: checksum(frame.checksum),
      }).finish();
    case 'beat':
      return mirror.MirrorBeat.encode({
        ...frame,
        waiting: short(frame.waiting),
        says: short(frame.says),
        behindBytes: BigInt(frame.behindBytes),
        sequence: BigInt(frame.sequence),
        receivedBytes: BigInt(frame.receivedBytes),
      }).finish();
  }
}

/** So that words for people never make a frame too large. */
const shortMax = 1_000;

const short = (says: string): string => (says.length > shortMax ? says.slice(0, shortMax) : says);

function usable(path: Buffer): Buffer {
  const problem = pathProblem(path);
  if (problem !== null) throw new Error(`${problem} was to be sent`);
  return path;
}

function below(path: Buffer): Buffer {
  if (path.length === 0) throw new Error('the root was to be sent where an entry has to be');
  return usable(path);
}

function list<T>(entries: readonly T[]): readonly T[] {
  if (entries.length > listMax) throw new Error(`a list of ${String(entries.length)} was to be sent`);
  return entries;
}

const checksum = (digits: string): bigint => BigInt(`0x${digits}`);

function hello(frame: Hello): mirror.MirrorHello {
  return {
    ...frame,
    position: frame.position === null ? undefined : position(frame.position),
    history: frame.history.map(epochEnd),
    parts: list(frame.parts).map((part) => ({ ...part, path: below(part.path), bytes: BigInt(part.bytes) })),
  };
}

function position(at: Position): mirror.MirrorPosition {
  return { epoch: at.epoch, sequence: BigInt(at.sequence), checksum: checksum(at.checksum) };
}

function epochEnd(row: EpochEnd): mirror.EpochEnd {
  return { epoch: row.epoch, sequence: BigInt(row.sequence) };
}

function commit(frame: Commit): mirror.BatchCommit {
  return {
    number: BigInt(frame.number),
    sequence: BigInt(frame.sequence),
    checksum: checksum(frame.checksum),
    consistent: frame.consistent,
    hot: list(frame.hot).map(usable),
    history: frame.history.map(epochEnd),
  };
}

function attributes(of: Attributes): mirror.Attributes {
  if ((of.kind === 'link') !== of.link.length > 0 || of.link.length > linkBytesMax) {
    throw new Error('a link to nowhere, or a link that is none, was to be sent');
  }
  return {
    ...of,
    kind: entryKinds.indexOf(of.kind) + 1,
    size: BigInt(of.size),
    mtimeS: BigInt(of.mtimeS),
    extended: extended(of),
  };
}

function extended(of: Attributes): mirror.ExtendedAttribute[] {
  let total = 0;
  return of.extended.map(([name, value]) => {
    total += name.length + value.length;
    const fits =
      name.length <= nameBytesMax && value.length <= extendedBytesMax && total <= extendedTotalBytesMax;
    if (!fits || name.length === 0) throw new Error('an extended attribute beyond the limits was to be sent');
    return { name, value };
  });
}

function operation(of: FileOperation): mirror.FileOperation {
  switch (of.kind) {
    case 'move':
      return { what: { $case: 'move', value: { from: below(of.from), slot: of.slot } } };
    case 'remove':
      return { what: { $case: 'remove', value: { path: below(of.path) } } };
    case 'place':
      return { what: { $case: 'place', value: { slot: of.slot, to: below(of.to) } } };
    case 'put':
      return {
        what: { $case: 'put', value: { ...of, path: below(of.path), attributes: attributes(of.attributes) } },
      };
    case 'hard-link':
      return { what: { $case: 'hardLink', value: { path: below(of.path), to: below(of.to) } } };
    case 'patch':
      return {
        what: {
          $case: 'patch',
          value: { ...of, path: below(of.path), attributes: attributes(of.attributes) },
        },
      };
    case 'set':
      return {
        what: {
          $case: 'set',
          value: { ...of, path: usable(of.path), attributes: attributes(of.attributes) },
        },
      };
  }
}
