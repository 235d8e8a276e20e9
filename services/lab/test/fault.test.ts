import { applyFault, LabError, labStatus, parseFault } from '../src/index.ts';
import { until, withLab } from './fresh.ts';

describe('the words of a fault', () => {
  it.each([
    ['power-off a', { kind: 'power-off', host: 'a' }],
    ['kill a holdfast run --dir x', { kind: 'kill', host: 'a', pattern: 'holdfast run --dir x' }],
    ['pull a', { kind: 'pull', host: 'a', networks: ['service', 'private'] }],
    ['plug a private', { kind: 'plug', host: 'a', networks: ['private'] }],
    ['partition a b', { kind: 'partition', from: 'a', to: 'b', oneWay: false }],
    ['partition a b --one-way', { kind: 'partition', from: 'a', to: 'b', oneWay: true }],
    ['rate a service 1000000', { kind: 'rate', host: 'a', network: 'service', bitsPerSecond: 1_000_000 }],
    ['rate a service off', { kind: 'rate', host: 'a', network: 'service', bitsPerSecond: null }],
    ['heal', { kind: 'heal' }],
  ])('%s', (words, fault) => {
    expect(parseFault(words.split(' '))).toEqual(fault);
  });

  it.each([
    '',
    'explode a',
    'pull',
    'pull a other',
    'pull a service b',
    'partition a',
    'partition a b --both',
    'kill a',
    'heal a',
    'rate a service fast',
  ])('lists the grammar after "%s"', (words) => {
    const parse = (): unknown => parseFault(words === '' ? [] : words.split(' '));
    expect(parse).toThrow(LabError);
    expect(parse).toThrow(/partition HOST1 HOST2 \[--one-way\]/);
  });

  it('are carried out, and tell in a sentence what they did', async () => {
    await withLab({ hosts: ['a', 'b'] }, async (lab) => {
      const a = lab.host('a');
      a.spawn(['sleep', '1001'], { stdio: 'ignore' });
      a.spawn(['sleep', '2002'], { stdio: 'ignore' });
      await until(
        'both run',
        () => a.views().filter(({ command }) => command.startsWith('sleep')).length === 2,
      );
      const fault = (words: string): Promise<string> => applyFault(lab, words.split(' '));

      expect(await fault('freeze-process a sleep 1001')).toMatch(/^Froze on host a:\n\d+ sleep 1001$/);
      expect(a.views().find(({ command }) => command === 'sleep 1001')?.state).toBe('frozen');
      expect(await fault('kill a sleep 2002')).toMatch(/^Killed on host a:\n\d+ sleep 2002$/);
      expect(a.processes().length).toBe(1);
      await expect(fault('kill a sleep 2002')).rejects.toThrow(/nothing on host a matches "sleep 2002"/);
      expect(await fault('pull a private')).toBe('Pulled private of host a.');
      expect(await fault('power-off b')).toBe('Host b is off.');

      const status = await labStatus(lab.dir);
      if (status.kind !== 'up') throw new Error(`the lab is ${status.kind}`);
      expect(status.hosts.map(({ name, power, cables }) => [name, power, cables.private])).toEqual([
        ['a', 'on', 'pulled'],
        ['b', 'off', 'plugged'],
      ]);
      expect(status.hosts[0]?.processes.map(({ command, state }) => [command, state])).toEqual([
        ['sleep 1001', 'frozen'],
      ]);
      await expect(fault('power-off z')).rejects.toThrow(/its hosts are a, b/);
    });
  });
});
