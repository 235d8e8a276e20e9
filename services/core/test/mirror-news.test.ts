/** What a server tells as events of the copies that it holds. */
import { mirrorNews } from '../src/agent/mirroring.ts';
import type { MirrorReport, MirrorState, MirrorTargetReport, ToldMirrors } from '../src/mirror/report.ts';

const copy = (state: MirrorState, says = ''): MirrorReport => ({
  ...{
    kind: 'target',
    mirror: 'd3/disk',
    epoch: 1n,
    sequence: 1,
    consistent: false,
    state,
    word: null,
    says,
  },
});

/** The events of these states of one copy, one after the other. */
function told(reports: readonly MirrorReport[]): readonly string[] {
  let mirrorsTold: ToldMirrors = new Map();
  return reports.flatMap((report, i) => {
    const news = mirrorNews(mirrorsTold, [report], i * 100);
    mirrorsTold = news.mirrorsTold;
    return news.actions.map((action) => (action.kind === 'note' ? `${action.what}: ${action.reason}` : ''));
  });
}

it('a copy that can not go on is told once, until it is in step again', () => {
  const failed = copy('failed', "the volume can't be written here: EIO");
  const story = [copy('resync'), failed, failed, copy('disconnected'), copy('resync'), failed];
  const says =
    "mirror-failed: the copy of d3/disk on this server can't go on: the volume can't be written here: EIO";
  expect(told(story)).toEqual([says]);
  expect(told([...story, copy('replicating'), failed])).toEqual([says, says]);
  expect(told([copy('diverged'), copy('failed')])).toEqual([
    'mirror-diverged: the copy of d3/disk on this server holds writes of its own',
    "mirror-failed: the copy of d3/disk on this server can't go on",
  ]);
});

it('changes by others are told once, until a search finds none', () => {
  const searched = (foreign: number | null): MirrorReport => ({
    ...(copy('replicating') as MirrorTargetReport),
    notes: { foreign, unprotected: '', keptEntries: 0, keptBytes: 0 },
  });
  const one = 'mirror-foreign: 1 entry of the copy of d3/disk on this server was changed by others';
  const three = 'mirror-foreign: 3 entries of the copy of d3/disk on this server were changed by others';
  expect(told([searched(null), searched(0), searched(3), searched(4), searched(null), searched(4)])).toEqual([
    three,
  ]);
  expect(told([searched(3), searched(0), searched(1)])).toEqual([three, one]);
});
