/** What a member tells of a copy that it holds, whatever kind of data it is of. */

import { expect, test } from '@jest/globals';
import type { MirrorOrder } from '@holdfast/core';
import { Door } from '../src/process/door.ts';
import { TargetRoleSide } from '../src/process/target-role.ts';
import type { Acceptor, Connection, Frame, Listener } from '../src/transport/types.ts';
import { helloOf } from './transport-cluster.ts';

const order = { mirror: 'd3/data' } as MirrorOrder;
const role = { kind: 'target', epoch: 4n, sources: ['anna'] } as const;

test('sources of an epoch that is over are counted, also where nothing else is told of a copy', () => {
  let acceptor: Acceptor | null = null;
  const door = new Door();
  const register: Listener['register'] = (_, one) => {
    acceptor = one;
    return () => undefined;
  };
  door.opened({ register } as Listener);
  const side = new TargetRoleSide(order, role, {
    target: {
      state: () => ({ phase: 'replicating', says: '', position: null, epoch: 4n, consistent: true }),
      accept: () => Promise.resolve({ kind: 'accepted' }),
      promote: () => Promise.resolve({ position: null }),
      close: () => Promise.resolve(),
    },
    divergence: () => ({ kind: 'done', says: '' }),
    door,
    self: 'bert',
    says: () => undefined,
    closed: () => Promise.resolve(),
  });
  const sent: Frame[] = [];
  const connection = {
    peer: { cluster: 'acme', role: 'server', id: 'anna' },
    send: (frame: Frame) => sent.push(frame) > 0,
    close: () => undefined,
  } as unknown as Connection;
  expect(side.report()).toMatchObject({ refusedEpochs: 0 });
  (acceptor as Acceptor | null)?.accept(connection, { ...helloOf('acme', 'anna'), epoch: 3n });
  expect(sent).toMatchObject([{ kind: 'refuse', code: 'epoch', epoch: 4n }]);
  expect(side.report()).toMatchObject({ refusedEpochs: 1 });
  expect(side.report()).not.toHaveProperty('notes');
});

test('a change of the order reaches a target that is open', () => {
  const door = new Door();
  door.opened({ register: () => () => undefined } as unknown as Listener);
  const heard: (number | null)[] = [];
  const side = new TargetRoleSide(order, role, {
    target: {
      state: () => ({ phase: 'diverged', says: '', position: null, epoch: 4n, consistent: true }),
      accept: () => Promise.resolve({ kind: 'accepted' }),
      promote: () => Promise.resolve({ position: null }),
      close: () => Promise.resolve(),
    },
    changed: ({ keepMaxBytes }) => heard.push(keepMaxBytes),
    divergence: () => ({ kind: 'done', says: '' }),
    door,
    self: 'bert',
    says: () => undefined,
    closed: () => Promise.resolve(),
  });
  side.change({ ...order, keepMaxBytes: 5 }, role);
  expect(heard).toEqual([5]);
});
