/** `release`: a person's word on a group that was removed, and whose owner refused to let it go. */

import {
  configFromJson,
  configToJson,
  encode,
  keys,
  parseGroup,
  withLeaving,
  type CommandResult,
  type GroupRecord,
  type RenewalRecord,
} from '../src/index.ts';
import { activeOnA, configText, leader, noGroups, ownedByA, renewal, rows, type Leader } from './leader.ts';

const says = 'hook beforeRelease 1: exit status 1';
const asked: GroupRecord = {
  ...ownedByA,
  ownership: { kind: 'releasing', owner: 'a', epoch: 4n, to: null },
  reason: 'g1 was removed from the configuration',
};

function reported(told: Partial<RenewalRecord['groups'][number]>): RenewalRecord {
  const [report] = activeOnA.groups;
  if (report === undefined) throw new Error('a holds nothing');
  return { ...activeOnA, groups: [{ ...report, ...told }] };
}

const refusing = reported({ releaseRefused: says });

function configWithout(): string {
  const read = configFromJson((JSON.parse(configText()) as { config: unknown }).config);
  if (read.kind === 'invalid') throw new Error(read.errors.join('\n'));
  const nothing = configFromJson(noGroups);
  if (nothing.kind === 'invalid') throw new Error(nothing.errors.join('\n'));
  return JSON.stringify({ config: configToJson(withLeaving(null, read.config, nothing.config, 2n)) });
}

/** W leads; g1 was removed, and a was asked to release it. */
function removed(a: RenewalRecord, record: GroupRecord = asked): Leader {
  const read = rows(a, renewal('b'), configWithout());
  return leader(read.map((row) => (row.key === keys.group('g1') ? { ...row, value: encode(record) } : row)));
}

function ask(w: Leader, force: boolean, dryRun = false): CommandResult | null {
  const before = w.orders.length;
  const command = { kind: 'release', group: 'g1', force } as const;
  w.tell({ kind: 'command', id: 1, by: 'olga', command, dryRun }, 1_100);
  return answerOf(w, before);
}

/** Null: whoever asked still waits. */
function answerOf(w: Leader, from = 0): CommandResult | null {
  const answer = w.orders.slice(from).findLast((order) => order.kind === 'answer-command');
  return answer?.kind === 'answer-command' ? answer.result : null;
}

function putOf(w: Leader, key: string): string | undefined {
  return w
    .changes()
    .flatMap(({ puts }) => puts)
    .find((put) => put.key === key)?.value;
}

/** Of the transaction that was ordered last; it is carried out. */
function carriedOut(w: Leader, revision: bigint, now: number): GroupRecord {
  const put = w
    .changes()
    .at(-1)
    ?.puts.find(({ key }) => key === keys.group('g1'));
  const parsed = put === undefined ? null : parseGroup(put.value);
  if (put === undefined || parsed?.kind !== 'ok') throw new Error('nothing was put');
  const id = w.orders.findLast((order) => order.kind === 'txn' && order.txn.puts.includes(put));
  if (id?.kind !== 'txn') throw new Error('nothing was ordered');
  const row = { key: put.key, value: put.value, modRevision: revision };
  w.tell({ kind: 'txn-ended', id: id.id, answer: { kind: 'succeeded', revision, rows: [row] } }, now);
  return parsed.value;
}

describe('a removed group whose owner refused to release it', () => {
  it('is left alone until a person says something', () => {
    expect(removed(refusing).changes()).toEqual([]);
  });

  it('is asked for again once its owner heard that it may stay', () => {
    const w = removed(refusing);
    expect(ask(w, false)).toBeNull();
    const may = carriedOut(w, 31n, 1_200);
    expect(answerOf(w)).toMatchObject({ kind: 'accepted', operation: 'g1-10-release' });
    expect(may.ownership).toEqual({ kind: 'owned', owner: 'a', epoch: 4n });
    expect(w.changes()).toHaveLength(1);
    w.renewed('a', { ...reported({}), counter: 2 }, 32n, 1_300);
    const again = carriedOut(w, 33n, 1_400);
    expect(again.ownership).toEqual(asked.ownership);
    expect(again.operation).toMatchObject({ kind: 'release', by: 'olga', forced: false });
    expect(w.changes()).toHaveLength(2);

    w.renewed('a', { ...refusing, counter: 3 }, 34n, 1_500);
    expect(carriedOut(w, 35n, 1_600)).toMatchObject({ ownership: asked.ownership, operation: null });
    const ended = putOf(w, keys.operation('g1-10-release'));
    expect(ended).toContain(`"a refused: ${says}"`);
    expect(ended).toContain('"outcome":"rolled-back"');
  });

  it('ends the release as done when its owner let go', () => {
    const w = removed(refusing);
    ask(w, true);
    carriedOut(w, 31n, 1_200);
    w.renewed('a', { ...reported({}), counter: 2 }, 32n, 1_300);
    expect(carriedOut(w, 33n, 1_400).operation).toMatchObject({ forced: true });
    w.renewed('a', { ...reported({ state: 'fenced' }), counter: 3 }, 34n, 1_500);
    expect(carriedOut(w, 35n, 1_600).ownership).toMatchObject({ kind: 'unowned', epoch: 4n });
    const ended = putOf(w, keys.operation('g1-10-release'));
    expect(ended).toContain('"outcome":"done"');
  });

  it('shows the steps, and does nothing, with --dry-run', () => {
    const w = removed(refusing);
    expect(ask(w, false, true)).toMatchObject({ kind: 'accepted', steps: ['a: drop addresses'] });
    expect(w.changes()).toEqual([]);
  });
});

describe('release', () => {
  it('is refused while the owner has not answered yet; by force it goes on whatever a hook says', () => {
    const w = removed(reported({ state: 'releasing' }));
    expect(ask(w, false)).toEqual({
      kind: 'refused',
      says: 'a is asked to release g1 already; wait for its answer',
    });
    expect(ask(w, true)).toBeNull();
    expect(carriedOut(w, 31n, 1_200)).toMatchObject({
      ownership: asked.ownership,
      operation: { forced: true },
    });
    expect(answerOf(w)).toMatchObject({ kind: 'accepted' });
  });

  it('is not for a group that is configured, or that nobody has', () => {
    expect(ask(leader(), true)).toMatchObject({ kind: 'refused' });
    const gone: GroupRecord = { ...asked, ownership: { kind: 'unowned', epoch: 4n, lastOwner: null } };
    expect(ask(removed(activeOnA, gone), true)).toEqual({
      kind: 'invalid',
      says: 'nobody has a group g1 that was removed',
    });
  });
});
