import { nameProblem } from '../src/names.ts';

describe('the name of a member', () => {
  it.each(['a', 'db-1', '0', 'holdfast-1', 'a'.repeat(63)])('may be %s', (name) => {
    expect(nameProblem('member', name)).toBeNull();
  });

  it.each(['', '-a', 'a-', 'A', 'a.b', 'a'.repeat(64)])('may not be "%s"', (name) => {
    expect(nameProblem('member', name)).not.toBeNull();
  });

  it('is not that in which the cluster itself decides, which a cluster may have', () => {
    expect(nameProblem('member', 'holdfast')).toContain('choose another');
    expect(nameProblem('cluster', 'holdfast')).toBeNull();
  });
});
