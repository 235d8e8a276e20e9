/** What Prometheus reads of mirrors: of a source, of a copy, and nothing where there is neither. */
import type { MirrorReport } from '@holdfast/core';
import { Counter, Gauge, Registry } from 'prom-client';
import type { Host } from '../src/host.ts';
import { register } from '../src/metric.ts';
import { mirrorMetrics } from '../src/mirror-metrics.ts';

const source: MirrorReport = {
  kind: 'source',
  mirror: 'd3/data',
  epoch: 7n,
  sequence: 900,
  says: '',
  export: null,
  kept: { entries: 2, bytes: 700 },
  targets: [
    {
      target: 'b',
      state: 'waiting',
      consistent: true,
      behindBytes: 4_096,
      behindMs: 250,
      totalBytes: 0,
      doneBytes: 0,
      rateBytesPerSecond: 1_000,
      says: 'no space left on device',
      hot: { count: 2, named: ['orders.db'] },
    },
  ],
};

const copy: MirrorReport = {
  kind: 'target',
  mirror: 'offsite',
  epoch: 3n,
  sequence: 17,
  consistent: true,
  state: 'replicating',
  word: null,
  says: '',
  notes: { foreign: 5, unprotected: 'no right to mount', keptEntries: 1, keptBytes: 512 },
  refusedEpochs: 4,
};

async function textOf(reports: readonly MirrorReport[]): Promise<string> {
  const registry = new Registry();
  const host = { self: 'a', state: () => ({ mirrors: reports }) } as unknown as Host;
  register({ Counter, Gauge }, registry, mirrorMetrics(host));
  return registry.metrics();
}

async function metricsOf(reports: readonly MirrorReport[]): Promise<string[]> {
  const text = await textOf(reports);
  return text.split('\n').filter((line) => line !== '' && !line.startsWith('#'));
}

describe('metrics of mirrors', () => {
  it('tell of each target as its source sees it', async () => {
    expect(await metricsOf([source])).toEqual(
      expect.arrayContaining([
        'holdfast_mirror_behind_bytes{mirror="d3/data",target="b"} 4096',
        'holdfast_mirror_behind_milliseconds{mirror="d3/data",target="b"} 250',
        'holdfast_mirror_rate_bytes_per_second{mirror="d3/data",target="b"} 1000',
        'holdfast_mirror_hot_files{mirror="d3/data",target="b"} 2',
        'holdfast_mirror_kept_bytes{mirror="d3/data",target="a"} 700',
        'holdfast_mirror_state{mirror="d3/data",target="b",seen_by="source",state="waiting"} 1',
        'holdfast_mirror_consistent{mirror="d3/data",target="b",seen_by="source"} 1',
      ]),
    );
  });

  it('tell of each copy here as it sees itself', async () => {
    expect(await metricsOf([copy])).toEqual(
      expect.arrayContaining([
        'holdfast_mirror_sequence{mirror="offsite",target="a"} 17',
        'holdfast_mirror_kept_bytes{mirror="offsite",target="a"} 512',
        'holdfast_mirror_refused_epochs_total{mirror="offsite",target="a"} 4',
        'holdfast_mirror_foreign_changes{mirror="offsite",target="a"} 5',
        'holdfast_mirror_protected{mirror="offsite",target="a"} 0',
        'holdfast_mirror_state{mirror="offsite",target="a",seen_by="target",state="replicating"} 1',
      ]),
    );
  });

  it('say of each whether it only rises', async () => {
    const text = await textOf([copy]);
    expect(text).toContain('# TYPE holdfast_mirror_refused_epochs_total counter');
    expect(text).toContain('# TYPE holdfast_mirror_copy_total_bytes gauge');
  });

  it('say nothing of what is not known', async () => {
    const before: MirrorReport = { ...copy, notes: undefined };
    expect((await metricsOf([before])).filter((line) => line.includes('foreign'))).toEqual([]);
    expect(await metricsOf([])).toEqual([]);
  });
});
