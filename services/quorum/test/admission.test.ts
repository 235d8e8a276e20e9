/** Who may not join, although the token is good. */
import { parseConfig } from '@holdfast/core';
import { defaultPorts } from '@holdfast/wire/directory';
import { refuseJoin } from '../src/admission.ts';

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
