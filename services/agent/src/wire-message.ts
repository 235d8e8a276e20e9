/**
 * Messages between members: core's form and the protobuf form, both ways. What comes in has passed its seal, yet may be
 * of another version: a row that makes no sense is left out, a message that makes none is refused as a whole.
 *
 * An absent echo or round trip is 0 on the wire: both are never exactly 0 when measured. An absent boot is empty, an
 * absent wait 0.
 */

import {
  mirrorStates,
  type Heartbeat,
  type HoldingState,
  type LiveMirror,
  type Message,
} from '@holdfast/core';
import type { heartbeat as wire } from '@holdfast/proto';

export type Body = NonNullable<wire.Envelope['body']>;

const states: readonly HoldingState[] = ['acquiring', 'active', 'releasing', 'fenced', 'failed'];
const rowsMax = 512;
const pathMax = 15;
const mirrorsMax = 16;
const bootIdMax = 64;
/** Of what the rows of one heartbeat say together; each has room for the beginning of a sentence. */
const saysRoom = 320;
const saysMin = 80;
/** A heartbeat is one datagram: the ends of two names are enough to find the files. */
const hotNamedMax = 2;
const hotNameMax = 60;
/** No outage that can be configured has a longer wait. */
const waitMsMax = 3_600_000;

/** `wallMs`: our wall clock, so that others can tell how far theirs is off. */
export function toBody(message: Message, wallMs: number): Body {
  switch (message.kind) {
    case 'heartbeat':
      return { $case: 'heartbeat', value: toHeartbeat(message, wallMs) };
    case 'hold-request': {
      const { group, epoch, round, waitMs = 0 } = message;
      return { $case: 'holdRequest', value: { group, epoch, round: BigInt(round), waitMs } };
    }
    case 'hold-promise': {
      const { group, epoch, round, promised, reason } = message;
      return {
        $case: 'holdPromise',
        value: { group, epoch, round: BigInt(round), promised, reason: reason.slice(0, 200) },
      };
    }
    case 'sighting-request': {
      const { round, addresses } = message;
      return { $case: 'sightingRequest', value: { round: BigInt(round), addresses: [...addresses] } };
    }
    case 'sighting': {
      const { round, address, linkAddress } = message;
      return { $case: 'sighting', value: { round: BigInt(round), address, linkAddress: linkAddress ?? '' } };
    }
  }
}

function toHeartbeat(beat: Heartbeat, wallMs: number): wire.Heartbeat {
  return {
    sentAtMs: beat.sentAt,
    echoSentAtMs: beat.echo?.sentAt ?? 0,
    echoAgeMs: beat.echo?.ageMs ?? 0,
    version: beat.version,
    bootId: beat.bootId ?? '',
    leaving: beat.leaving,
    addresses: [...beat.addresses],
    groups: beat.groups.map(({ group, epoch, state, drained }) => ({
      group,
      epoch,
      state,
      drained: [...(drained ?? [])],
    })),
    vantage: beat.vantage.map(({ member, path, ageMs, rttMs }) => ({
      member,
      path,
      ageMs,
      rttMs: rttMs ?? 0,
    })),
    wallMs,
    diagnoses: beat.diagnoses.map(({ member, path, says }) => ({ member, path, says: says.slice(0, 120) })),
    mirrors: toLiveRows((beat.mirrors ?? []).slice(0, mirrorsMax)),
  };
}

function toLiveRows(rows: readonly LiveMirror[]): wire.LiveMirror[] {
  const saying = rows.filter(({ says }) => says !== '').length;
  const saysMax = Math.max(saysMin, Math.floor(saysRoom / Math.max(1, saying)));
  return rows.map((row) => toLive(row, saysMax));
}

function toLive({ hot, export: exported = '', ...row }: LiveMirror, saysMax: number): wire.LiveMirror {
  const says = row.says.length > saysMax ? `${row.says.slice(0, saysMax - 1)}…` : row.says;
  const named = (hot?.named ?? []).slice(0, hotNamedMax).map((name) => name.slice(-hotNameMax));
  return { ...row, says, export: exported, hot: hot?.count ?? 0, hotFiles: named };
}

/** Null for what no member of this version means. */
export function fromBody(body: Body): Message | null {
  switch (body.$case) {
    case 'heartbeat':
      return fromHeartbeat(body.value);
    case 'holdRequest': {
      const { group, epoch, waitMs } = body.value;
      const round = wholeNumber(body.value.round);
      if (group === '' || round === null || !isTime(waitMs) || waitMs > waitMsMax) return null;
      return { kind: 'hold-request', group, epoch, round, ...(waitMs === 0 ? {} : { waitMs }) };
    }
    case 'holdPromise': {
      const { group, epoch, promised, reason } = body.value;
      const round = wholeNumber(body.value.round);
      if (group === '' || round === null) return null;
      return { kind: 'hold-promise', group, epoch, round, promised, reason };
    }
    case 'sightingRequest': {
      const round = wholeNumber(body.value.round);
      if (round === null) return null;
      return { kind: 'sighting-request', round, addresses: body.value.addresses.slice(0, 64) };
    }
    case 'sighting': {
      const round = wholeNumber(body.value.round);
      if (round === null) return null;
      const { address, linkAddress } = body.value;
      return { kind: 'sighting', round, address, linkAddress: linkAddress === '' ? null : linkAddress };
    }
  }
}

function fromHeartbeat(beat: wire.Heartbeat): Heartbeat | null {
  if (!isTime(beat.sentAtMs) || !isTime(beat.echoSentAtMs) || !isTime(beat.echoAgeMs)) return null;
  return {
    kind: 'heartbeat',
    sentAt: beat.sentAtMs,
    echo: beat.echoSentAtMs === 0 ? null : { sentAt: beat.echoSentAtMs, ageMs: beat.echoAgeMs },
    version: beat.version,
    ...(beat.bootId === '' ? {} : { bootId: beat.bootId.slice(0, bootIdMax) }),
    leaving: beat.leaving,
    addresses: beat.addresses.slice(0, pathMax + 1),
    groups: beat.groups.slice(0, rowsMax).flatMap(({ group, epoch, state, drained }) => {
      const known = states.find((s) => s === state);
      return group === '' || known === undefined
        ? []
        : [{ group, epoch, state: known, ...(drained.length === 0 ? {} : { drained }) }];
    }),
    vantage: beat.vantage.slice(0, rowsMax).flatMap(({ member, path, ageMs, rttMs }) => {
      if (member === '' || path > pathMax || !isTime(ageMs) || !isTime(rttMs)) return [];
      return [{ member, path, ageMs, rttMs: rttMs === 0 ? null : rttMs }];
    }),
    diagnoses: beat.diagnoses
      .slice(0, rowsMax)
      .flatMap(({ member, path, says }) => (member === '' || path > pathMax ? [] : [{ member, path, says }])),
    ...(beat.mirrors.length === 0 ? {} : { mirrors: beat.mirrors.slice(0, mirrorsMax).flatMap(fromLive) }),
  };
}

function fromLive(m: wire.LiveMirror): readonly LiveMirror[] {
  const state = mirrorStates.find((s) => s === m.state);
  const figures = [m.behindBytes, m.behindMs, m.totalBytes, m.doneBytes, m.rateBytesPerSecond];
  if (m.mirror === '' || m.target === '' || state === undefined || !figures.every(isTime)) return [];
  const { export: exported, hot: count, hotFiles, ...row } = m;
  const named = hotFiles.slice(0, hotNamedMax).map((name) => name.slice(0, hotNameMax));
  return [
    {
      ...row,
      state,
      ...(exported === '' ? {} : { export: exported }),
      ...(count === 0 ? {} : { hot: { count, named } }),
    },
  ];
}

function isTime(ms: number): boolean {
  return Number.isFinite(ms) && ms >= 0;
}

function wholeNumber(value: bigint): number | null {
  return value <= BigInt(Number.MAX_SAFE_INTEGER) ? Number(value) : null;
}
