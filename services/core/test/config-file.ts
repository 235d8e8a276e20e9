/** A cluster and files for it, for the tests of the configuration. */

import type { Member } from '../src/names.ts';
import type { ParseConfigResult } from '../src/config/index.ts';
import { parseConfig } from '../src/config/index.ts';
import type { ClusterConfig } from '../src/config/types.ts';

export type Raw = Record<string, unknown>;

export const members: readonly Member[] = [
  { id: 'a', role: 'server', addresses: ['10.77.0.11', '10.78.0.11'], voter: true },
  { id: 'b', role: 'server', addresses: ['10.77.0.12', '10.78.0.12'], voter: true },
  { id: 'c', role: 'server', addresses: ['10.77.0.13'], voter: false },
  { id: 'w', role: 'witness', addresses: ['10.77.0.20'], voter: true },
];

/** A good group of mode add; `changes` go over it, and a value of undefined removes a key. */
export function group(changes: Raw = {}): Raw {
  const all: Raw = {
    servers: ['a', 'b'],
    identity: { mode: 'add', addresses: ['10.77.0.100/24'] },
    ...changes,
  };
  return Object.fromEntries(Object.entries(all).filter(([, value]) => value !== undefined));
}

export function read(raw: unknown, known: readonly Member[] | null = members): ParseConfigResult {
  return parseConfig(raw, 'cluster.yaml', known);
}

/** The errors of a file whose only group d3 has these changes. */
export function errorsOf(changes: Raw, known: readonly Member[] | null = members): readonly string[] {
  return errorsOfFile({ groups: { d3: group(changes) } }, known);
}

export function errorsOfFile(raw: unknown, known: readonly Member[] | null = members): readonly string[] {
  const result = read(raw, known);
  return result.kind === 'invalid' ? result.errors : [];
}

export function accepted(
  raw: unknown,
  known: readonly Member[] | null = members,
): { config: ClusterConfig; warnings: readonly string[] } {
  const result = read(raw, known);
  if (result.kind === 'invalid') throw new Error(result.errors.join('\n'));
  return result;
}
