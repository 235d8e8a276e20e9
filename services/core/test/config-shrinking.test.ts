/** A volume grows, and never becomes smaller. */

import { parseConfig, refuseShrinking, type ClusterConfig } from '../src/index.ts';

const members = ['a', 'b'].map((id, i) => ({
  id,
  role: 'server' as const,
  addresses: [`10.77.0.${String(11 + i)}`],
  voter: true,
}));

function config(file: object): ClusterConfig {
  const parsed = parseConfig({ groups: {}, ...file }, 'cluster.yaml', members);
  if (parsed.kind === 'invalid') throw new Error(parsed.errors.join('\n'));
  return parsed.config;
}

const identity = { mode: 'add', addresses: ['10.77.0.100/24'] };
const ofGroup = (size: string, path = '/dev/vg0/db'): ClusterConfig =>
  config({
    groups: { db: { servers: ['a', 'b'], identity, mirrors: { disk: { volume: { path, size } } } } },
  });
const ofNone = (size: string): ClusterConfig =>
  config({ mirrors: { copy: { from: { server: 'a', volume: { path: '/srv/image', size } }, to: ['b'] } } });

describe('a configuration with another size of a volume', () => {
  it('may make it larger', () => {
    expect(refuseShrinking(ofGroup('1GiB'), ofGroup('2GiB'))).toEqual([]);
    expect(refuseShrinking(ofGroup('1GiB'), ofGroup('1GiB'))).toEqual([]);
    expect(refuseShrinking(null, ofGroup('1GiB'))).toEqual([]);
  });

  it('may not make it smaller, of a group or of none', () => {
    const [says = ''] = refuseShrinking(ofGroup('2GiB'), ofGroup('1GiB'));
    expect(says).toMatch(/^groups\.db\.mirrors\.disk\.volume\.size: .*smaller.*2 ?GiB, not 1 ?GiB/);
    const [ofCopy = ''] = refuseShrinking(ofNone('2GiB'), ofNone('1GiB'));
    expect(ofCopy).toMatch(/^mirrors\.copy\.from\.volume\.size: /);
  });

  it('may name another volume, or none', () => {
    expect(refuseShrinking(ofGroup('2GiB'), ofGroup('1GiB', '/dev/vg0/small'))).toEqual([]);
    expect(refuseShrinking(ofGroup('2GiB'), config({}))).toEqual([]);
  });
});
