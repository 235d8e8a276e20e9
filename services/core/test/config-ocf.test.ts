/** Resources that are agents of the Open Cluster Framework. */
import { configFromJson, configToJson, diffConfig } from '../src/config/index.ts';
import { accepted, errorsOf, group } from './config-file.ts';

const withOcf = (ocf: unknown) => ({ resources: [{ name: 'fs', ocf }] });
const configOf = (ocf: unknown) => accepted({ groups: { d3: group(withOcf(ocf)) } }).config;
const filesystem = {
  agent: 'heartbeat:Filesystem',
  parameters: { device: '/dev/vg0/d3', directory: '/srv/d3', force_unmount: true, port: 5432 },
};

describe('an OCF agent', () => {
  it('is read with its parameters, as texts, and comes back from the store the same', () => {
    const config = configOf(filesystem);
    expect(config.groups.get('d3')?.resources[0]?.runs).toEqual({
      kind: 'ocf',
      provider: 'heartbeat',
      type: 'Filesystem',
      parameters: { device: '/dev/vg0/d3', directory: '/srv/d3', force_unmount: 'true', port: '5432' },
    });
    const back = configFromJson(JSON.parse(JSON.stringify(configToJson(config))));
    expect(back).toEqual({ kind: 'ok', config });
  });

  it('may be named as Pacemaker does, and needs no parameters', () => {
    expect(configOf({ agent: 'ocf:pacemaker:Dummy' }).groups.get('d3')?.resources[0]?.runs).toEqual({
      ...{ kind: 'ocf', provider: 'pacemaker', type: 'Dummy', parameters: {} },
    });
  });

  it('differs by agent and by parameter', () => {
    expect(diffConfig(configOf({ agent: 'heartbeat:Dummy' }), configOf(filesystem))).toEqual([
      'groups.d3.resources.fs.ocf.agent: heartbeat:Dummy -> heartbeat:Filesystem',
      'groups.d3.resources.fs.ocf.parameters.device: (not set) -> /dev/vg0/d3',
      'groups.d3.resources.fs.ocf.parameters.directory: (not set) -> /srv/d3',
      'groups.d3.resources.fs.ocf.parameters.force_unmount: (not set) -> true',
      'groups.d3.resources.fs.ocf.parameters.port: (not set) -> 5432',
    ]);
  });

  it.each([
    [{}, '.agent: is missing; write an agent such as "heartbeat:Filesystem"'],
    [
      { agent: 'Filesystem' },
      '.agent: "Filesystem" is not an agent; write PROVIDER:TYPE, such as heartbeat:Filesystem',
    ],
    [
      { agent: 'heartbeat:../../x' },
      '.agent: "heartbeat:../../x" is not an agent; write PROVIDER:TYPE, such as heartbeat:Filesystem',
    ],
    [
      { agent: 'heartbeat:Dummy', parameter: {} },
      '.parameter: "parameter" is an unknown key; did you mean parameters?',
    ],
    [
      { agent: 'heartbeat:Dummy', parameters: { 'a=b': 'x' } },
      '.parameters["a=b"]: "a=b" is not a parameter; write letters, digits and _',
    ],
    [
      { agent: 'heartbeat:Dummy', parameters: { version: 1.1 } },
      '.parameters.version: 1.1 is not a text; put it in quotes',
    ],
  ])('is refused as %j', (ocf, says) => {
    expect(errorsOf(withOcf(ocf))).toEqual([`cluster.yaml: groups.d3.resources[0].ocf${says}`]);
  });

  it('is one of what a resource runs', () => {
    const both = { resources: [{ name: 'fs', systemd: 'x.service', ocf: { agent: 'heartbeat:Dummy' } }] };
    expect(errorsOf(both)[0]).toContain('has both systemd and ocf; write one of them');
  });
});
