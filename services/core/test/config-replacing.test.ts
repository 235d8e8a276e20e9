/** What may not be applied to a group whose identity is a server's own address. */

import {
  parseConfig,
  refuseReplacing,
  type ClusterConfig,
  type GroupRecord,
  type Ownership,
} from '../src/index.ts';

const members = ['a', 'b', 'c'].map((id, i) => ({
  id,
  role: 'server' as const,
  addresses: [`10.77.0.${String(11 + i)}`, `10.78.0.${String(11 + i)}`],
  voter: true,
}));

function config(group: object | null): ClusterConfig {
  const groups = group === null ? {} : { d3: group };
  const parsed = parseConfig({ groups }, 'cluster.yaml', members);
  if (parsed.kind === 'invalid') throw new Error(parsed.errors.join('\n'));
  return parsed.config;
}

const replace = (servers: readonly string[]) =>
  config({ servers, identity: { mode: 'replace', prefix: 24 } });
const add = config({ servers: ['a', 'b'], identity: { mode: 'add', addresses: ['10.77.0.100/24'] } });

function refused(after: ClusterConfig, ownership: Ownership): readonly string[] {
  const record: GroupRecord = {
    group: 'd3',
    ownership,
    operation: null,
    ownerBoot: null,
    failovers: [],
    reason: 'because',
    since: 0,
    takeoverMs: [],
  };
  return refuseReplacing(replace(['a', 'b']), after, new Map([['d3', record]]));
}

const owned = (owner: string): Ownership => ({ kind: 'owned', owner, epoch: 3n });
const fallen = (lastOwner: string | null): Ownership => ({ kind: 'unowned', lastOwner, epoch: 3n });
const away =
  'groups.d3: b has the own address of a now, so the servers could not get their own addresses back; ' +
  'move it to a first (holdfast failback d3), then apply again';

describe('a group of mode replace', () => {
  it.each([
    ['becomes add', add],
    ['is removed', config(null)],
    ['gets another standby', replace(['a', 'c'])],
  ])('that %s must be on its primary', (_what, after) => {
    expect(refused(after, owned('b'))).toEqual([away]);
    expect(refused(after, fallen('b'))).toEqual([away]);
    expect(refused(after, owned('a'))).toEqual([]);
    expect(refused(after, fallen('a'))).toEqual([]);
    expect(refused(after, { kind: 'releasing', owner: 'a', to: 'b', epoch: 3n })).toHaveLength(1);
  });

  it.each([owned('a'), owned('b'), fallen('a')])('keeps its primary while it is %j', (ownership) => {
    expect(refused(replace(['b', 'a']), ownership)[0]).toMatch(
      /^groups\.d3: its identity is the own address of a,/,
    );
  });

  it('is free until somebody had it, and in all that is not its identity', () => {
    expect(refused(replace(['b', 'a']), fallen(null))).toEqual([]);
    expect(refused(replace(['a', 'b']), owned('b'))).toEqual([]);
    expect(refuseReplacing(add, replace(['a', 'b']), new Map())).toEqual([]);
  });
});
