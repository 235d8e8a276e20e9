/**
 * The mirrors as administrators see them. What a source tells in its heartbeats is the truth about its targets while it
 * is heard; otherwise what the targets themselves told with their last renewal, which nobody can better. That counts, too,
 * where a target says why it can't go on, and its source sees only that it is not there.
 */

import {
  isStuck,
  lackOf,
  lastOwner,
  lastSound,
  lossNow,
  mirrorId,
  type Case,
  type CopyConfig,
  type DatasetConfig,
  type LiveMirror,
  type MemberId,
  type MirrorCopy,
  type MirrorId,
  type QuorumState,
  type Scene,
} from '@holdfast/core';
import type { admin } from '@holdfast/proto';

type Targets = Record<string, admin.MirrorTargetStatus>;

export function groupMirrors(c: Case): Record<string, admin.MirrorStatus> {
  const own = c.record?.ownership;
  const source = own === undefined || own.kind === 'unowned' ? '' : own.owner;
  const epoch = own?.epoch ?? 0n;
  return Object.fromEntries(
    c.config.mirrors.map(({ name, dataset }) => {
      const id = mirrorId(c.config.name, name);
      const others = c.config.servers.filter((s) => s !== source);
      return [name, mirrorStatus(c.scene, { kind: dataset.kind, id, source, epoch, targets: others })];
    }),
  );
}

/** Mirrors without a failover, and the copies of a group's mirror elsewhere. */
export function copyMirrors(state: QuorumState, scene: Scene): Record<string, admin.MirrorStatus> {
  const copies = [...(state.view.config?.value.mirrors.values() ?? [])];
  return Object.fromEntries(copies.map((copy) => [copy.name, copyStatus(state, scene, copy)]));
}

function copyStatus(state: QuorumState, scene: Scene, copy: CopyConfig): admin.MirrorStatus {
  const { from, to, name } = copy;
  if (from.kind === 'server') {
    const { server: source, epoch, dataset } = from;
    return mirrorStatus(scene, { kind: dataset.kind, id: name, source, epoch, targets: to });
  }
  const own = state.view.groups.get(from.group)?.value.ownership;
  const source = own === undefined || own.kind === 'unowned' ? '' : own.owner;
  const group = state.view.config?.value.groups.get(from.group);
  const kind = group?.mirrors.find((m) => m.name === from.mirror)?.dataset.kind ?? 'files';
  const id = mirrorId(from.group, from.mirror);
  return mirrorStatus(scene, { kind, id, source, epoch: own?.epoch ?? 0n, targets: to });
}

interface Shown {
  readonly kind: DatasetConfig['kind'];
  readonly id: MirrorId;
  /** Empty: nobody. */
  readonly source: MemberId;
  readonly epoch: bigint;
  readonly targets: readonly MemberId[];
}

function mirrorStatus(scene: Scene, { kind, id, source, epoch, targets }: Shown): admin.MirrorStatus {
  let exported = '';
  const rows = targets.map((target): [string, admin.MirrorTargetStatus] => {
    const live = liveRow(scene, id, source, epoch, target);
    exported = live?.export ?? exported;
    const copy = copyTold(scene, id, target);
    const row = live === null ? toldRow(scene, { id, source, epoch }, target) : knownRow(live, copy);
    return [target, { ...row, says: wholeOf(row.says, copy?.says ?? ''), ...notesOf(copy) }];
  });
  return { kind, source, export: exported, targets: Object.fromEntries(rows) satisfies Targets };
}

/** Null when the source is silent, or says nothing of this target at this epoch. */
function liveRow(
  scene: Scene,
  id: MirrorId,
  source: MemberId,
  epoch: bigint,
  target: MemberId,
): LiveMirror | null {
  const heard = lastSound(scene.vantage, source);
  const live = scene.vantage.ears.get(source)?.mirrors.get(`${id} ${target}`);
  if (heard === null || live === undefined || live.row.epoch !== epoch) return null;
  return scene.now - heard < 5 * scene.heartbeatMs ? live.row : null;
}

/** A heartbeat may have room only for the beginning of a sentence, which the target itself told whole. */
function wholeOf(says: string, told: string): string {
  const beginning = says.endsWith('…') ? says.slice(0, -1) : says;
  return beginning !== '' && told.startsWith(beginning) ? told : says;
}

type Notes = Pick<admin.MirrorTargetStatus, 'foreignChanges' | 'unprotected' | 'keptAside'>;
type Row = Omit<admin.MirrorTargetStatus, keyof Notes>;

/** What only the target itself knows. */
function notesOf(copy: MirrorCopy | null): Notes {
  return {
    foreignChanges: copy?.foreign ?? 0,
    unprotected: copy?.unprotected ?? '',
    keptAside: copy?.kept ?? 0,
  };
}

function shownRow(row: LiveMirror): Row {
  return {
    state: row.state,
    consistent: row.consistent,
    behindBytes: Math.round(row.behindBytes),
    behindMs: Math.round(row.behindMs),
    totalBytes: Math.round(row.totalBytes),
    doneBytes: Math.round(row.doneBytes),
    rateBytesPerSecond: Math.round(row.rateBytesPerSecond),
    says: row.says,
    behindUnknown: false,
    hot: row.hot?.count ?? 0,
    hotFiles: [...(row.hot?.named ?? [])],
  };
}

function knownRow(live: LiveMirror, copy: MirrorCopy | null): Row {
  const row = shownRow(live);
  if (copy === null || live.state !== 'disconnected' || !isStuck(copy.state)) return row;
  const { state, consistent, says } = copy;
  return { ...row, state, consistent, says };
}

function toldRow(
  scene: Scene,
  { id, source, epoch }: Pick<Shown, 'id' | 'source' | 'epoch'>,
  target: MemberId,
): Row {
  const copy = copyTold(scene, id, target);
  const lack = lackAsTold(scene, { server: source, epoch }, target, copy);
  return {
    state: copy === null || copy.state === 'replicating' ? 'disconnected' : copy.state,
    consistent: copy?.consistent === true,
    behindBytes: Math.round(lack?.bytes ?? 0),
    behindMs: Math.round(lack?.ms ?? 0),
    totalBytes: 0,
    doneBytes: 0,
    rateBytesPerSecond: 0,
    says: copy === null ? 'it has told nothing of its copy yet' : copy.says,
    behindUnknown: lack === null,
    hot: 0,
    hotFiles: [],
  };
}

/** Null: not known, as where its source lived on after the last that was told of it. */
function lackAsTold(
  scene: Scene,
  source: { readonly server: MemberId; readonly epoch: bigint },
  target: MemberId,
  copy: MirrorCopy | null,
): { readonly ms: number; readonly bytes: number } | null {
  if (copy === null || copy.epoch !== source.epoch || copy.lossMs === null) return null;
  // Nobody writes.
  if (source.server === '')
    return copy.lossBytes === null ? null : { ms: copy.lossMs, bytes: copy.lossBytes };
  const { ms, bytes } = lackOf(scene, source, target, copy);
  return ms === null || bytes === null ? null : { ms, bytes };
}

function copyTold(scene: Scene, id: MirrorId, target: MemberId): MirrorCopy | null {
  return scene.view.renewals.get(target)?.value.mirrors?.find((m) => m.mirror === id) ?? null;
}

export interface Objective {
  readonly ms: number;
  readonly bytes: number;
  /** For so long nobody has told what was written: it comes on top. */
  readonly ageMs: number;
  readonly unknown: boolean;
}

/** What would be lost if the owner died now and the best of the others took over. */
export function leastLoss(c: Case): Objective {
  const none = { ms: 0, bytes: 0, ageMs: 0, unknown: false };
  if (c.config.mirrors.length === 0) return none;
  const last = lastOwner(c.record);
  const losses = c.config.servers.flatMap((server) => {
    if (server === last) return [];
    const { ms, bytes, ageMs } = lossNow(c.scene, c.config, c.record, server);
    return ms === null ? [] : [{ ms, bytes: bytes ?? 0, ageMs, unknown: bytes === null }];
  });
  losses.sort((a, b) => a.ms + a.ageMs - (b.ms + b.ageMs));
  return losses[0] ?? { ...none, unknown: true };
}
