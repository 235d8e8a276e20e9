/** What people are told of a file that is no YAML, or more of it than anybody means. */
import { readYaml } from '../src/yaml-text.ts';

const told = (text: string): string => {
  const read = readYaml(text, 'cluster.yaml');
  return read.kind === 'ok' ? JSON.stringify(read.value) : read.says;
};

/** Nine times nine times ... the same. */
const doubling = ['a: &a [x]', ...'bcdefgh'.split('').map(grown)].join('\n');
function grown(name: string, at: number): string {
  const before = String.fromCharCode('a'.charCodeAt(0) + at);
  return `${name}: &${name} [${Array.from({ length: 9 }, () => `*${before}`).join(', ')}]`;
}

describe('a text of YAML', () => {
  it('is read with its aliases', () => {
    expect(told('a: &a { x: 1 }\nb: *a\n')).toBe('{"a":{"x":1},"b":{"x":1}}');
  });

  it.each([
    ['a syntax error', 'groups:\n  d3: [a\n', 'cluster.yaml: line 3, column 1: '],
    [
      'an alias of nothing',
      'groups:\n  d3: *common\n',
      'cluster.yaml: line 2, column 7: *common stands for nothing; write &common at what it means, above',
    ],
    [
      'an alias before its anchor',
      'a: *later\nb: &later {}\n',
      'line 1, column 4: *later stands for nothing',
    ],
    ['aliases without end', doubling, 'cluster.yaml: its aliases stand for too much'],
    ['two documents', 'groups: {}\n---\ngroups: {}\n', 'line 2, column 1: a second document begins'],
  ])('is refused with %s, and it is said where', (_, text, says) => {
    expect(told(text)).toContain(says);
  });
});
