/** Mirrors as scripts read them (`-o json`): the shapes of the outside contract. */
import type { admin } from '@holdfast/proto';
import { isoTime } from '../text/amounts.ts';

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
}

export interface MirrorView {
  /** files | volume */
  readonly kind: string;
  /** Null while nobody owns the group. */
  readonly source: string | null;
  readonly targets: Readonly<Record<string, MirrorTargetView>>;
}

const figure = (value: number): number => (Number.isFinite(value) ? Math.max(0, Math.round(value)) : 0);

export function mirrorView({ kind, source, targets }: admin.MirrorStatus): MirrorView {
  const names = Object.keys(targets).sort();
  return {
    kind,
    source: source === '' ? null : source,
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
  };
}

/** One entry of the divergence store. */
export interface KeptView {
  readonly path: string;
  readonly size: number;
  readonly modified: string | null;
  readonly change: string;
  readonly from: string;
  readonly epoch: string;
  readonly kept: boolean;
}

export function keptView(row: admin.MirrorKept): KeptView {
  const { path, size, modifiedMs, change, from, epoch, kept } = row;
  return {
    path,
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
  readonly differences: readonly { readonly path: string; readonly kind: string }[];
}
