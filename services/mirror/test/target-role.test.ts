/** What a member tells of a copy that it holds, and whose frames it takes, whatever kind of data it is of. */

import { existsSync } from 'node:fs';
import { expect, test } from '@jest/globals';
import type { MirrorOrder } from '@holdfast/core';
import { Door } from '../src/process/door.ts';
import { TargetRoleSide, type TargetRolePorts } from '../src/process/target-role.ts';
import type { Acceptor, Frame, Hello, Listener } from '../src/transport/types.ts';
import { wholeVolume } from '../src/volumes/source/greeting.ts';
import { connectionPair } from './connection-pair.ts';
import { HandSource, openStage, put } from './target-fixture.ts';
import { helloOf, until } from './transport-cluster.ts';
import { VolumeHost } from './volume-hosts.ts';

const order = { mirror: 'd3/data' } as MirrorOrder;
const role = { kind: 'target', epoch: 4n, sources: ['anna'] } as const;
/** The same source in its next term; another one. */
const nextTerm = { ...role, epoch: 5n };
const replaced = { ...role, epoch: 5n, sources: ['carl'] };

interface Role {
  readonly side: TargetRoleSide;
  readonly said: string[];
  /** As a listener hands it over, from a member that says so. */
  readonly dial: (hello: Hello) => HandSource;
}

function roleOf(target: TargetRolePorts['target'], offHost?: TargetRolePorts['offHost']): Role {
  let acceptor: Acceptor | null = null;
  const door = new Door();
  const register: Listener['register'] = (_, one) => {
    acceptor = one;
    return () => undefined;
  };
  door.opened({ register } as Listener);
  const said: string[] = [];
  const side = new TargetRoleSide(order, role, {
    target,
    divergence: () => ({ kind: 'done', says: '' }),
    door,
    ...(offHost === undefined ? {} : { offHost }),
    self: 'bert',
    says: (sentence) => said.push(sentence),
    closed: () => Promise.resolve(),
  });
  const dial = (hello: Hello): HandSource => {
    const pair = connectionPair({ source: hello.member });
    const source = new HandSource(pair.source, hello.epoch);
    acceptor?.accept(pair.target, hello);
    return source;
  };
  return { side, said, dial };
}

const refusedOf = (source: HandSource): Promise<Frame> => source.next('refuse');

test('sources of an epoch that is over are counted, also where nothing else is told of a copy', async () => {
  const { side, dial } = roleOf({
    state: () => ({ phase: 'replicating', says: '', position: null, epoch: 4n, consistent: true }),
    accept: () => Promise.resolve({ kind: 'accepted' }),
    promote: () => Promise.resolve({ position: null }),
    close: () => Promise.resolve(),
  });
  expect(side.report()).toMatchObject({ refusedEpochs: 0 });
  const source = dial({ ...helloOf('acme', 'anna'), epoch: 3n });
  expect(await refusedOf(source)).toMatchObject({ code: 'epoch', epoch: 4n });
  expect(side.report()).toMatchObject({ refusedEpochs: 1 });
  expect(side.report()).not.toHaveProperty('notes');
});

test('files: a source that was replaced while it was frozen is refused by epoch, and its frames change nothing', async () => {
  const stage = await openStage();
  const { side, said, dial } = roleOf(stage.target);
  const helloAt = (member: string, epoch: bigint): Hello =>
    stage.hello({ member, epoch, position: { epoch, sequence: 0, checksum: '0'.repeat(16) } });
  const frozen = dial(helloAt('anna', 4n));
  await frozen.next('hello');
  frozen.plan();
  await frozen.batch(1, [put('one', 'of its term')]);
  side.change(order, role);
  expect(frozen.connection.ended).toBeNull();
  side.change(order, replaced);
  // It thaws, and goes on before it reads anything.
  await frozen.send(2, [put('two', 'of nobody')]);
  expect(await refusedOf(frozen)).toMatchObject({ code: 'epoch', epoch: 5n });
  await until('its connection is over', () => frozen.connection.ended !== null);
  expect(await refusedOf(dial(helloAt('anna', 4n)))).toMatchObject({ code: 'epoch' });
  expect(side.report()).toMatchObject({ state: 'disconnected', sequence: 1, refusedEpochs: 2 });
  const says = 'd3/data: anna is refused: epoch 4 is over: d3/data is at 5';
  expect(said).toEqual([says, says]);
  const next = dial(helloAt('carl', 5n));
  await next.next('hello');
  next.plan(1);
  await next.batch(2, [put('three', 'of the next term')]);
  await stage.target.foreignChanges();
  expect(['one', 'two', 'three'].map((name) => existsSync(stage.at(name)))).toEqual([true, false, true]);
  await stage.close();
});

test('files: a source is refused by its role when another one takes its place at its epoch, and taken in its next term', async () => {
  const stage = await openStage();
  const { side, said, dial } = roleOf(stage.target);
  const source = dial(stage.hello({ epoch: 4n }));
  await source.next('hello');
  side.change(order, { ...role, sources: ['carl'] });
  expect(await refusedOf(source)).toMatchObject({ code: 'role' });
  expect(said).toEqual(['d3/data: anna is refused: anna is not the source of d3/data, as far as bert knows']);
  side.change(order, nextTerm);
  await dial(stage.hello({ epoch: 5n })).next('hello');
  expect(side.report()).toMatchObject({ refusedEpochs: 0 });
  await stage.close();
});

test('a source that is replaced while the copy is made free for it is not taken', async () => {
  const stage = await openStage();
  let free = (): void => undefined;
  const arrived = (): Promise<void> => new Promise((resolve) => (free = resolve));
  const offHost = { arrived } as unknown as NonNullable<TargetRolePorts['offHost']>;
  const { side, dial } = roleOf(stage.target, offHost);
  const source = dial(stage.hello({ epoch: 4n }));
  side.change(order, replaced);
  free();
  expect(await refusedOf(source)).toMatchObject({ code: 'epoch' });
  expect(stage.target.state()).toMatchObject({ source: null, epoch: 0n });
  await stage.close();
});

test('a volume: a source that was replaced while it was frozen is refused by epoch, and its blocks change nothing', async () => {
  const host = new VolumeHost('bert');
  const { side, dial } = roleOf(await host.openTarget());
  const hello = { ...helloOf('acme', 'anna', 'd3/disk'), selection: wholeVolume };
  const write = (number: number, offset: number): Frame => {
    const changes = [{ kind: 'write', offset, contents: Buffer.from('block') } as const];
    const marks = { barrier: true, inStep: false, resync: false };
    return { kind: 'volume-writes', number, sequence: number, changes, ...marks };
  };
  const frozen = dial({ ...hello, epoch: 4n });
  await frozen.next('volume-standing');
  frozen.connection.send(write(1, 0));
  await frozen.next('volume-ack');
  side.change(order, replaced);
  frozen.connection.send(write(2, 4_096));
  expect(await refusedOf(frozen)).toMatchObject({ code: 'epoch', epoch: 5n });
  await until('its connection is over', () => frozen.connection.ended !== null);
  expect(await refusedOf(dial({ ...hello, epoch: 4n }))).toMatchObject({ code: 'epoch' });
  expect(side.report()).toMatchObject({ state: 'disconnected', refusedEpochs: 2 });
  await dial({ ...hello, member: 'carl', epoch: 5n }).next('volume-standing');
  const contents = host.contents();
  expect(contents.subarray(0, 5).toString()).toBe('block');
  expect(contents.subarray(4_096, 4_101)).toEqual(Buffer.alloc(5));
  await host.close();
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
