/** What `check` says of mirrors, and what it proposes. */
import { parseConfig, sceneOf, newQuorum, type QuorumState } from '@holdfast/core';
import { admin } from '@holdfast/proto';
import { mirrorProblems } from '../src/mirror-problems.ts';

const members = ['a', 'b', 'c'].map((id, index) => ({
  id,
  role: 'server' as const,
  addresses: [`10.77.0.1${index}`],
  voter: false,
}));
const yaml = {
  groups: {
    d3: {
      servers: ['a', 'b'],
      identity: { mode: 'add', addresses: ['10.77.0.100/24'] },
      mirrors: { data: { files: { root: '/srv/d3' } } },
    },
  },
  mirrors: { home: { from: { server: 'b', files: { root: '/srv/x' } }, to: ['c'] } },
};

function stateWithConfig(): QuorumState {
  const parsed = parseConfig(yaml, 'cluster.yaml', members);
  if (parsed.kind === 'invalid') throw new Error(parsed.errors.join('\n'));
  const state = newQuorum('w', true, 1, 0);
  return {
    ...state,
    view: { ...state.view, config: { value: parsed.config, text: '', modRevision: 1n, changedAt: 0 } },
  };
}

const state = stateWithConfig();
const inStep = { state: 'replicating', consistent: true };

function problemsOf(row: Partial<admin.MirrorTargetStatus>, all = false) {
  const groups = [...(state.view.config?.value.groups.values() ?? [])];
  const status = admin.MirrorStatus.fromPartial({ kind: 'files', source: 'a', targets: { b: row } });
  return mirrorProblems(state, sceneOf(state, 0), { groups, all }, () => ({ data: status }));
}

describe('problems of mirrors', () => {
  it('are none while a copy is in step', () => {
    expect(problemsOf(inStep)).toEqual([]);
  });

  it('name the state, and what to do about it', () => {
    expect(problemsOf({ state: 'paused', consistent: true, says: 'backup' })).toEqual([
      {
        name: 'mirror',
        server: 'b',
        says: 'the copy of d3/data on b is complete up to then and paused: backup',
        fix: 'holdfast mirror resume d3/data --target b',
      },
    ]);
  });

  it('name files that never hold still, at their source', () => {
    expect(problemsOf({ ...inStep, hot: 2, hotFiles: ['orders.db'] })).toMatchObject([
      {
        name: 'mirror-hot',
        server: 'a',
        says: '2 files (orders.db, ...) of d3/data never hold still: on b they may be of two moments',
      },
    ]);
  });

  it('name changes by others, with the command that mends them, and a folder without protection', () => {
    expect(problemsOf({ ...inStep, foreignChanges: 3, unprotected: 'no right to mount' })).toMatchObject([
      {
        name: 'mirror-foreign',
        server: 'b',
        fix: 'compare and mend it: holdfast mirror verify d3/data --target b --repair',
      },
      {
        name: 'mirror-unprotected',
        server: 'b',
        says: 'the copy of d3/data on b is not protected against writes of others: no right to mount',
      },
    ]);
  });

  it('are looked for in mirrors without a failover, too', () => {
    expect(problemsOf(inStep, true)).toMatchObject([{ name: 'mirror', server: 'c' }]);
  });
});
