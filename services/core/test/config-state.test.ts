import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { parse } from 'yaml';
import { configFromJson, configToJson, diffConfig } from '../src/config/index.ts';
import type { Raw } from './config-file.ts';
import { accepted, group } from './config-file.ts';

const config = (groups: Raw, servers: Raw = {}) => accepted({ groups, servers }).config;

describe('the stored form', () => {
  it.each(['add.yaml', 'replace.yaml'])('brings back all of %s', (name) => {
    const sample = readFileSync(new URL(`../../../deploy/samples/${name}`, import.meta.url), 'utf8');
    const before = accepted(parse(sample)).config;
    expect(configFromJson(JSON.parse(JSON.stringify(configToJson(before))))).toEqual({
      kind: 'ok',
      config: before,
    });
  });

  it('may hold more than this version knows, as a newer member may write it', () => {
    const json = { ...configToJson(config({ d3: group() })), later: true };
    expect(configFromJson(json).kind).toBe('ok');
  });

  it('is refused with time rules that would allow two owners', () => {
    const json = configToJson(config({ d3: group() }));
    const { d3 } = Object.fromEntries(config({ d3: group() }).groups);
    if (d3 === undefined) throw new Error('no group');
    const broken = { ...json, groups: [{ ...d3, rules: { ...d3.rules, waitMs: d3.rules.fenceMs } }] };
    expect(configFromJson(broken)).toEqual({
      kind: 'invalid',
      errors: ['stored configuration: groups.0.rules: (F + S)(1 + rho) < G(1 - rho) does not hold'],
    });
  });

  it('is diagnosed when it is garbage, without an exception', () => {
    fc.assert(
      fc.property(fc.anything(), (raw) => {
        const result = configFromJson(raw);
        return result.kind === 'invalid' && result.errors.length > 0;
      }),
    );
  });
});

describe('the difference', () => {
  it('is empty between equal states, however they were written', () => {
    const before = config({ d3: group({ outage: '35s' }) });
    expect(diffConfig(before, config({ d3: group({ outage: '35000ms' }) }))).toEqual([]);
  });

  it('names everything that is new the first time', () => {
    expect(diffConfig(null, config({ d3: group() }, { a: {} }))).toEqual([
      'groups.d3: added',
      'servers.a: added',
    ]);
  });

  it('has one line for each change', () => {
    const before = config(
      {
        d3: group({
          resources: [
            { name: 'db', systemd: 'db' },
            { name: 'app', systemd: 'app' },
            { name: 'old', systemd: 'old' },
          ],
        }),
        gone: group({ identity: { mode: 'add', hostname: 'gone' } }),
      },
      { a: { gateway: '10.77.0.1' } },
    );
    const after = config(
      {
        d3: group({
          outage: '10s',
          failbackWindow: 'Sat 01:00-02:00',
          hooks: { afterTakeover: ['/bin/hook', 'x y'] },
          resources: [
            { name: 'app', systemd: 'app2' },
            { name: 'db', systemd: 'db', startTimeout: '2m' },
            { name: 'new', systemd: 'n' },
          ],
        }),
        d4: group({ identity: { mode: 'add', hostname: 'd4' } }),
      },
      { a: { watchdog: '/dev/watchdog' } },
    );
    expect(diffConfig(before, after)).toEqual([
      'groups.d3.outage: 35s -> 10s',
      'groups.d3.failbackWindow: (not set) -> Sat 01:00-02:00',
      'groups.d3.hooks.afterTakeover: (not set) -> ["/bin/hook","x y"] within 30s',
      'groups.d3.resources.app.systemd: app.service -> app2.service',
      'groups.d3.resources.db.startTimeout: 1m -> 2m',
      'groups.d3.resources.new: added',
      'groups.d3.resources.old: removed',
      'groups.d3.resources: order db, app, old -> app, db, new',
      'groups.d4: added',
      'groups.gone: removed',
      'servers.a.gateway: 10.77.0.1 -> (not set)',
      'servers.a.watchdog: (not set) -> /dev/watchdog',
    ]);
  });

  it('tells every two lists of patterns apart, whatever stands in them', () => {
    const pattern = fc.string({
      unit: fc.constantFrom('a', ',', ' ', '"', '\\'),
      minLength: 1,
      maxLength: 4,
    });
    const lists = fc.array(pattern, { maxLength: 3 });
    const patterns = (key: string, globs: readonly string[]) =>
      config({ d3: group({ mirrors: { data: { files: { root: '/srv/d3', [key]: globs } } } }) });
    fc.assert(
      fc.property(fc.constantFrom('include', 'exclude'), lists, lists, (key, one, other) => {
        const equal = JSON.stringify(one) === JSON.stringify(other);
        expect(diffConfig(patterns(key, one), patterns(key, other))).toHaveLength(equal ? 0 : 1);
      }),
      { examples: [['include', ['a, b'], ['a', 'b']]] },
    );
  });

  it('has a warning where one pattern was probably meant to be two', () => {
    const files = { root: '/srv/d3', include: ['database/**, program/**', 'a,b'] };
    const { warnings } = accepted({ groups: { d3: group({ mirrors: { data: { files } } }) } });
    expect(warnings.filter((says) => says.includes('one pattern'))).toEqual([
      'cluster.yaml: groups.d3.mirrors.data.files.include[0]: "database/**, program/**" is one pattern; ' +
        'if several are meant, give each quotes of its own',
    ]);
  });
});
