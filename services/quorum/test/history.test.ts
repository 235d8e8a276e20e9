/** What is read of the past, and what is not known of it. */
import type { ReadAnswer } from '@holdfast/core';
import { readOperation } from '../src/history.ts';

const asked = (answer: ReadAnswer) =>
  readOperation({ read: () => Promise.resolve(answer) }, 'd3-41-failover');

describe('an operation that is not there', () => {
  it('is not found where the store says so, and only there', async () => {
    expect(await asked({ kind: 'read', revision: 9n, rows: [] })).toEqual({
      kind: 'error',
      error: { kind: 'not-found', message: 'there is no operation d3-41-failover' },
    });
    expect(await asked({ kind: 'unknown', says: 'no answer in time' })).toEqual({
      kind: 'error',
      error: {
        kind: 'unreachable',
        message: "the cluster's store does not answer: no answer in time",
      },
    });
  });
});
