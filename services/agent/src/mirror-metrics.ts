/**
 * What this member's mirrors are worth watching for, for Prometheus: each target as its source here sees it, and each copy
 * here as it sees itself. Read when somebody asks.
 */

import type { MirrorReport, MirrorRow, MirrorTargetReport } from '@holdfast/core';
import type { Host } from './host.ts';
import type { Labels, Metric, Sample } from './metric.ts';

interface MirrorMetric extends Omit<Metric, 'read'> {
  readonly read: (reports: readonly MirrorReport[]) => readonly Sample[];
}

const ofTarget = ['mirror', 'target'] as const;

export function mirrorMetrics(host: Host): readonly Metric[] {
  return [...fromSources, ...fromTargets(host.self), ...fromBoth(host.self)].map((metric) => ({
    ...metric,
    name: `mirror_${metric.name}`,
    read: () => metric.read(host.state().mirrors),
  }));
}

function rows(name: string, help: string, value: (row: MirrorRow) => number): MirrorMetric {
  return {
    name,
    help: `${help}, as the source here sees it`,
    labels: ofTarget,
    read: (reports) =>
      reports.flatMap((report) =>
        report.kind === 'target'
          ? []
          : report.targets.map((row): Sample => [{ mirror: report.mirror, target: row.target }, value(row)]),
      ),
  };
}

const fromSources: readonly MirrorMetric[] = [
  rows('behind_bytes', 'bytes that the target lacks', (row) => row.behindBytes),
  rows('behind_milliseconds', 'age of the oldest change that the target lacks', (row) => row.behindMs),
  rows('rate_bytes_per_second', 'contents that go out', (row) => row.rateBytesPerSecond),
  rows('copy_total_bytes', 'bytes of the copy or resync under way', (row) => row.totalBytes),
  rows('copy_done_bytes', 'bytes of it that went out', (row) => row.doneBytes),
  rows('hot_files', 'files that never held still', (row) => row.hot?.count ?? 0),
];

/** A copy tells only what it knows. */
function copies(
  self: string,
  name: string,
  help: string,
  value: (report: MirrorTargetReport) => number | null,
): MirrorMetric {
  return {
    name,
    help: `${help}, of the copy here`,
    labels: ofTarget,
    read: (reports) =>
      reports.flatMap((report): readonly Sample[] => {
        const known = report.kind === 'source' ? null : value(report);
        return known === null ? [] : [[{ mirror: report.mirror, target: self }, known]];
      }),
  };
}

/** Whatever its role is now: an owner keeps what it wrote in a former life, too. */
function kept(
  self: string,
  name: string,
  help: string,
  value: (kept: { readonly entries: number; readonly bytes: number }) => number,
): MirrorMetric {
  return {
    name,
    help: `${help}, here`,
    labels: ofTarget,
    read: (reports) =>
      reports.map((report): Sample => {
        const { keptEntries: entries = 0, keptBytes: bytes = 0 } =
          (report.kind === 'target' ? report.notes : undefined) ?? {};
        const here = report.kind === 'source' ? report.kept : { entries, bytes };
        return [{ mirror: report.mirror, target: self }, value(here ?? { entries: 0, bytes: 0 })];
      }),
  };
}

const fromTargets = (self: string): readonly MirrorMetric[] => [
  copies(self, 'sequence', 'number of the last change that is durable', ({ sequence }) => sequence),
  kept(self, 'kept_bytes', 'bytes that are kept aside after a divergence', ({ bytes }) => bytes),
  kept(self, 'kept_entries', 'entries that are kept aside after a divergence', ({ entries }) => entries),
  copies(
    self,
    'refused_epochs_total',
    'sources that were refused by their epoch',
    ({ refusedEpochs = null }) => refusedEpochs,
  ),
  copies(
    self,
    'foreign_changes',
    'entries that others changed, as the last search found',
    ({ notes }) => notes?.foreign ?? null,
  ),
  copies(self, 'protected', '1: nobody else can write there', ({ notes, consistent }) =>
    notes === undefined || !consistent ? null : Number(notes.unprotected === ''),
  ),
];

const bothLabels = [...ofTarget, 'seen_by'] as const;

/** Source and target each have an opinion; where both are watched the worse one counts. */
const fromBoth = (self: string): readonly MirrorMetric[] => [
  {
    name: 'state',
    help: '1 for the state that the target is in',
    labels: [...bothLabels, 'state'],
    read: (reports) => opinions(reports, self).map(([labels, { state }]) => [{ ...labels, state }, 1]),
  },
  {
    name: 'consistent',
    help: '1: the target is at one point in time of its source',
    labels: bothLabels,
    read: (reports) =>
      opinions(reports, self).map(([labels, { consistent }]) => [labels, Number(consistent)]),
  },
];

type Opinion = Pick<MirrorRow, 'state' | 'consistent'>;

function opinions(reports: readonly MirrorReport[], self: string): readonly (readonly [Labels, Opinion])[] {
  return reports.flatMap((report): readonly (readonly [Labels, Opinion])[] => {
    const { mirror } = report;
    return report.kind === 'target'
      ? [[{ mirror, target: self, seen_by: 'target' }, report]]
      : report.targets.map((row) => [{ mirror, target: row.target, seen_by: 'source' }, row] as const);
  });
}
