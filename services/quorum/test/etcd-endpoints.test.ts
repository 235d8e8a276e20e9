/** To which etcd the next call goes. No connection is made: grpc-js dials at the first call. */

import { createEndpoints } from '../src/etcd/endpoints.ts';

const endpoints = ['127.0.0.1:1', '10.78.0.12:1', '10.78.0.13:1'];

function open(silent: ReadonlySet<number>) {
  return createEndpoints({ endpoints, tls: null, localFirst: true, isSilent: (i) => silent.has(i) });
}

describe('the next call', () => {
  it('passes over a member that is silent', () => {
    const opened = open(new Set([1]));
    opened.failed(opened.current());
    expect(opened.current().index).toBe(2);
    opened.failed(opened.current());
    expect(opened.current().index).toBe(0);
    opened.close();
  });

  it('leaves a member that has fallen silent, without a failed call', () => {
    const silent = new Set<number>();
    const opened = open(silent);
    opened.failed(opened.current());
    expect(opened.current().index).toBe(1);
    silent.add(1);
    expect(opened.current().index).toBe(2);
    opened.close();
  });

  it('goes round as before where everybody is silent', () => {
    const opened = open(new Set([0, 1, 2]));
    const visited = [0, 1, 2].map(() => {
      const { index } = opened.current();
      opened.failed(opened.current());
      return index;
    });
    expect(visited).toEqual([0, 1, 2]);
    opened.close();
  });
});
