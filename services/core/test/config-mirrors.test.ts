/** Mirrors in the file: what is accepted, what is refused and in which words, and the way to the store and back. */

import { configFromJson, configToJson, diffConfig, withEpochs } from '../src/index.ts';
import { accepted, errorsOf, errorsOfFile, group, type Raw } from './config-file.ts';

const data = { files: { root: '/srv/d3' } };
const file = (mirrors: Raw, copies: Raw = {}) => ({
  groups: { d3: group({ mirrors }) },
  ...(Object.keys(copies).length === 0 ? {} : { mirrors: copies }),
});
const offsite = { from: { group: 'd3', mirror: 'data' }, to: ['c'] };

describe('a mirror of a group', () => {
  it('has everything that its file leaves out', () => {
    const { config } = accepted(file({ data }));
    expect(config.groups.get('d3')?.mirrors).toEqual([
      {
        name: 'data',
        dataset: { kind: 'files', root: '/srv/d3', include: [], exclude: [], devices: false },
        throttle: null,
        compress: 'auto',
        encrypt: 'always',
        keepMaxBytes: null,
        scanEveryMs: 600_000,
      },
    ]);
    expect(config.groups.get('d3')?.gate).toEqual({ maxLagMs: null, maxBytes: null, onStale: 'wait' });
  });

  it('takes one rate, or rates by the week', () => {
    const week = { default: '100Mbit', 'Mon-Fri 08:00-18:00': '20Mbit', 'Sun 00:00-24:00': 'unlimited' };
    const mirrors = { data: { ...data, throttle: week } };
    const { config } = accepted(file(mirrors));
    expect(config.groups.get('d3')?.mirrors[0]?.throttle).toEqual({
      otherwiseBits: 100e6,
      windows: [
        { window: { days: [1, 2, 3, 4, 5], fromMinute: 480, toMinute: 1_080 }, bits: 20e6 },
        { window: { days: [0], fromMinute: 0, toMinute: 1_440 }, bits: null },
      ],
    });
    expect(errorsOf({ mirrors: { data: { ...data, throttle: '999Gbit' } } })).toEqual([]);
  });

  it.each([
    ['the whole system', '/', 'part of the system'],
    ['the kernel', '/proc/sys', 'part of the system'],
    ['our own state', '/var/lib/holdfast/mirror', 'state of Holdfast'],
    ['a relative folder', 'srv/d3', 'not an absolute path'],
    ['a folder that is not normalised', '/srv/../srv/d3/', 'write /srv/d3'],
  ])('refuses %s', (_, root, says) => {
    const errors = errorsOf({ mirrors: { data: { files: { root } } } });
    expect(errors).toHaveLength(1);
    expect(errors[0]).toContain('cluster.yaml: groups.d3.mirrors.data.files.root: ');
    expect(errors[0]).toContain(says);
  });

  it.each([
    ['1bit', 'unknown unit'],
    ['0Kbit', '1Kbit to 999Gbit'],
    ['1000Gbit', '1Kbit to 999Gbit'],
  ])('refuses a throttle of %s', (throttle, says) => {
    expect(errorsOf({ mirrors: { data: { ...data, throttle } } })[0]).toContain(says);
  });

  it('suggests what was meant by a key', () => {
    expect(errorsOf({ mirrors: { data: { ...data, trottle: '1Mbit' } } })[0]).toContain(
      'did you mean throttle?',
    );
    expect(errorsOf({ gate: { maxLags: '1s' } })[0]).toContain('did you mean maxLag?');
  });

  it('does not lie in the folder of another one', () => {
    const errors = errorsOf({ mirrors: { data, logs: { files: { root: '/srv/d3/logs' } } } });
    expect(errors).toEqual([
      'cluster.yaml: groups.d3.mirrors.logs: "/srv/d3/logs" on a and "/srv/d3" of d3/data lie one inside the other; ' +
        'give each mirror a place of its own',
    ]);
  });
});

describe('a mirror without a failover', () => {
  it('copies the mirror of a group on, or the files of a server', () => {
    const server = { from: { server: 'c', files: { root: '/srv/c' } }, to: ['a'], root: '/backup/c' };
    const { config } = accepted(file({ data }, { offsite, server }));
    expect(config.mirrors.get('offsite')).toMatchObject({
      from: { kind: 'group' },
      root: '/srv/d3',
      to: ['c'],
    });
    expect(config.mirrors.get('server')).toMatchObject({ from: { server: 'c' }, root: '/backup/c' });
  });

  it.each([
    ['a group that is not there', { from: { group: 'd4', mirror: 'data' }, to: ['c'] }, 'did you mean d3?'],
    [
      'a mirror that is not there',
      { from: { group: 'd3', mirror: 'dota' }, to: ['c'] },
      'did you mean data?',
    ],
    ['a server of the group', { ...offsite, to: ['b'] }, 'has this mirror already'],
    ['nobody', { ...offsite, to: [] }, 'is empty'],
    ['a witness', { ...offsite, to: ['w'] }, 'only votes'],
    [
      'its own source',
      { from: { server: 'c', files: { root: '/srv/c' } }, to: ['c'] },
      'is the source itself',
    ],
  ])('refuses %s', (_, copy, says) => {
    expect(errorsOfFile(file({ data }, { offsite: copy })).join('\n')).toContain(says);
  });

  it('refuses to go round in a circle', () => {
    const there = { from: { server: 'a', files: { root: '/srv/x' } }, to: ['c'], root: '/srv/y' };
    const back = { from: { server: 'c', files: { root: '/srv/y' } }, to: ['a'], root: '/srv/x' };
    expect(errorsOfFile(file({}, { there, back })).join('\n')).toContain("a copy can't be copied on");
  });

  it('keeps its epoch until its source changes', () => {
    const copy = (server: string) => ({ from: { server, files: { root: '/srv/x' } }, to: ['c'] });
    const first = withEpochs(null, accepted(file({}, { x: copy('a') })).config, 7n);
    const same = withEpochs(
      first,
      accepted(file({}, { x: { ...copy('a'), throttle: '1Mbit' } })).config,
      20n,
    );
    const other = withEpochs(same, accepted(file({}, { x: copy('b') })).config, 30n);
    const epochs = [first, same, other].map((c) => {
      const from = c.mirrors.get('x')?.from;
      return from?.kind === 'server' ? from.epoch : null;
    });
    expect(epochs).toEqual([8n, 8n, 31n]);
    expect(diffConfig(first, same)).toEqual(['mirrors.x.throttle: (not set) -> 1Mbit']);
  });
});

it('comes back from the store as it was', () => {
  const mirrors = {
    data: { ...data, throttle: { default: '1Mbit', 'Mon 01:00-02:00': '2Mbit' }, keepMax: '10GiB' },
  };
  const server = { from: { server: 'c', files: { root: '/srv/c' } }, to: ['a'] };
  const config = withEpochs(null, accepted(file(mirrors, { offsite, server })).config, 3n);
  const back = configFromJson(JSON.parse(JSON.stringify(configToJson(config))));
  expect(back).toEqual({ kind: 'ok', config });
});
