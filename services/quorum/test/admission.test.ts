/** Who may not join, although the token is good. */
import { keys, parseConfig, type Txn, type TxnAnswer } from '@holdfast/core';
import { defaultPorts } from '@holdfast/wire/directory';
import { forgetTokens, refuseJoin } from '../src/admission.ts';

const known = ['a', 'b'].map((id, index) => ({
  ...{
    id,
    role: 'server' as const,
    addresses: [`10.77.0.1${index}`, `fd77::1${index}`],
    voter: true,
    ports: defaultPorts,
  },
}));
const parsed = parseConfig(
  {
    groups: {
      d3: {
        servers: ['a', 'b'],
        identity: { mode: 'add', addresses: ['10.77.0.100/24', 'fd77::100/64'] },
      },
    },
  },
  'cluster.yaml',
  known,
);
const config = parsed.kind === 'ok' ? parsed.config : null;

const told = (...addresses: readonly string[]): string => {
  const refusal = refuseJoin({ node: 'c', role: '', addresses: [...addresses] }, 'server', known, config);
  return JSON.stringify(refusal);
};

describe('a server with a good token', () => {
  it('joins with addresses of its own', () => {
    expect(config).not.toBeNull();
    expect(told('10.77.0.12', 'fd77::12')).toBe('null');
  });

  it.each([
    ['of another member', '10.77.0.11', '10.77.0.11 is an address of b already'],
    ['of another member, written otherwise', 'FD77:0::11', 'FD77:0::11 is an address of b already'],
    ['that it gives twice', '10.77.0.12', '10.77.0.12 is given twice'],
    ['of a group, which its owner has now and another later', '10.77.0.100', 'an address of the group d3'],
    ['of a group, written otherwise', 'FD77:0::100', 'an address of the group d3'],
    ['that nobody can be reached at', '224.0.0.1', 'a multicast address'],
    ['that every host has', '0.0.0.0', 'this network'],
  ])('is refused with an address %s', (_, address, says) => {
    expect(told('10.77.0.12', address)).toContain(says);
  });
});

describe('a name that a member has', () => {
  const named = (node: string, role: 'server' | 'viewer'): string =>
    JSON.stringify(refuseJoin({ node, role: '', addresses: ['10.77.0.12'] }, role, known, config));

  it("is nobody else's, also not that of a person", () => {
    expect(named('a', 'viewer')).toContain('a is the name of a server; choose another --node');
    expect(named('jo', 'viewer')).toBe('null');
  });

  it('with a token for something else is told for what', () => {
    const request = { node: 'jo', role: 'server', addresses: ['10.77.0.12'] };
    expect(JSON.stringify(refuseJoin(request, 'operator', known, config))).toContain(
      'the token is for an operator, not for a server',
    );
  });

  it('is free again after a join that failed half-way, and that is said', () => {
    expect(named('b', 'server')).toContain('holdfast remove b and join again');
  });
});

describe('a token that nobody used', () => {
  it('is dropped a day after it expired', async () => {
    const dayMs = 86_400_000;
    const row = (id: string, expiresAt: number) => ({
      key: keys.token(id),
      value: JSON.stringify({ hash: '', role: 'server', expiresAt }),
      modRevision: 2n,
    });
    const rows = [row('good', 9 * dayMs), row('late', 7.5 * dayMs), row('old', 6 * dayMs)];
    const deleted: string[] = [];
    const store = {
      read: () => Promise.resolve({ kind: 'read' as const, revision: 3n, rows }),
      txn: ({ deletes }: Txn): Promise<TxnAnswer> => {
        deleted.push(...deletes);
        return Promise.resolve({ kind: 'succeeded', revision: 4n, rows: [] });
      },
    };
    expect(await forgetTokens(store, 8 * dayMs)).toBeNull();
    expect(deleted).toEqual([keys.token('old')]);
  });
});
