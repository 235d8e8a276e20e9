/**
 * Control messages of the other side, read into checked records (types.ts, T1). Written by hand because here is where
 * hostile bytes end: limits hold while a message is read, and names and contents are views instead of copies. A test
 * holds it against the code that is generated from the same contract.
 *
 * D1. A required part that is absent, a number that is not safe, a path that is none: all of it is garbage.
 * D2. Unknown fields are passed over, unknown operations are garbage: to leave one out would be divergence.
 */

import { historyRowsMax, unknownChecksum, type EpochEnd, type Position } from '@holdfast/core';
import { readAttributes, readPath } from './decode-operation.ts';
import { digestBytesMax, frameBytesMax, listMax, textBytesMax } from './limits.ts';
import {
  refusalCodes,
  type Ack,
  type Attributes,
  type Beat,
  type Begin,
  type Candidates,
  type Commit,
  type Hello,
  type Offer,
  type OfferedEntry,
  type PartFile,
  type Plan,
  type Refuse,
  type StreamAbort,
  type StreamEnd,
  type WantedEntry,
  type Wants,
} from './types.ts';
import { Malformed, type WireReader } from './wire-reader.ts';

const none: Buffer = Buffer.alloc(0);
const hashBytes = 16;

export function readHello(r: WireReader): Hello {
  let protocol = 0;
  let cluster = '';
  let member = '';
  let mirror = '';
  let role = '';
  let epoch = 0n;
  let position: Position | null = null;
  const history: EpochEnd[] = [];
  let selection: Buffer = none;
  let consistent = false;
  const parts: PartFile[] = [];
  let foreign = false;
  let compareRanges = 0;
  for (let tag = r.tag(); tag !== 0; tag = r.tag()) {
    switch (tag) {
      case 8:
        protocol = r.uint32();
        break;
      case 18:
        cluster = r.text(textBytesMax);
        break;
      case 26:
        member = r.text(textBytesMax);
        break;
      case 34:
        mirror = r.text(textBytesMax);
        break;
      case 42:
        role = r.text(textBytesMax);
        break;
      case 48:
        epoch = r.uint64();
        break;
      case 58:
        position = r.message(readPosition);
        break;
      case 66:
        readHistory(r, history);
        break;
      case 74:
        selection = r.bytes(digestBytesMax);
        break;
      case 80:
        consistent = r.bool();
        break;
      case 90:
        r.entry(parts, listMax, (inner) => inner.message(readPart));
        break;
      case 96:
        foreign = r.bool();
        break;
      case 104:
        compareRanges = r.uint32();
        break;
      default:
        r.skip(tag);
    }
  }
  if (role !== 'source' && role !== 'target') throw new Malformed('a hello without a role');
  return {
    kind: 'hello',
    protocol,
    cluster,
    member,
    mirror,
    role,
    epoch,
    position,
    history,
    selection,
    consistent,
    parts,
    foreign,
    compareRanges,
  };
}

function readPosition(r: WireReader): Position {
  let epoch = 0n;
  let sequence = 0;
  let checksum = unknownChecksum;
  for (let tag = r.tag(); tag !== 0; tag = r.tag()) {
    if (tag === 8) epoch = r.uint64();
    else if (tag === 16) sequence = r.safe();
    else if (tag === 25) checksum = r.fixed64();
    else r.skip(tag);
  }
  return { epoch, sequence, checksum };
}

/** Epochs rise and sequence numbers do not fall: without that, `lastCommon` would answer nonsense. */
function readHistory(r: WireReader, history: EpochEnd[]): void {
  const before = history.at(-1);
  r.entry(history, historyRowsMax, (inner) => inner.message(readEpochEnd));
  const row = history.at(-1);
  if (before === undefined || row === undefined) return;
  if (row.epoch <= before.epoch || row.sequence < before.sequence)
    throw new Malformed('a history that goes back');
}

function readEpochEnd(r: WireReader): EpochEnd {
  let epoch = 0n;
  let sequence = 0;
  for (let tag = r.tag(); tag !== 0; tag = r.tag()) {
    if (tag === 8) epoch = r.uint64();
    else if (tag === 16) sequence = r.safe();
    else r.skip(tag);
  }
  return { epoch, sequence };
}

function readPart(r: WireReader): PartFile {
  let path: Buffer = none;
  let version: Buffer = none;
  let bytes = 0;
  for (let tag = r.tag(); tag !== 0; tag = r.tag()) {
    if (tag === 10) path = readPath(r, 'below');
    else if (tag === 18) version = r.bytes(digestBytesMax);
    else if (tag === 24) bytes = r.safe();
    else r.skip(tag);
  }
  if (path.length === 0) throw new Malformed('a part of no file');
  return { path, version, bytes };
}

export function readRefuse(r: WireReader): Refuse {
  let word = '';
  let says = '';
  let epoch = 0n;
  for (let tag = r.tag(); tag !== 0; tag = r.tag()) {
    if (tag === 10) word = r.text(textBytesMax);
    else if (tag === 18) says = r.text(textBytesMax);
    else if (tag === 24) epoch = r.uint64();
    else r.skip(tag);
  }
  const code = refusalCodes.find((known) => known === word);
  if (code === undefined) throw new Malformed('a refusal for an unknown reason');
  return { kind: 'refuse', code, says, epoch };
}

export function readPlan(r: WireReader): Plan {
  let mode = '';
  let from = 0;
  let entries = 0;
  let bytes = 0;
  for (let tag = r.tag(); tag !== 0; tag = r.tag()) {
    if (tag === 10) mode = r.text(textBytesMax);
    else if (tag === 16) from = r.safe();
    else if (tag === 24) entries = r.safe();
    else if (tag === 32) bytes = r.safe();
    else r.skip(tag);
  }
  if (mode !== 'continue' && mode !== 'compare' && mode !== 'verify')
    throw new Malformed('a plan of an unknown mode');
  return { kind: 'plan', mode, from, entries, bytes };
}

export function readCandidates(r: WireReader): Candidates {
  const paths: Buffer[] = [];
  let last = false;
  for (let tag = r.tag(); tag !== 0; tag = r.tag()) {
    if (tag === 10) r.entry(paths, listMax, readAnyPath);
    else if (tag === 16) last = r.bool();
    else r.skip(tag);
  }
  return { kind: 'candidates', paths, last };
}

const readAnyPath = (r: WireReader): Buffer => readPath(r, 'root');

export function readOffer(r: WireReader): Offer {
  let number = 0;
  const entries: OfferedEntry[] = [];
  for (let tag = r.tag(); tag !== 0; tag = r.tag()) {
    if (tag === 8) number = r.safe();
    else if (tag === 18) r.entry(entries, listMax, (inner) => inner.message(readOffered));
    else r.skip(tag);
  }
  return { kind: 'offer', number, entries };
}

function readOffered(r: WireReader): OfferedEntry {
  let path: Buffer = none;
  let attributes: Attributes | null = null;
  let blockBytes = 0;
  let hashes: Buffer = none;
  for (let tag = r.tag(); tag !== 0; tag = r.tag()) {
    if (tag === 10) path = readPath(r, 'root');
    else if (tag === 18) attributes = r.message(readAttributes);
    else if (tag === 24) blockBytes = r.uint32();
    else if (tag === 34) hashes = r.bytes(frameBytesMax);
    else r.skip(tag);
  }
  if (hashes.length % hashBytes !== 0) throw new Malformed('half a hash');
  if (hashes.length > 0 && blockBytes === 0) throw new Malformed('hashes of blocks without a size');
  return { path, attributes, blockBytes, hashes };
}

export function readWants(r: WireReader): Wants {
  let number = 0;
  const entries: WantedEntry[] = [];
  // Of all entries together: a few bytes may not become a million lists.
  const room = { blocks: frameBytesMax };
  const readWanted = (inner: WireReader): WantedEntry => wanted(inner, room);
  for (let tag = r.tag(); tag !== 0; tag = r.tag()) {
    if (tag === 8) number = r.safe();
    else if (tag === 18) r.entry(entries, listMax, (inner) => inner.message(readWanted));
    else r.skip(tag);
  }
  return { kind: 'wants', number, entries };
}

function wanted(r: WireReader, room: { blocks: number }): WantedEntry {
  let path: Buffer = none;
  let whole = false;
  const blocks: number[] = [];
  const readBlock = (inner: WireReader): void => {
    inner.entry(blocks, Math.min(frameBytesMax, room.blocks), (one) => one.uint32());
  };
  for (let tag = r.tag(); tag !== 0; tag = r.tag()) {
    if (tag === 10) path = readPath(r, 'root');
    else if (tag === 16) whole = r.bool();
    else if (tag === 24) readBlock(r);
    else if (tag === 26)
      r.message((inner) => {
        while (inner.more) readBlock(inner);
      });
    else r.skip(tag);
  }
  room.blocks -= blocks.length;
  return { path, whole, blocks };
}

export function readBegin(r: WireReader): Begin {
  let number = 0;
  let consistent = false;
  for (let tag = r.tag(); tag !== 0; tag = r.tag()) {
    if (tag === 8) number = r.safe();
    else if (tag === 16) consistent = r.bool();
    else r.skip(tag);
  }
  return { kind: 'begin', number, consistent };
}

export function readStreamEnd(r: WireReader): StreamEnd {
  let stream = 0;
  let bytes = 0;
  for (let tag = r.tag(); tag !== 0; tag = r.tag()) {
    if (tag === 8) stream = r.uint32();
    else if (tag === 16) bytes = r.safe();
    else r.skip(tag);
  }
  return { kind: 'stream-end', stream, bytes };
}

export function readStreamAbort(r: WireReader): StreamAbort {
  let stream = 0;
  for (let tag = r.tag(); tag !== 0; tag = r.tag()) {
    if (tag === 8) stream = r.uint32();
    else r.skip(tag);
  }
  return { kind: 'stream-abort', stream };
}

export function readCommit(r: WireReader): Commit {
  let number = 0;
  let sequence = 0;
  let checksum = unknownChecksum;
  let consistent = false;
  const hot: Buffer[] = [];
  const history: EpochEnd[] = [];
  for (let tag = r.tag(); tag !== 0; tag = r.tag()) {
    switch (tag) {
      case 8:
        number = r.safe();
        break;
      case 16:
        sequence = r.safe();
        break;
      case 25:
        checksum = r.fixed64();
        break;
      case 32:
        consistent = r.bool();
        break;
      case 42:
        r.entry(hot, listMax, readAnyPath);
        break;
      case 50:
        readHistory(r, history);
        break;
      default:
        r.skip(tag);
    }
  }
  return { kind: 'commit', number, sequence, checksum, consistent, hot, history };
}

export function readAck(r: WireReader): Ack {
  let number = 0;
  let sequence = 0;
  let checksum = unknownChecksum;
  for (let tag = r.tag(); tag !== 0; tag = r.tag()) {
    if (tag === 8) number = r.safe();
    else if (tag === 16) sequence = r.safe();
    else if (tag === 25) checksum = r.fixed64();
    else r.skip(tag);
  }
  return { kind: 'ack', number, sequence, checksum };
}

export function readBeat(r: WireReader): Beat {
  let behindBytes = 0;
  let behindMs = 0;
  let waiting = '';
  let sequence = 0;
  let sentAtMs = 0;
  let echoSentAtMs = 0;
  let receivedBytes = 0;
  let says = '';
  let diverged = false;
  for (let tag = r.tag(); tag !== 0; tag = r.tag()) {
    switch (tag) {
      case 8:
        behindBytes = r.safe();
        break;
      case 17:
        behindMs = r.double();
        break;
      case 26:
        waiting = r.text(textBytesMax);
        break;
      case 32:
        sequence = r.safe();
        break;
      case 41:
        sentAtMs = r.double();
        break;
      case 49:
        echoSentAtMs = r.double();
        break;
      case 56:
        receivedBytes = r.safe();
        break;
      case 66:
        says = r.text(textBytesMax);
        break;
      case 72:
        diverged = r.bool();
        break;
      default:
        r.skip(tag);
    }
  }
  return {
    kind: 'beat',
    behindBytes,
    behindMs,
    waiting,
    sequence,
    sentAtMs,
    echoSentAtMs,
    receivedBytes,
    says,
    diverged,
  };
}
