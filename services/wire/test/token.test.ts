import fc from 'fast-check';
import { randomBytes } from 'node:crypto';
import { memberRoles } from '../src/names.ts';
import { createToken, decodeToken, encodeToken, secretHash, secretMatches } from '../src/token.ts';
import { error, value } from './cluster.ts';

const name = fc.stringMatching(/^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/);

describe('a join token', () => {
  const token = createToken('acme', 'server', randomBytes(32));
  const text = encodeToken(token);

  it('comes back as it was, on one line', () => {
    fc.assert(
      fc.property(name, fc.constantFrom(...memberRoles), (cluster, role) => {
        const one = createToken(cluster, role, randomBytes(32));
        const line = encodeToken(one);
        expect(line).toMatch(/^hf1_[A-Za-z0-9_-]+$/);
        expect(value(decodeToken(` ${line}\n`))).toEqual(one);
      }),
    );
  });

  it('is noticed when any character of it changed, or some are missing', () => {
    for (let at = 4; at < text.length; at += 1) {
      const changed = `${text.slice(0, at)}${text[at] === 'A' ? 'B' : 'A'}${text.slice(at + 1)}`;
      expect(decodeToken(changed).kind).toBe('error');
      expect(decodeToken(text.slice(0, at)).kind).toBe('error');
      expect(decodeToken(text.slice(0, at) + text.slice(at + 1)).kind).toBe('error');
    }
  });

  it('says what is wrong with other texts', () => {
    expect(error(decodeToken('')).kind).toBe('not-a-token');
    expect(error(decodeToken('10.77.0.11')).kind).toBe('not-a-token');
    expect(error(decodeToken('hf2_AAAA')).kind).toBe('unknown-version');
    expect(error(decodeToken(text.slice(0, -1)))).toEqual({
      kind: 'damaged',
      says: 'the join token is incomplete or mistyped; copy the whole line again',
    });
  });

  it('never makes the reader throw', () => {
    fc.assert(fc.property(fc.string(), (rest) => decodeToken(`hf1_${rest}`).kind === 'error'));
    fc.assert(fc.property(fc.string(), (any) => decodeToken(any).kind === 'error'));
  });

  it('is kept as a hash only, and another secret does not match it', () => {
    const stored = secretHash(token.secret);
    expect(stored).toMatch(/^[0-9a-f]{64}$/);
    expect(secretMatches(token.secret, stored)).toBe(true);
    expect(secretMatches(`${token.secret}A`, stored)).toBe(false);
    expect(secretMatches(token.secret, '')).toBe(false);
  });
});
