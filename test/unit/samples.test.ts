/** Every sample configuration is one that `holdfast apply` takes. */
import { readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { parseConfig, type Member } from '@holdfast/core';
import { parseDocument } from 'yaml';

const folder = fileURLToPath(new URL('../../deploy/samples/', import.meta.url));
const samples = readdirSync(folder).filter((name) => name.endsWith('.yaml'));

/** The cluster that the samples are written for: two servers with two networks, and a witness. */
const members: readonly Member[] = [
  { id: 'a', role: 'server', addresses: ['10.77.0.11', '10.78.0.11', 'fd77::11'], voter: true },
  { id: 'b', role: 'server', addresses: ['10.77.0.12', '10.78.0.12', 'fd77::12'], voter: true },
  { id: 'w', role: 'witness', addresses: ['10.77.0.13'], voter: true },
];

function parsed(name: string): ReturnType<typeof parseConfig> {
  const document = parseDocument(readFileSync(`${folder}${name}`, 'utf8'), { strict: true });
  expect(document.errors).toEqual([]);
  return parseConfig(document.toJS(), name, members);
}

describe('the sample configurations', () => {
  it('are there for every form of takeover', () => {
    expect(samples).toEqual(
      expect.arrayContaining(['add.yaml', 'crosswise.yaml', 'observe.yaml', 'replace.yaml']),
    );
  });

  it.each(samples)('%s is valid and raises no warning', (name) => {
    expect(parsed(name)).toMatchObject({ kind: 'ok', warnings: [] });
  });

  it('the crosswise one has two groups with opposite preferences', () => {
    const result = parsed('crosswise.yaml');
    if (result.kind !== 'ok') throw new Error(result.errors.join('\n'));
    expect([...result.config.groups.values()].map((group) => group.servers)).toEqual([
      ['a', 'b'],
      ['b', 'a'],
    ]);
  });

  it('the observing one changes nothing by itself', () => {
    const result = parsed('observe.yaml');
    if (result.kind !== 'ok') throw new Error(result.errors.join('\n'));
    expect([...result.config.groups.values()].map((group) => group.takeover)).toEqual(['observe']);
  });
});
