/** When a person has to say which of two copies survives, by their histories and by what was done with force. */

import { needsChoice, type History } from '../src/index.ts';

const history = (...epochs: readonly bigint[]): History =>
  epochs.map((epoch, i) => ({ epoch, sequence: (i + 1) * 100 }));

/** A was the owner at 5, and then B at 6. */
const a = history(4n, 5n);
const b = history(4n, 5n, 6n);
const nobody = { forced: null, chosen: null };

describe('where both were written', () => {
  it('nobody is asked as long as nothing was forced', () => {
    expect(needsChoice({ ours: a, theirs: b, ...nobody })).toBe(false);
  });

  it('a person chooses when the group was given by force after both held the same', () => {
    expect(needsChoice({ ours: a, theirs: b, ...nobody, forced: 6n })).toBe(true);
    // B was never in step with what A wrote at 5.
    expect(needsChoice({ ours: a, theirs: history(4n, 6n), ...nobody, forced: 6n })).toBe(true);
    // Somebody else had it by force, and B came after that.
    expect(needsChoice({ ours: a, theirs: history(5n, 7n), ...nobody, forced: 6n })).toBe(true);
    expect(needsChoice({ ours: history(5n), theirs: history(6n), ...nobody, forced: 6n })).toBe(true);
  });

  it('nobody is asked when it was forced before both held the same', () => {
    // B is cut off, and C, which was in step with it, took over as usual.
    expect(needsChoice({ ours: b, theirs: history(6n, 7n), ...nobody, forced: 6n })).toBe(false);
    expect(needsChoice({ ours: a, theirs: b, ...nobody, forced: 5n })).toBe(false);
  });

  it('no server decides by taking over without a person', () => {
    // A has it again, and never had what B wrote at 6.
    expect(needsChoice({ ours: b, theirs: history(4n, 5n, 7n), ...nobody, forced: 6n })).toBe(true);
    expect(needsChoice({ ours: history(5n, 7n), theirs: history(5n, 6n, 8n), ...nobody, forced: 6n })).toBe(
      true,
    );
  });
});

describe('a choice', () => {
  const asked = { ours: a, forced: 6n, chosen: 6n };

  it('is of the side that was chosen, whoever goes on with it', () => {
    expect(needsChoice({ ...asked, theirs: b })).toBe(false);
    expect(needsChoice({ ...asked, theirs: history(5n, 6n, 7n) })).toBe(false);
  });

  it('is not of a side that does not know it', () => {
    expect(needsChoice({ ...asked, theirs: history(5n, 7n) })).toBe(true);
  });

  it('does not hold for what was forced later', () => {
    expect(needsChoice({ ...asked, theirs: history(5n, 6n, 8n), forced: 8n })).toBe(true);
  });
});
