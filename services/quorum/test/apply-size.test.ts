/** Configurations that the store would not take: told in words, before anything is asked of it. */
import { configFromJson, newQuorum, opsOf, type QuorumState, type Txn } from '@holdfast/core';
import { admin } from '@holdfast/proto';
import { apply } from '../src/apply.ts';
import type { Store } from '../src/store.ts';

const members = ['a', 'b'].map((id, index) => ({
  ...{ id, role: 'server' as const, addresses: [`10.77.0.1${index}`], voter: true },
}));
const held = <T>(value: T) => ({ value, text: '', modRevision: 1n, changedAt: 0 });

/** Groups of one address each. */
function yamlOf(groups: number, argument = 'x'): string {
  const one = (index: number): string => {
    const address = `10.${78 + Math.floor(index / 250)}.0.${(index % 250) + 1}/16`;
    const command = `{ start: [/bin/true, "${argument}"], stop: [/bin/true] }`;
    return [
      `  g${index}:`,
      `    servers: [a, b]`,
      `    identity: { mode: add, addresses: [${address}] }`,
      `    resources: [{ name: app, command: ${command} }]`,
    ].join('\n');
  };
  if (groups === 0) return 'groups: {}\n';
  return `groups:\n${Array.from({ length: groups }, (_, index) => one(index)).join('\n')}\n`;
}

/** A cluster of two, and the transactions that it was asked for. */
function cluster() {
  const asked: Txn[] = [];
  const fresh = newQuorum('a', false, 1, 0);
  let state: QuorumState = {
    ...fresh,
    view: { ...fresh.view, members: new Map(members.map((m) => [m.id, held(m)])) },
  };
  const storeNow: Pick<Store, 'txn'> = {
    txn: (txn) => {
      asked.push(txn);
      return Promise.resolve({ kind: 'succeeded', revision: 9n, rows: [] });
    },
  };
  return {
    asked,
    apply: (yaml: string, dryRun = false) =>
      apply(
        { state, storeNow: storeNow as Store, dispatch: () => undefined },
        admin.ApplyRequest.fromPartial({ yaml, dryRun }),
        'jo',
        0,
      ),
    /** What was applied last is read back. */
    read(): void {
      const text = asked.at(-1)?.puts[0]?.value ?? '';
      const parsed = configFromJson((JSON.parse(text) as { config: unknown }).config);
      if (parsed.kind !== 'ok') throw new Error(parsed.errors.join('\n'));
      state = { ...state, view: { ...state.view, config: held(parsed.config) } };
    },
  };
}

describe('a configuration', () => {
  it('of all the groups that there may be fits into the store', async () => {
    const c = cluster();
    expect(await c.apply(yamlOf(500))).toMatchObject({ kind: 'ok', value: { changed: true } });
    expect(Buffer.byteLength(c.asked[0]?.puts[0]?.value ?? '')).toBeLessThan(1_400_000);
  });

  it.each([true, false])('that is too large for the store is wrong, dry run: %s', async (dryRun) => {
    const c = cluster();
    const says = expect.stringMatching(/^cluster\.yaml: with all its defaults it has \d+ bytes/) as string;
    expect(await c.apply(yamlOf(500, 'ü'.repeat(1_300)), dryRun)).toEqual({
      kind: 'error',
      error: { kind: 'invalid', message: says },
    });
    expect(c.asked).toEqual([]);
  });

  it('that takes more groups away at once than a transaction may compare is wrong, and one of fewer is not', async () => {
    const c = cluster();
    await c.apply(yamlOf(130));
    c.read();
    const says = '130 groups are removed or get other addresses at once, at most 119 may; apply it in parts';
    expect(await c.apply(yamlOf(0))).toEqual({
      kind: 'error',
      error: { kind: 'invalid', message: `cluster.yaml: ${says}` },
    });
    expect(await c.apply(yamlOf(20))).toMatchObject({ kind: 'ok', value: { changed: true } });
    expect(opsOf(c.asked.at(-1) as Txn)).toBe(111);
  });
});
