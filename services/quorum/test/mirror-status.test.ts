/** What administrators see of a target, from what its source tells and what it told itself. */
import { newQuorum, parseConfig, sceneOf, type LiveMirror, type MirrorCopy } from '@holdfast/core';
import { copyMirrors } from '../src/mirror-status.ts';

const members = ['a', 'b'].map((id, index) => ({
  id,
  role: 'server' as const,
  addresses: [`10.77.0.1${index}`],
  voter: false,
}));
const volume = { path: '/dev/vg0/x', size: '1GiB' };
const yaml = { groups: {}, mirrors: { copy: { from: { server: 'a', volume }, to: ['b'] } } };

/** The row of b. `live` null: its source, which is heard, tells nothing of it. `now`: a is heard then, b renewed at 0. */
function shown(live: Partial<LiveMirror> | null, told: Partial<MirrorCopy>, now = 0): unknown {
  const parsed = parseConfig(yaml, 'cluster.yaml', members);
  if (parsed.kind === 'invalid') throw new Error(parsed.errors.join('\n'));
  const state = newQuorum('w', true, 1, 0);
  const config = { value: parsed.config, text: '', modRevision: 1n, changedAt: 0 };
  const scene = sceneOf({ ...state, view: { ...state.view, config } }, now);
  const from = parsed.config.mirrors.get('copy')?.from;
  const epoch = from?.kind === 'server' ? from.epoch : 0n;
  const row = { ...rowOf, mirror: 'copy', epoch, target: 'b', ...live };
  const mirrors = new Map(live === null ? [] : [['copy b', { row, at: 0 }]]);
  const ears = new Map([['a', { told: { at: now, rows: [] }, mirrors }]]);
  const copies = [{ ...copyOf, mirror: 'copy', epoch, ...told }];
  const renewals = new Map([['b', { value: { mirrors: copies }, changedAt: 0 }]]);
  const seen = {
    ...scene,
    vantage: { ...scene.vantage, ears: heard(ears, now) },
    view: { ...scene.view, renewals },
  } as unknown as typeof scene;
  const status = copyMirrors({ ...state, view: { ...state.view, config } }, seen);
  return status['copy']?.targets['b'];
}

/** By its source, at this moment. */
function heard(ears: ReadonlyMap<string, object>, at: number): ReadonlyMap<string, object> {
  return new Map([...ears].map(([member, ear]) => [member, { ...ear, paths: new Map([['p', { at }]]) }]));
}

const rowOf = {
  ...{ state: 'disconnected', consistent: true, behindBytes: 65_536, behindMs: 5, totalBytes: 0 },
  ...{ doneBytes: 0, rateBytesPerSecond: 0, says: 'the other side hung up' },
};
const copyOf = {
  ...{ sequence: 5, consistent: false, state: 'failed', lossMs: 0, lossBytes: 0, wordAgeMs: 0 },
  says: "the volume can't be written here: EIO",
};

describe('a target of which its source sees that it is not there', () => {
  it('is failed, or diverged, when it says so itself, with its reason', () => {
    expect(shown({}, {})).toMatchObject({
      ...{ state: 'failed', consistent: false, says: copyOf.says, behindBytes: 65_536 },
    });
    expect(shown({}, { state: 'diverged' })).toMatchObject({ state: 'diverged' });
  });

  it('says whole what a heartbeat had no room for', () => {
    const state = 'waiting' as const;
    expect(shown({ state, says: `${copyOf.says.slice(0, 20)}…` }, {})).toMatchObject({ says: copyOf.says });
    expect(shown({ state, says: 'something else…' }, {})).toMatchObject({ says: 'something else…' });
  });

  it('is what its source sees otherwise', () => {
    expect(shown({}, { state: 'resync' })).toMatchObject({ state: 'disconnected', consistent: true });
    expect(shown({ state: 'replicating' }, {})).toMatchObject({ state: 'replicating' });
    expect(shown({ state: 'paused' }, {})).toMatchObject({ state: 'paused' });
  });
});

describe('a target of which its source tells nothing any more', () => {
  const replicating = { state: 'replicating', consistent: true, says: '' } as const;

  it('lacks what it said when it renewed last', () => {
    expect(shown(null, { ...replicating, lossMs: 40, lossBytes: 9 })).toMatchObject({
      ...{ state: 'disconnected', behindMs: 40, behindBytes: 9, behindUnknown: false },
    });
  });

  it('is behind by nobody knows how much where its source lived on, as an owner that is fenced', () => {
    expect(shown(null, replicating, 60_000)).toMatchObject({ state: 'disconnected', behindUnknown: true });
  });
});
