/** Mirrors as scripts read them (`-o json`): the shapes of the outside contract. */
import type { admin } from '@holdfast/proto';
import { isoTime } from '../text/amounts.ts';
import { plainText } from '../text/plain-text.ts';

export interface MirrorTargetView {
  readonly state: string;
  readonly consistent: boolean;
  /** Null: nobody knows. */
  readonly behindBytes: number | null;
  readonly behindMs: number | null;
  readonly totalBytes: number;
  readonly doneBytes: number;
  readonly rateBytesPerSecond: number;
  readonly says: string;
  /** Files that never held still: how many, and some of their names. */
  readonly hotFiles: number;
  readonly hot: readonly string[];
  /** Entries that others changed at the target, as its last search found. */
  readonly foreignChanges: number;
  /** Why the target's folder is not protected; empty while it is. */
  readonly unprotected: string;
  /** Entries that this member keeps aside of what it wrote as a former owner. */
  readonly keptAside: number;
}

export interface MirrorView {
  /** files | volume */
  readonly kind: string;
  /** Null while nobody owns the group. */
  readonly source: string | null;
  /** Only of a volume that is open on its source. */
  readonly export?: string;
  readonly targets: Readonly<Record<string, MirrorTargetView>>;
}

const figure = (value: number): number => (Number.isFinite(value) ? Math.max(0, Math.round(value)) : 0);

export function mirrorView({ kind, source, targets, export: exported }: admin.MirrorStatus): MirrorView {
  const names = Object.keys(targets).sort();
  return {
    kind,
    source: source === '' ? null : source,
    ...(exported === '' ? {} : { export: exported }),
    targets: Object.fromEntries(
      names.flatMap((name) => {
        const target = targets[name];
        return target === undefined ? [] : [[name, targetView(target)]];
      }),
    ),
  };
}

function targetView(target: admin.MirrorTargetStatus): MirrorTargetView {
  const unknown = target.behindUnknown;
  return {
    state: target.state,
    consistent: target.consistent,
    behindBytes: unknown ? null : figure(target.behindBytes),
    behindMs: unknown ? null : figure(target.behindMs),
    totalBytes: figure(target.totalBytes),
    doneBytes: figure(target.doneBytes),
    rateBytesPerSecond: figure(target.rateBytesPerSecond),
    says: target.says,
    hotFiles: target.hot,
    hot: target.hotFiles,
    foreignChanges: figure(target.foreignChanges),
    unprotected: target.unprotected,
    keptAside: figure(target.keptAside),
  };
}

/** Files have a path, volumes an extent. */
export type PlaceView = { readonly path: string } | { readonly offset: number; readonly length: number };

export function placeView(row: {
  readonly path: string;
  readonly offset?: bigint | undefined;
  readonly length?: bigint | undefined;
}): PlaceView {
  return row.offset === undefined || row.length === undefined
    ? { path: row.path }
    : { offset: Number(row.offset), length: Number(row.length) };
}

/** A path, or the offset: by it a person shows, restores and discards. */
export const placeText = (place: PlaceView): string =>
  'path' in place ? plainText(place.path) : String(place.offset);

/** One entry of the divergence store. */
export type KeptView = PlaceView & {
  readonly size: number;
  readonly modified: string | null;
  readonly change: string;
  readonly from: string;
  readonly epoch: string;
  readonly kept: boolean;
};

export function keptView(row: admin.MirrorKept): KeptView {
  const { size, modifiedMs, change, from, epoch, kept } = row;
  return {
    ...placeView(row),
    size: Number(size),
    modified: isoTime(modifiedMs),
    change,
    from,
    epoch: epoch.toString(),
    kept,
  };
}

export interface VerifyView {
  readonly target: string;
  readonly compared: number;
  /** How many differ; more than are listed when there are very many. */
  readonly differing: number;
  readonly differences: readonly DifferenceView[];
  /** What differed and was mended: a second comparison found it equal. */
  readonly mended: readonly DifferenceView[];
  readonly mendedCount: number;
  /** Not empty: it was not compared, and why. */
  readonly says: string;
}

export type DifferenceView = PlaceView & { readonly kind: string };
