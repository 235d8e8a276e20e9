/** What an agent hears, as it is told to the quorum service beside it: nothing is lost, and nothing is taken unchecked. */

import { heardText, parseHeard, type Heartbeat, type HeardLine } from '../src/index.ts';

const beat: Heartbeat = {
  kind: 'heartbeat',
  sentAt: 1234.5,
  echo: { sentAt: 1000.25, ageMs: 3 },
  version: '0.1.0',
  bootId: '0d5f7a3e-9c1b-4f6e-8a2d-3b4c5d6e7f80',
  leaving: false,
  addresses: ['10.77.0.11'],
  groups: [{ group: 'd3', epoch: 7n, state: 'active', drained: ['b'] }],
  vantage: [
    { member: 'b', path: 1, ageMs: 12.5, rttMs: null },
    { member: 'w', path: 0, ageMs: 0, rttMs: 0.75 },
  ],
  diagnoses: [{ member: 'b', path: 0, says: 'path\tdead' }],
  mirrors: [
    {
      mirror: 'd3/data',
      epoch: 7n,
      target: 'b',
      state: 'replicating',
      consistent: true,
      behindBytes: 5,
      behindMs: 12.5,
      totalBytes: 0,
      doneBytes: 0,
      rateBytesPerSecond: 100,
      says: '',
      export: 'nbd://10.77.0.11:10809/d3',
      hot: { count: 3, named: ['orders.db'] },
    },
  ],
};

/** As of a version that tells neither. */
const bare: Heartbeat = Object.assign({}, beat);
for (const key of ['bootId', 'mirrors']) Reflect.deleteProperty(bare, key);

const line = (heartbeat: Heartbeat, from = 'a', path = 0): HeardLine => ({ from, path, heartbeat });

const read = (heard: HeardLine) => parseHeard(heardText(heard));

describe('a heartbeat that is told to the quorum service', () => {
  it('comes as it was, whatever came before it', () => {
    const lines = [
      line(beat),
      line({ ...beat, sentAt: 2_234.5, echo: null }),
      line({ ...beat, vantage: [{ member: 'b', path: 1, ageMs: 1, rttMs: 0.5 }] }),
      line({ ...beat, groups: [{ group: 'd3', epoch: 8n, state: 'fenced' }] }),
      line(beat, 'b', 1),
      line(bare),
      line({ ...bare, leaving: true, vantage: [], echo: null }),
      line(beat),
    ];
    for (const heard of lines) expect(read(heard)).toEqual({ kind: 'ok', value: heard });
  });

  it('is refused when a field makes no sense, also after one that did', () => {
    const text = heardText(line(beat));
    expect(parseHeard(text).kind).toBe('ok');
    const [same = '', times = ''] = text.split('\t');
    const says = (garbled: string) => {
      const parsed = parseHeard(garbled);
      return parsed.kind === 'garbage' ? parsed.says : 'nothing';
    };
    const malformed = (where: string) => `a line of the relay is malformed: ${where}`;
    expect(says(`${same.replace('"7"', '"-7"')}\t${times}`)).toBe(malformed('groups.0.epoch'));
    expect(says(`${same.replace('"path":0', '"path":16')}\t${times}`)).toBe(malformed('path'));
    expect(says(`${same}\t[1,2,3,"4",5,6,7]`)).toBe(malformed('3'));
    expect(says(`${same}\t${times.slice(1)}`)).toBe('a line of the relay is not JSON');
    expect(says(same)).toBe('a line of the relay is not JSON');
    const other = 'a line of the relay has other times than it should';
    for (const wrong of [
      '[]',
      '[1,2,3,4,5,6]',
      '[1,2,3,4,5,6,7,8]',
      '[null,2,3,4,5,6,7]',
      '[1,null,3,4,5,6,7]',
      '[1,2,3,null,5,6,7]',
    ])
      expect([wrong, says(`${same}\t${wrong}`)]).toEqual([wrong, other]);
  });
});
