/** What of a message arrives at the other end. */
import { toStatus } from '../src/rpc-status.ts';

const detailsOf = (message: string): string => toStatus({ kind: 'invalid', message }).details;
const line = (n: number): string => `cluster.yaml: groups.g${n}.outage: "5" has no unit; write 5s`;
const lines = (count: number): string[] => Array.from({ length: count }, (_, n) => line(n));

describe('the message of a refusal', () => {
  it('arrives as it is', () => {
    expect(detailsOf(lines(30).join('\n'))).toBe(lines(30).join('\n'));
  });

  it('with more errors than a header may hold ends with a whole one, and says how many are left out', () => {
    const shown = detailsOf(lines(1_000).join('\n')).split('\n');
    expect(shown.slice(0, -1)).toEqual(lines(shown.length - 1));
    expect(shown.at(-1)).toBe(`${1_000 - (shown.length - 1)} more like these are not shown`);
    expect(encodeURI(shown.join('\n')).length).toBeLessThan(6_000);
  });

  it('has no half of a character, however long one line is', () => {
    const shown = detailsOf('é\u{1F600}'.repeat(5_000));
    expect(shown).toMatch(/^(é|\u{1F600})+$/u);
    expect(encodeURI(shown).length).toBeLessThan(6_000);
    expect(detailsOf('a\uD800b')).toBe('a\uFFFDb');
  });
});
