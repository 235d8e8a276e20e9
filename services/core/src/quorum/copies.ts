/**
 * What a takeover would lose, by what is known of the copies (rule 10), in words and in figures.
 *
 *   K1  whose data counts is on record: the last owner that may have written. It is never blocked by a mirror
 *   K2  a copy that is not complete, or of which nothing is known, is not taken over to without force
 *   K3  how far a copy is behind is what its source last said of it, and the time since, for as long as the source was
 *       heard afterwards. What the gate does not allow waits, asks or goes on, as configured
 *   K4  what is shown as the loss of this moment, with its age, is never less than what a power cut would take now: nobody knows
 *       what was written since the source looked, so that all the time since counts, whether or not it was heard
 */

import type { DatasetConfig, GroupConfig } from '../config/types.ts';
import { formatDuration, formatSize } from '../config/quantity.ts';
import { figuresAgeMs, freshWordMs, type MirrorCopy, type MirrorState } from '../mirror/report.ts';
import { mirrorId, mirrorsOf } from '../mirror/mirror-id.ts';
import { pausedBy } from '../mirror/roles.ts';
import type { BootMs, Epoch, MemberId, MirrorId } from '../names.ts';
import type { GroupRecord } from '../records.ts';
import { claimOf, lastSound } from '../vantage.ts';
import { heardAt, lastOwner, reportFor, saysFenced, seconds, type Scene } from './scene.ts';
import { pausesOf } from './view.ts';

/** Null: not known. */
export interface Loss {
  readonly ms: number | null;
  readonly bytes: number | null;
}

interface CopyVerdict {
  /** Null: no mirror stands in the way. */
  readonly blocker: string | null;
  /** Null: nobody need be asked. */
  readonly ask: string | null;
  readonly loss: Loss;
}

/** What the source said last of what a copy lacks. */
interface Word extends Loss {
  readonly ms: number;
  /** When it was heard here. */
  readonly at: BootMs;
  /** How old it was by then, at most. */
  readonly ageMs: number;
}

/** K4. By the last word of the source; what was written in the `ageMs` since comes on top. */
export interface LossNow extends Loss {
  readonly ageMs: number;
}

/** Whose copies, and since which epoch. */
type Source = Pick<DataHolder, 'server' | 'epoch'>;

/** Whose data counts, and of which epoch. */
interface DataHolder {
  readonly server: MemberId;
  readonly epoch: Epoch;
  /** A later owner that was never heard active may have written for so long, at most. */
  readonly besides: number;
}

const nothing: Loss = { ms: 0, bytes: 0 };
const unknown: Loss = { ms: null, bytes: null };
/** Beats, renewals and heartbeats are this coarse against each other. */
export const coarseMs = 2_000;
/** A planned move drains what is left: more than this would keep the service waiting. */
const inStepMs = 30_000;
const silentMs = 5_000;
const firstReadMs = 5_000;

/** K1. Null: nobody ever wrote. */
export function dataHolder(scene: Scene, group: string, record: GroupRecord | null): DataHolder | null {
  const last = lastOwner(record);
  if (record === null || last === null) return null;
  const { ownership, data } = record;
  const { epoch } = ownership;
  if (data === undefined) return { server: last, epoch, besides: 0 };
  const onRecord = (besides: number): DataHolder => ({ server: data.server, epoch: data.epoch, besides });
  if (ownership.kind === 'unowned' || data.epoch === epoch) return onRecord(0);
  const word = saysFenced(scene, last, group, epoch);
  if (word === 'failed') return onRecord(0);
  if (word !== null || heardActive(scene, last, group, epoch)) return { server: last, epoch, besides: 0 };
  const givenAt = scene.view.groups.get(group)?.changedAt ?? scene.now;
  return onRecord(Math.max(0, heardAt(scene, last) + scene.heartbeatMs - givenAt));
}

function heardActive(scene: Scene, server: MemberId, group: string, epoch: Epoch): boolean {
  const words = [reportFor(scene, server, group), claimOf(scene.vantage, server, group)];
  return words.some((w) => w?.epoch === epoch && w.state !== 'acquiring');
}

export function judgeCopies(
  scene: Scene,
  config: GroupConfig,
  record: GroupRecord | null,
  server: MemberId,
): CopyVerdict {
  const fine: CopyVerdict = { blocker: null, ask: null, loss: nothing };
  if (config.mirrors.length === 0) return fine;
  const holder = dataHolder(scene, config.name, record);
  if (holder === null) {
    const first = config.servers[0];
    if (server === first) return fine;
    const blocker = `nothing was ever copied to ${server}: ${config.name} begins on ${String(first)}`;
    return { blocker, ask: null, loss: unknown };
  }
  // Who was given the group has the data that counts, or the copy that was judged when it was given.
  if (server === lastOwner(record)) return fine;
  const besides: Loss = holder.besides === 0 ? nothing : { ms: holder.besides, bytes: null };
  if (server === holder.server) return gated(config, `what was written since ${server} owned it`, besides);
  let loss = besides;
  for (const mirror of mirrorsOf(config)) {
    const copy = copyOf(scene, server, mirror);
    const blocker = incomplete(server, mirror, copy);
    if (blocker !== null) return { blocker, ask: null, loss: unknown };
    loss = worse(loss, lossOf(scene, config, holder, server, copy));
  }
  return gated(config, `the copy on ${server}`, loss);
}

function copyOf(scene: Pick<Scene, 'view'>, server: MemberId, mirror: MirrorId): MirrorCopy | null {
  return scene.view.renewals.get(server)?.value.mirrors?.find((m) => m.mirror === mirror) ?? null;
}

/** K2. */
function incomplete(server: MemberId, mirror: MirrorId, copy: MirrorCopy | null): string | null {
  if (copy === null) return `nothing is known of the copy of ${mirror} on ${server}`;
  if (!copy.consistent)
    return `the copy of ${mirror} on ${server} is not complete (${stateWords(copy.state)})`;
  if (copy.state === 'diverged') {
    const why = copy.says === '' ? '' : `: ${copy.says}`;
    return `the copy of ${mirror} on ${server} has writes of its own that are not kept aside yet${why}`;
  }
  return null;
}

/** K3. */
function lossOf(
  scene: Scene,
  config: GroupConfig,
  holder: DataHolder,
  server: MemberId,
  copy: MirrorCopy | null,
): Loss {
  return isDrained(scene, config.name, holder, server) ? nothing : lackOf(scene, holder, server, copy);
}

/** What a copy lacks of what its source has written while it lived. */
export function lackOf(scene: Scene, source: Source, target: MemberId, copy: MirrorCopy | null): Loss {
  const word = wordOn(scene, source, target, copy);
  if (word === null) return unknown;
  return { ms: word.ms + Math.max(0, aliveAt(scene, source.server) - word.at), bytes: word.bytes };
}

/** Null: nothing is known. */
function wordOn(scene: Scene, holder: Source, server: MemberId, copy: MirrorCopy | null): Word | null {
  if (copy === null) return null;
  const renewedAt = scene.view.renewals.get(server)?.changedAt ?? scene.now;
  const { epoch, lossMs, wordAgeMs } = copy;
  const known = epoch === holder.epoch && lossMs !== null && wordAgeMs !== null;
  const wordAt = known ? renewedAt - wordAgeMs : -Infinity;
  // The source itself tells what this target lacks, also while it can't reach it.
  const live = scene.vantage.ears.get(holder.server)?.mirrors.get(`${copy.mirror} ${server}`);
  const told = live !== undefined && live.row.epoch === holder.epoch && live.at > wordAt - coarseMs;
  if (told && (known || live.row.state === 'replicating')) {
    const { behindMs, behindBytes } = live.row;
    return { ms: behindMs, bytes: behindBytes, at: live.at, ageMs: figuresAgeMs };
  }
  if (!known) return null;
  const gapMs = Math.max(0, aliveAt(scene, holder.server) - wordAt);
  const ageMs = wordAgeMs === 0 ? freshWordMs : 0;
  return { ms: lossMs, bytes: gapMs < coarseMs ? copy.lossBytes : null, at: wordAt, ageMs };
}

/** The copy on `to` holds everything of this epoch: its owner drained it before it was fenced, and says so. */
export function isDrained(
  scene: Scene,
  group: string,
  from: Pick<DataHolder, 'server' | 'epoch'>,
  to: MemberId,
): boolean {
  const words = [reportFor(scene, from.server, group), claimOf(scene.vantage, from.server, group)];
  return words.some((w) => w?.epoch === from.epoch && w.drained?.includes(to) === true);
}

/** When its host was last known to live. What this process only read when it began says nothing of when it was written. */
function aliveAt(scene: Scene, server: MemberId): BootMs {
  const heard = lastSound(scene.vantage, server);
  const renewedAt = scene.view.renewals.get(server)?.changedAt ?? -Infinity;
  const seen = renewedAt > scene.vantage.since + firstReadMs ? renewedAt : -Infinity;
  return heard === null && seen === -Infinity ? scene.now : Math.max(heard ?? -Infinity, seen);
}

function worse(a: Loss, b: Loss): Loss {
  return {
    ms: a.ms === null || b.ms === null ? null : Math.max(a.ms, b.ms),
    bytes: a.bytes === null || b.bytes === null ? null : a.bytes + b.bytes,
  };
}

function gated(config: GroupConfig, what: string, loss: Loss): CopyVerdict {
  const stale = staleness(config, loss);
  if (stale === null) return { blocker: null, ask: null, loss };
  const says = `${what} ${stale}`;
  switch (config.gate.onStale) {
    case 'wait':
      return { blocker: says, ask: null, loss };
    case 'ask':
      return { blocker: null, ask: says, loss };
    case 'takeover':
      return { blocker: null, ask: null, loss };
  }
}

/** What the gate does not allow; null when it does. */
function staleness({ gate }: GroupConfig, loss: Loss): string | null {
  if (loss.ms === null) return 'may be behind, and by how much is not known';
  if (gate.maxLagMs !== null && loss.ms > gate.maxLagMs)
    return `is ${seconds(loss.ms)} behind, and the gate allows ${formatDuration(gate.maxLagMs)}`;
  if (gate.maxBytes === null) return null;
  const allows = `and the gate allows ${formatSize(gate.maxBytes)}`;
  if (loss.bytes === null) return `is behind by an unknown number of bytes, ${allows}`;
  return loss.bytes > gate.maxBytes ? `is ${bytesText(loss.bytes)} behind, ${allows}` : null;
}

/** Why a planned move to this server would have to wait for a mirror; null when all are in step. */
export function notInStep(
  scene: Scene,
  config: GroupConfig,
  record: GroupRecord | null,
  server: MemberId,
): string | null {
  const holder = dataHolder(scene, config.name, record);
  if (holder === null || holder.server === server) return null;
  for (const mirror of mirrorsOf(config)) {
    const copy = copyOf(scene, server, mirror);
    const what = `the copy of ${mirror} on ${server}`;
    const paused = pausedBy(pausesOf(scene.view), mirror, server);
    if (copy === null) return `nothing is known of ${what}`;
    if (paused !== null) return `${what} is paused${paused === '' ? '' : ` (${paused})`}`;
    const says = copy.says === '' ? '' : `: ${copy.says}`;
    if (!copy.consistent || copy.state !== 'replicating')
      return `${what} is not in step (${stateWords(copy.state)}${says})`;
    if (copy.epoch !== holder.epoch || copy.lossMs === null || copy.wordAgeMs === null)
      return `${what} has not heard of ${holder.server} yet`;
    if (copy.wordAgeMs > silentMs) return `${what} has heard nothing for ${seconds(copy.wordAgeMs)}`;
    // Where nothing is known to be missing, only how long nobody looked, the drain looks (lossBytes 0).
    if (copy.lossMs > inStepMs && copy.lossBytes !== 0) return `${what} is ${seconds(copy.lossMs)} behind`;
  }
  return null;
}

function stateWords(state: MirrorState): string {
  return state === 'initial-copy' ? 'initial copy' : state;
}

/** K4. What would be lost if the source died at this moment and this server took over. */
export function lossNow(
  scene: Scene,
  config: GroupConfig,
  record: GroupRecord | null,
  server: MemberId,
): LossNow {
  const holder = dataHolder(scene, config.name, record);
  const ofVerdict = (): LossNow => ({ ...judgeCopies(scene, config, record, server).loss, ageMs: 0 });
  if (holder === null || server === holder.server || server === lastOwner(record)) return ofVerdict();
  const { besides } = holder;
  let now: LossNow = { ms: besides, bytes: besides === 0 ? 0 : null, ageMs: 0 };
  for (const { name, dataset } of config.mirrors) {
    const mirror = mirrorId(config.name, name);
    const copy = copyOf(scene, server, mirror);
    if (incomplete(server, mirror, copy) !== null) return { ...unknown, ageMs: 0 };
    if (isDrained(scene, config.name, holder, server)) continue;
    const word = wordOn(scene, holder, server, copy);
    if (word === null) return { ...unknown, ageMs: 0 };
    const ageMs = word.ageMs + Math.max(0, scene.now - word.at);
    const isSure = copy?.state === 'replicating' && word.ms + ageMs <= sureMs(dataset);
    now = { ...worse(now, word), ageMs: Math.max(now.ageMs, isSure ? 0 : ageMs) };
  }
  return now;
}

/** A source with a copy in step answers nothing for so long that this copy does not have. */
function sureMs(dataset: DatasetConfig): number {
  if (dataset.kind !== 'volume' || dataset.mode !== 'sync') return 0;
  return dataset.onTargetLoss === 'block' ? Infinity : dataset.targetLossMs;
}

/** For the reason of a takeover. */
export function lossText(loss: Loss): string {
  const { ms, bytes } = loss;
  if (ms === 0 && bytes === 0) return 'none';
  if (ms === null && bytes === null) return 'not known';
  const parts = [
    ms === null ? 'an unknown time' : seconds(ms),
    bytes === null ? 'an unknown number of bytes' : bytesText(bytes),
  ];
  return parts.join(' and ');
}

function bytesText(bytes: number): string {
  const units = ['bytes', 'KiB', 'MiB', 'GiB', 'TiB'];
  let value = bytes;
  let unit = 0;
  while (value >= 1_024 && unit < units.length - 1) {
    value /= 1_024;
    unit += 1;
  }
  return unit === 0 ? `${String(Math.round(value))} bytes` : `${value.toFixed(1)} ${String(units[unit])}`;
}
