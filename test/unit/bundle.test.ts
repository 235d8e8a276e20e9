/** What runs is bundled (ADR 28): the command leaves out what few need (ADR 44), and some modules of Node are replaced. */
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import * as net from 'node:net';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('../../', import.meta.url));
const bundled = (name: string): string => readFileSync(join(root, 'services/cli/dist/bundle', name), 'utf8');

const holdfast = (...args: readonly string[]) => {
  const entry = join(root, 'services/cli/bin/holdfast.js');
  const options = { encoding: 'utf8', timeout: 60_000 } as const;
  const { status, stdout, stderr } = spawnSync(process.execPath, [entry, ...args], options);
  return { status, stdout, stderr };
};

it.each(['@peculiar/x509', 'yaml', '@holdfast/core', '@holdfast/lab'])(
  'a command does not read %s',
  (name) => {
    const text = name.startsWith('@holdfast/')
      ? `// services/${name.slice('@holdfast/'.length)}/src/index.ts`
      : `// node_modules/${name}/`;
    expect(bundled('holdfast-seldom.cjs')).toContain(text);
    expect(bundled('holdfast.cjs')).not.toContain(text);
  },
);

it('what was left out is found when it is needed', () => {
  const asYaml = holdfast('version', '-o', 'yaml');
  expect(asYaml).toMatchObject({ status: 0, stderr: '' });
  expect(asYaml.stdout).toMatch(/^version: /);
  expect(holdfast('completion', 'bash')).toMatchObject({ status: 0, stderr: '' });
  // A LabError is known as one.
  const lab = holdfast('lab', '--lab-dir', join(root, 'no-lab'), 'exec', 'a', '--', 'true');
  expect(lab.stderr).toMatch(/^holdfast: no lab is up /);
});

it('addresses are told apart as Node does', () => {
  const instead = createRequire(import.meta.url)(join(root, 'scripts/bundle/instead/net.cjs')) as typeof net;
  const addresses = [
    '127.0.0.1',
    '::',
    'fd77::11',
    '::ffff:10.0.0.1',
    'fe80::1%eth0',
    'localhost',
    '1:2',
    '',
  ];
  expect(addresses.map(instead.isIPv6)).toEqual(addresses.map(net.isIPv6));
  expect(addresses.map(instead.isIPv4)).toEqual(addresses.map(net.isIPv4));
});
