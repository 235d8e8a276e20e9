import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { parse } from 'yaml';
import { parseConfig } from '../src/config/index.ts';
import type { Member } from '../src/names.ts';
import type { Raw } from './config-file.ts';
import { accepted, errorsOf, errorsOfFile, group, members, read } from './config-file.ts';

const contract = `
groups:
  d3:
    servers: [a, b]
    outage: 35s
    takeover: automatic
    failback: manual
    identity:
      mode: add
      addresses: [10.77.0.100/24]
      interface: eth0
      hostname: d3-main
      dns: { server: 10.77.0.53, zone: example.test, ttl: 30s, key: /etc/holdfast/tsig.key }
    resources:
      - name: app
        command: { start: [/bin/app, start], stop: [/bin/app, stop], status: [/bin/app, status] }
        monitor: { every: 10s, timeout: 5s, restarts: 3 }
        startTimeout: 60s
        stopTimeout: 30s
    hooks: { beforeTakeover: [[/bin/one]], afterTakeover: [], beforeRelease: [/bin/two, x], afterRelease: [] }
`;

describe('the file of the contract', () => {
  it('is accepted, with every default filled in', () => {
    const { config, warnings } = accepted(parse(contract));
    const d3 = config.groups.get('d3');
    expect(d3).toMatchObject({
      servers: ['a', 'b'],
      rules: { outageMs: 35_000, fenceMs: 10_000, stopMs: 6_000, waitMs: 20_000 },
      takeover: 'automatic',
      failbackWindow: null,
      onControlLoss: 'failsafe',
      failoversPerHour: 3,
      identity: { dns: { ttlMs: 30_000 }, addresses: ['10.77.0.100/24'] },
      resources: [
        { name: 'app', monitor: { everyMs: 10_000 }, startTimeoutMs: 60_000, stopTimeoutMs: 30_000 },
      ],
      hooks: {
        beforeTakeover: [{ argv: ['/bin/one'], timeoutMs: 30_000 }],
        beforeRelease: [{ argv: ['/bin/two', 'x'], timeoutMs: 30_000 }],
      },
    });
    expect(warnings).toEqual([
      'cluster.yaml: groups.d3.resources[0].stopTimeout: 30s holds for a planned stop only; a server that must fence ' +
        'itself is given 6s, then the guard kills what is left (a longer outage gives more)',
    ]);
  });

  it('is refused where it asks for windowsService, which this version would not carry out', () => {
    expect(errorsOf({ resources: [{ name: 'x', windowsService: 'D3' }] })).toEqual([
      'cluster.yaml: groups.d3.resources[0].windowsService: is not available in this version of Holdfast; remove it',
    ]);
  });

  it.each(['add.yaml', 'replace.yaml', 'volume.yaml'])(
    'has a sample, %s, that is accepted without a warning',
    (name) => {
      const sample = readFileSync(new URL(`../../../deploy/samples/${name}`, import.meta.url), 'utf8');
      expect(accepted(parse(sample)).warnings).toEqual([]);
      expect(accepted(parse(sample), null).warnings).toEqual([]);
    },
  );
});

describe('errors', () => {
  it('come all at once, each with file, path, what was found and what to write', () => {
    const errors = errorsOfFile({
      groups: {
        d3: group({ outage: '5', takover: 'manual', servers: ['a', 'bb', 'w'], failback: 'automatc' }),
        d4: group({
          outage: 5,
          resources: [{ name: 'app', command: { start: 'app start', stop: ['/bin/stop', 8080] } }],
        }),
      },
      severs: {},
    });
    expect(errors).toEqual([
      'cluster.yaml: severs: "severs" is an unknown key; did you mean servers?',
      'cluster.yaml: groups.d3.takover: "takover" is an unknown key; did you mean takeover?',
      'cluster.yaml: groups.d3.servers[1]: "bb" is not a member of the cluster; write one of a, b, c, or join it first',
      'cluster.yaml: groups.d3.servers[2]: "w" is a witness, which only votes; write a server',
      'cluster.yaml: groups.d3.outage: "5" has no unit; write 5s',
      'cluster.yaml: groups.d3.failback: "automatc" is not one of manual, automatic; did you mean automatic?',
      'cluster.yaml: groups.d4.outage: "5" has no unit; write 5s',
      'cluster.yaml: groups.d4.resources[0].command.start: "app start" is one text, and commands run without a shell ' +
        'that would split it; write ["app", "start"]',
      'cluster.yaml: groups.d4.resources[0].command.stop[1]: 8080 is a number, not a text; put it in quotes',
      'cluster.yaml: groups.d4.identity.addresses: the address "10.77.0.100" is already used by groups.d3; give each group its own',
    ]);
  });

  it.each<[string, unknown, string]>([
    ['nothing', null, 'is empty'],
    ['a list', [], 'a list found'],
    ['no groups, which would remove them all', { servers: {} }, 'groups: is missing'],
    ['groups without a value', { groups: null }, 'groups: an empty value found'],
    ['a bad name', { groups: { 'a/b': group() } }, 'groups["a/b"]: "a/b" is not a name'],
    [
      'an inherited name',
      { groups: JSON.parse('{"__proto__": {}}') as unknown },
      '"__proto__" is not a name',
    ],
    [
      'too many groups',
      { groups: Object.fromEntries(Array.from({ length: 501 }, (_, i) => [`g${i}`, group()])) },
      'at most 500',
    ],
    ['an unknown server', { groups: {}, servers: { x: {} } }, 'servers.x: "x" is not a member'],
    [
      'a gateway with a prefix',
      { groups: {}, servers: { a: { gateway: '10.77.0.1/24' } } },
      'write 10.77.0.1',
    ],
    ['a relative watchdog', { groups: {}, servers: { a: { watchdog: 'wd' } } }, 'not an absolute path'],
  ])('say what is wrong with %s', (_, raw, says) => {
    expect(errorsOfFile(raw).join('\n')).toContain(says);
  });

  it.each<[string, Raw, string]>([
    ['no servers', { servers: [] }, 'servers: is empty'],
    ['one server twice', { servers: ['a', 'a'] }, '"a" is listed twice'],
    ['an outage that is too short', { outage: '1s' }, 'outage: "1s" is too short'],
    ['an outage without end', { outage: '2h' }, 'write at most 1h'],
    ['a window without times', { failbackWindow: 'Monday' }, 'write days and times such as'],
    ['no failover at all', { failoversPerHour: 0 }, 'whole number from 1 to 100'],
    ['a missing identity', { identity: undefined }, 'identity: is missing'],
    [
      'a missing mode',
      { identity: { addresses: ['10.77.0.100/24'] } },
      'mode: is missing; write one of add, replace',
    ],
    ['neither address nor name', { identity: { mode: 'add' } }, 'neither an address nor a host name'],
    [
      'dns for no name',
      {
        identity: { mode: 'add', addresses: ['10.77.0.100/24'], dns: { server: '10.0.0.1', zone: 'x.test' } },
      },
      'write identity.hostname',
    ],
    [
      'half a second of ttl',
      { identity: { mode: 'add', hostname: 'd', dns: { server: '10.0.0.1', zone: 'x.test', ttl: '500ms' } } },
      'whole number of seconds',
    ],
    [
      'a long interface',
      { identity: { mode: 'add', hostname: 'd', interface: 'sixteen-letters-' } },
      '1 to 15 characters',
    ],
    ['an underscore in a host name', { identity: { mode: 'add', hostname: 'd_3' } }, 'RFC 1123'],
    ['a host name like an address', { identity: { mode: 'add', hostname: '10.0.0.1' } }, 'all digits'],
    [
      'the address of a member',
      { identity: { mode: 'add', addresses: ['10.78.0.12/24'] } },
      'own address of b',
    ],
    [
      'one address twice',
      { identity: { mode: 'add', addresses: ['fd00::1/64', 'fd00:0:0::1/48'] } },
      'already used by the same group',
    ],
    ['a resource without a kind', { resources: [{ name: 'x' }] }, 'says nothing to run'],
    [
      'a resource of two kinds',
      { resources: [{ name: 'x', systemd: 'x', command: {} }] },
      'both command and systemd',
    ],
    [
      'a name twice',
      {
        resources: [
          { name: 'x', systemd: 'x' },
          { name: 'x', systemd: 'y' },
        ],
      },
      'name of two resources',
    ],
    [
      'a unit twice',
      {
        resources: [
          { name: 'x', systemd: 'x' },
          { name: 'y', systemd: 'x.service' },
        ],
      },
      '"x.service" on a is already used',
    ],
    ['a template', { resources: [{ name: 'x', systemd: 'pg@.service' }] }, 'pg@main.service'],
    [
      'a relative program',
      { resources: [{ name: 'x', command: { start: ['bin/x'], stop: ['/x'] } }] },
      'relative path',
    ],
    ['a shell line', { hooks: { afterTakeover: 'a | b' } }, 'write ["/bin/sh", "-c", "a | b"]'],
    [
      'text among commands',
      { hooks: { afterTakeover: [['/x'], '/y z'] } },
      'afterTakeover[1]: "/y z" is one text',
    ],
    ['17 hooks', { hooks: { afterTakeover: Array.from({ length: 17 }, () => ['/x']) } }, 'at most 16'],
    ['a misspelt hook', { hooks: { beforeTakover: [] } }, 'did you mean beforeTakeover?'],
  ])('refuse a group with %s', (_, changes, says) => {
    expect(errorsOf(changes).join('\n')).toContain(says);
    expect(errorsOf(changes)).toHaveLength(1);
  });

  it('name the smallest outage that works, and it does', () => {
    const [error = ''] = errorsOf({ outage: '1s' });
    const smallest = /write (\S+) or more$/.exec(error)?.[1];
    expect(error).toContain('G <= outage does not hold');
    expect(errorsOf({ outage: smallest })).toEqual([]);
  });

  it('come within seconds for the largest file of the largest cluster', () => {
    const many = Array.from({ length: 500 }, (_, i) => ({
      ...members[0],
      id: `s${i}`,
      role: 'server' as const,
      voter: false,
      addresses: [`10.${Math.floor(i / 250)}.0.${(i % 250) + 1}`],
    }));
    const groups = Object.fromEntries(
      Array.from({ length: 500 }, (_, i) => [
        `g${i}`,
        group({
          servers: many.slice(0, 16).map((member) => member.id),
          // All groups claim the same addresses.
          identity: { mode: 'add', addresses: Array.from({ length: 64 }, (_x, j) => `10.9.0.${j + 1}/24`) },
        }),
      ]),
    );
    const begun = process.cpuUsage();
    const errors = errorsOfFile({ groups }, many);
    expect(errors).toHaveLength(1_001);
    expect(errors.at(-1)).toBe('cluster.yaml: 30936 more like these are not shown');
    // Of the processor, and far above what it takes: only an order of growth that is too high comes near.
    expect(process.cpuUsage(begun).user / 1_000).toBeLessThan(30_000);
  });

  it('never come as an exception, whatever the file holds', () => {
    const keyed = fc.object({
      key: fc.constantFrom(
        'groups',
        'd3',
        'servers',
        'identity',
        'mode',
        'addresses',
        'resources',
        'hooks',
        'outage',
        'dns',
      ),
      maxDepth: 5,
    });
    fc.assert(
      fc.property(
        fc.oneof(fc.anything({ withBigInt: true, withNullPrototype: true, withSparseArray: true }), keyed),
        (raw) => {
          const whole = parseConfig(raw, 'cluster.yaml', members);
          const inside = parseConfig({ groups: { d3: raw }, servers: { a: raw } }, 'cluster.yaml', null);
          const errors = [whole, inside].flatMap((result) =>
            result.kind === 'invalid' ? result.errors : [],
          );
          return errors.every((error) => error.startsWith('cluster.yaml: ') && error.length < 1_000);
        },
      ),
      { numRuns: 500 },
    );
  });
});

describe('mode replace', () => {
  const replace = (identity: Raw = {}, changes: Raw = {}): Raw =>
    group({ identity: { mode: 'replace', ...identity }, ...changes });

  it('takes its addresses from the members, with the prefix of the file', () => {
    const { config, warnings } = accepted({ groups: { d3: replace({ prefix: 16 }) } });
    expect(config.groups.get('d3')?.identity).toMatchObject({
      primaryAddress: '10.77.0.11/16',
      standbyAddress: '10.77.0.12/16',
    });
    expect(warnings).toEqual([]);
  });

  it('assumes the usual prefix and says so', () => {
    const { config, warnings } = accepted({ groups: { d3: replace() } });
    expect(config.groups.get('d3')?.identity).toMatchObject({ primaryAddress: '10.77.0.11/24' });
    expect(warnings).toEqual([
      'cluster.yaml: groups.d3.identity: prefix is not given; the service network is taken to be 10.77.0.0/24',
    ]);
  });

  it('has no addresses while the members are unknown', () => {
    const { config } = accepted({ groups: { d3: replace({ prefix: 24 }) } }, null);
    expect(config.groups.get('d3')?.identity).toMatchObject({ primaryAddress: null, standbyAddress: null });
  });

  it('is refused for a server with one address, because nothing could reach it afterwards (rule 12)', () => {
    expect(errorsOfFile({ groups: { d3: replace({ prefix: 24 }, { servers: ['a', 'c'] }) } })).toEqual([
      'cluster.yaml: groups.d3.identity: replace moves the only address of c, and then nothing could reach c any more; ' +
        'give it a second address (another path, such as a private network) or use mode add',
    ]);
  });

  it('is refused for a server with one address that is written in two ways', () => {
    const d3 = replace({ prefix: 64 });
    const known = (second: string): readonly Member[] => [
      { id: 'a', role: 'server', addresses: ['fd77::11', second], voter: true },
      { id: 'b', role: 'server', addresses: ['fd77::12', 'fd78::12'], voter: true },
    ];
    expect(errorsOfFile({ groups: { d3 } }, known('fd78::11'))).toEqual([]);
    expect(errorsOfFile({ groups: { d3 } }, known('FD77:0::11')).join()).toContain('the only address of a');
  });

  it.each<[string, Raw, string]>([
    ['addresses', replace({ addresses: ['10.77.0.100/24'] }), 'is not for mode replace'],
    ['three servers', replace({}, { servers: ['a', 'b', 'c'] }), 'exactly two servers'],
    ['servers in two networks', replace({ prefix: 30 }), 'not in one network of prefix 30'],
    ['a prefix of IPv6', replace({ prefix: 64 }), 'do not fit'],
  ])('is refused with %s', (_, d3, says) => {
    expect(errorsOfFile({ groups: { d3 } }).join('\n')).toContain(says);
  });

  it('is refused twice on one server', () => {
    expect(errorsOfFile({ groups: { d3: replace(), d4: replace({}, { servers: ['b', 'a'] }) } })).toEqual([
      'cluster.yaml: groups.d4.identity: the own address of b is already used by groups.d3; a server can be in one group of mode replace only',
    ]);
  });
});

describe('warnings', () => {
  it.each<[string, Raw, string]>([
    ['one server', { servers: ['a'] }, 'nothing can take over'],
    ['a window for a failback by hand', { failbackWindow: '01:00-05:00' }, 'has no effect'],
    [
      'an address in a network of no member',
      { identity: { mode: 'add', addresses: ['10.9.0.1/24'] } },
      'b has no path in 10.9.0.0/24',
    ],
  ])('are given for %s', (_, changes, says) => {
    expect(accepted({ groups: { d3: group(changes) } }).warnings.join('\n')).toContain(says);
  });

  it('are not given for a file without surprises', () => {
    expect(read({ groups: { d3: group() } })).toMatchObject({ kind: 'ok', warnings: [] });
  });
});
