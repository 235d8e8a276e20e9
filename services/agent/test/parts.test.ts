/** The small parts of the agent, each alone. */
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  parseConfig,
  parseEvent,
  recall,
  withLeaving,
  type Heartbeat,
  type LiveMirror,
  type Message,
  type Traces,
} from '@holdfast/core';
import { heartbeat as wire } from '@holdfast/proto';
import { defaultPorts, type KnownMember } from '@holdfast/wire/directory';
import { startListening, hear } from '@holdfast/core';
import { AddressBook } from '../src/address-book.ts';
import { outcomeOf } from '../src/command-runs.ts';
import { ClockWatch } from '../src/clock-watch.ts';
import { DurableRecord } from '../src/durable-record.ts';
import { EpochGate } from '../src/epoch-gate.ts';
import { GroupQueue } from '../src/group-queue.ts';
import { LineReader } from '../src/line-reader.ts';
import { openMemory } from '../src/memory.ts';
import { PendingNotes } from '../src/pending-notes.ts';
import { explainResult } from '../src/platform/linux/commands.ts';
import { fromBody, toBody } from '../src/wire-message.ts';
import { oneGroup, until } from './story.ts';

async function inFolder(tell: (folder: string) => Promise<void>): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), 'holdfast-parts-'));
  try {
    await tell(folder);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

const beat: Heartbeat = {
  kind: 'heartbeat',
  sentAt: 1234.5,
  echo: { sentAt: 1000.25, ageMs: 3 },
  version: '0.1.0',
  leaving: false,
  addresses: ['10.77.0.11', ''],
  groups: [{ group: 'd3', epoch: 2n ** 63n, state: 'active' }],
  vantage: [{ member: 'b', path: 1, ageMs: 12.5, rttMs: null }],
  diagnoses: [{ member: 'b', path: 0, says: 'path dead' }],
};

const row: LiveMirror = {
  mirror: 'd3/data',
  epoch: 7n,
  target: 'b',
  state: 'replicating',
  consistent: true,
  behindBytes: 0,
  behindMs: 0,
  totalBytes: 0,
  doneBytes: 0,
  rateBytesPerSecond: 0,
  says: '',
};

describe('a message', () => {
  const messages: readonly Message[] = [
    beat,
    { ...beat, echo: null },
    { ...beat, mirrors: [row] },
    { ...beat, mirrors: [{ ...row, hot: { count: 7, named: ['orders.db', 'orders.db-wal'] } }] },
    { ...beat, bootId: '0d5f7a3e-9c1b-4f6e-8a2d-3b4c5d6e7f80' },
    { kind: 'hold-request', group: 'd3', epoch: 7n, round: 123_456_789_012 },
    { kind: 'hold-request', group: 'd3', epoch: 7n, round: 1, waitMs: 20_000 },
    { kind: 'hold-promise', group: 'd3', epoch: 7n, round: 1, promised: false, reason: 'no' },
    { kind: 'sighting-request', round: 5, addresses: ['10.77.0.100/24'] },
    { kind: 'sighting', round: 5, address: '10.77.0.100/24', linkAddress: null },
  ];

  it.each(messages)('of kind $kind is the same on the other side', (message) => {
    const envelope = wire.Envelope.fromPartial({ sender: 'a', body: toBody(message, 1) });
    const read = wire.Envelope.decode(wire.Envelope.encode(envelope).finish());
    expect(read.body === undefined ? null : fromBody(read.body)).toEqual(message);
  });

  it('has room for a whole reason where one copy is in trouble, and for the beginning of each of four', () => {
    const told = (says: readonly string[]): readonly string[] => {
      const body = toBody({ ...beat, mirrors: says.map((text) => ({ ...row, says: text })) }, 1);
      return body.$case === 'heartbeat' ? body.value.mirrors.map((mirror) => mirror.says) : [];
    };
    const reason = `${'/srv/d3 is not the folder that was mirrored. '.repeat(6)}Is its disk mounted?`;
    expect(told(['', reason, ''])).toEqual(['', reason, '']);
    expect(told([reason, reason, reason, reason])).toEqual(Array(4).fill(`${reason.slice(0, 79)}…`));
  });

  it('loses rows that make no sense, and is refused when it makes none itself', () => {
    const value = wire.Heartbeat.fromPartial({
      sentAtMs: 1,
      groups: [{ group: 'd3', epoch: 1n, state: 'dancing' }],
      vantage: [
        { member: 'b', path: 99, ageMs: 1 },
        { member: 'b', path: 0, ageMs: Number.NaN },
      ],
    });
    expect(fromBody({ $case: 'heartbeat', value })).toMatchObject({ groups: [], vantage: [] });
    const wrong = { ...value, sentAtMs: Number.POSITIVE_INFINITY };
    expect(fromBody({ $case: 'heartbeat', value: wrong })).toBeNull();
  });

  it.each([Number.NaN, -1, 3_600_001])('that asks to hold for %d ms is refused', (waitMs) => {
    const value = wire.HoldRequest.fromPartial({ group: 'd3', epoch: 7n, round: 1n, waitMs });
    expect(fromBody({ $case: 'holdRequest', value })).toBeNull();
  });
});

describe('what is told of a former life', () => {
  const traces: Traces = {
    self: 'a',
    bootId: 'this',
    now: 1_000,
    holdings: new Map([['d3', { bootId: 'this', epoch: 4n, state: 'active' }]]),
    holdingsLost: false,
    promises: new Map(),
    promisesLost: false,
    guard: { armed: [{ group: 'd3', epoch: 4n, fenceAtMs: 5_000 }] },
    config: oneGroup(),
  };
  const armedAt = (epoch: bigint, fenceAtMs: number) => ({
    ...traces,
    guard: { armed: [{ group: 'd3', epoch, fenceAtMs }] },
  });

  it('goes on when memory and guard agree', () => {
    expect(recall(traces).held).toEqual([{ group: 'd3', epoch: 4n, state: 'active', fenceAt: 5_000 }]);
    expect(recall(traces).epochs).toEqual(new Map([['d3', 4n]]));
  });

  it.each([
    ['the guard does not answer', { ...traces, guard: null }],
    ['the guard has it at another epoch', armedAt(3n, 5_000)],
    ['its deadline has passed', armedAt(4n, 999)],
  ])('is fenced first when %s', (_, story) => {
    expect(recall(story).held).toEqual([{ group: 'd3', epoch: 4n, state: 'releasing', fenceAt: 1_000 }]);
  });

  it('is all that the guard is armed for, to be fenced first, where it can not be read', () => {
    const told = recall({ ...traces, holdings: new Map(), holdingsLost: true });
    expect(told.held).toMatchObject([{ group: 'd3', epoch: 4n, state: 'releasing' }]);
    expect([told.epochs, told.lost]).toEqual([new Map([['d3', 4n]]), true]);
    expect(recall({ ...traces, holdings: new Map(), holdingsLost: true, guard: null }).held).toEqual([]);
  });

  it('is nothing after a boot of the host, or when it had ended', () => {
    expect(recall({ ...traces, bootId: 'next' }).held).toEqual([]);
    const ended = new Map([['d3', { bootId: 'this', epoch: 4n, state: 'fenced' }]] as const);
    expect(recall({ ...traces, holdings: ended }).held).toEqual([]);
  });

  it('goes on with a group that was removed or moved away since, until this server let go of it', () => {
    const removed = withLeaving(null, oneGroup(), { ...oneGroup(), groups: new Map() }, 10n);
    const moved = withLeaving(null, oneGroup(), oneGroup({ servers: ['b', 'c'] }), 10n);
    for (const config of [removed, moved])
      expect(recall({ ...traces, config }).held).toEqual(recall(traces).held);
    expect(recall({ ...traces, config: { ...removed, leaving: [] } }).held).toEqual([]);
  });

  it.each([
    ['may have begun where nobody tells', null],
    ['may have begun where the guard knows of none', { armed: [] }],
  ])('an epoch that was on the disk ahead of time %s, and was not seen', (_, guard) => {
    const kept = { bootId: 'this', epoch: 4n, state: 'fenced', ahead: 5n } as const;
    const told = recall({ ...traces, guard, holdings: new Map([['d3', kept]]) });
    expect(told.held).toEqual([{ group: 'd3', epoch: 5n, state: 'releasing', fenceAt: 1_000 }]);
    expect(told.epochs).toEqual(new Map([['d3', 4n]]));
    expect(told.ahead).toEqual(new Map([['d3', 5n]]));
  });

  it('an epoch that was on the disk ahead of time has begun where the guard was armed for it', () => {
    const kept = { bootId: 'this', epoch: 4n, state: 'fenced', ahead: 5n } as const;
    const told = recall({ ...armedAt(5n, 5_000), holdings: new Map([['d3', kept]]) });
    expect(told.held).toEqual([{ group: 'd3', epoch: 5n, state: 'acquiring', fenceAt: 5_000 }]);
    expect(told.epochs).toEqual(new Map([['d3', 5n]]));
  });

  it('counts a promise of another boot as given now, and lost ones as given for every group', () => {
    const promise = { epoch: 4n, until: 2_500 };
    const { waitMs } = oneGroup().groups.get('d3')?.rules ?? { waitMs: 0 };
    const of = (bootId: string) => ({ ...traces, promises: new Map([['d3', { ...promise, bootId }]]) });
    expect(recall(of('this')).promises).toEqual([{ group: 'd3', ...promise }]);
    expect(recall(of('last')).promises).toEqual([{ group: 'd3', epoch: 4n, until: 1_000 + waitMs }]);
    expect(recall({ ...traces, promisesLost: true }).promises).toEqual([
      { group: 'd3', epoch: 0n, until: 1_000 + waitMs },
    ]);
  });
});

describe('a record on disk', () => {
  it('says done only when the change itself is there, and tries again after a failure', async () => {
    const written: string[] = [];
    let full = true;
    const record = new DurableRecord('/nowhere', (_path, text) => {
      if (full) return Promise.reject(new Error('no space left'));
      written.push(text.trim());
      return Promise.resolve();
    });
    expect(await record.set(1)).toEqual({ kind: 'failed', says: "/nowhere can't be written: no space left" });
    full = false;
    expect(await Promise.all([record.set(2), record.set(3)])).toEqual([{ kind: 'done' }, { kind: 'done' }]);
    expect(written.at(-1)).toBe('3');
    await record.close();
  });

  it('writes what may wait together with what may not, and when it is closed at the latest', async () => {
    const written: string[] = [];
    const record = new DurableRecord('/nowhere', (_path, text) => {
      written.push(text.trim());
      return Promise.resolve();
    });
    const later = record.set(1, 60_000);
    expect(written).toEqual([]);
    expect(await Promise.all([record.set(2), later])).toEqual([{ kind: 'done' }, { kind: 'done' }]);
    const last = record.set(3, 60_000);
    await record.close();
    expect(await last).toEqual({ kind: 'done' });
    expect(written).toEqual(['2', '3']);
  });

  it('remembers epochs and promises for the next agent', () =>
    inFolder(async (folder) => {
      const { mkdir, writeFile } = await import('node:fs/promises');
      await mkdir(join(folder, 'state'));
      const first = await openMemory(folder, 'boot-1');
      await first.remember('d3', 5n, 'active');
      await first.keepPromise('x', 2n, 99, 0);
      const next = await openMemory(folder, 'boot-1');
      expect(next.holdings.get('d3')).toEqual({ bootId: 'boot-1', epoch: 5n, state: 'active' });
      expect(next.promises.get('x')).toEqual({ bootId: 'boot-1', epoch: 2n, until: 99 });
      expect(await next.entered('d3', 5n)).toEqual({ kind: 'done' });
      expect(await next.entered('d3', 6n)).toMatchObject({ kind: 'failed' });
      await writeFile(join(folder, 'state', 'promises.json'), '{"x":');
      const hurt = await openMemory(folder, 'boot-1');
      expect(hurt.promisesLost).toBe(true);
      expect(hurt.garbage).toHaveLength(1);
      expect(await readFile(join(folder, 'state', 'holdings.json'), 'utf8')).toContain('"epoch":"5"');
    }));
});

describe('an epoch that is on the disk ahead of time', () => {
  const kept = async (folder: string) =>
    (await openMemory(folder, 'boot-1')).holdings.get('d3') ?? { epoch: 0n, ahead: 0n };

  async function ahead(folder: string) {
    const { mkdir } = await import('node:fs/promises');
    await mkdir(join(folder, 'state'));
    const memory = await openMemory(folder, 'boot-1');
    await memory.remember('d3', 5n, 'acquiring');
    await memory.remember('d3', 5n, 'fenced');
    memory.rememberAhead('d3', 6n);
    return memory;
  }

  it('is kept apart until it is used, and is used without waiting for the disk', () =>
    inFolder(async (folder) => {
      const memory = await ahead(folder);
      expect(await memory.entered('d3', 6n)).toMatchObject({ kind: 'failed' });
      void memory.remember('d3', 6n, 'acquiring');
      expect(await memory.entered('d3', 6n)).toEqual({ kind: 'done' });
      expect(await kept(folder)).toMatchObject({ epoch: 5n, ahead: 6n });
      await memory.close();
      expect(await kept(folder)).toEqual({ bootId: 'boot-1', epoch: 6n, state: 'acquiring' });
    }));

  it('is forgotten, and its end is no news', () =>
    inFolder(async (folder) => {
      const memory = await ahead(folder);
      expect(await memory.remember('d3', 6n, 'fenced')).toEqual({ kind: 'done' });
      memory.forgetAhead('d3');
      await memory.close();
      expect(await kept(folder)).toMatchObject({ epoch: 5n });
      expect(await kept(folder)).not.toHaveProperty('ahead');
    }));
});

describe('where members are', () => {
  const member = (id: string, ...addresses: string[]): KnownMember => ({
    id,
    role: 'server',
    addresses,
    ports: defaultPorts,
    voter: true,
  });
  const known = [member('a', '10.0.0.1', '10.1.0.1'), member('b', '10.0.0.2', '10.1.0.2')];
  const parsed = parseConfig(
    { groups: { d3: { servers: ['a', 'b'], identity: { mode: 'replace', prefix: 24 } } } },
    'f',
    known.map(({ id, addresses, voter }) => ({ id, role: 'server', addresses, voter })),
  );
  const config = parsed.kind === 'ok' ? parsed.config : null;
  const book = (...here: string[]) => new AddressBook('b', known, () => new Set(here));

  it('follows an identity that moved', () => {
    expect(config).not.toBeNull();
    expect(book('10.0.0.2', '10.1.0.2').ownAddresses(config)).toEqual(['10.0.0.2', '10.1.0.2']);
    expect(book('10.0.0.1', '10.1.0.2').ownAddresses(config)).toEqual(['10.0.0.1', '10.1.0.2']);
    expect(book('10.1.0.2').ownAddresses(config)).toEqual(['', '10.1.0.2']);
    expect(book().candidates(config)).toEqual([
      { path: 0, address: '10.0.0.2' },
      { path: 0, address: '10.0.0.1' },
      { path: 1, address: '10.1.0.2' },
    ]);
  });

  it('believes a heartbeat more than the membership, and never takes our own address for theirs', () => {
    const silent = startListening('b', 0);
    expect(book('10.0.0.2').addressOf('a', 0, silent)).toBe('10.0.0.1');
    expect(book('10.0.0.1').addressOf('a', 0, silent)).toBeNull();
    const told = hear(silent, 'a', 1, { ...beat, addresses: ['', '10.1.0.9'] }, 5);
    expect(book('10.0.0.2').addressOf('a', 0, told)).toBeNull();
    expect(book('10.0.0.2').addressesOf('a', told)).toEqual(['10.1.0.9']);
  });

  it('takes nobody who answers at an address for the one who lost it to another member', () => {
    const witness = new AddressBook('w', known, () => new Set(['10.0.0.3']));
    const before = hear(startListening('w', 0), 'a', 0, { ...beat, addresses: ['10.0.0.1', '10.1.0.1'] }, 5);
    expect(witness.isTaken('10.0.0.1', 'a', before)).toBe(false);
    const after = hear(before, 'b', 0, { ...beat, addresses: ['10.0.0.1', '10.1.0.2'] }, 9_000);
    expect(witness.isTaken('10.0.0.1', 'a', after)).toBe(true);
    const back = hear(after, 'a', 0, { ...beat, addresses: ['10.0.0.1', '10.1.0.1'] }, 9_100);
    expect(witness.isTaken('10.0.0.1', 'a', back)).toBe(false);
  });
});

describe('pending notes', () => {
  it('are sent two at a time, in order, until a renewal had them', () => {
    const notes = new PendingNotes('a');
    for (const n of [1, 2, 3]) notes.add('d3', 'note', `number ${n}`, 1_700_000_000_000);
    const first = notes.next();
    expect(first.map((n) => n.id)).toEqual(['001700000000000-a-1', '001700000000000-a-2']);
    expect(parseEvent(first[0]?.text ?? '')).toMatchObject({ value: { reason: 'number 1', server: 'a' } });
    expect(notes.next()).toEqual(first);
    notes.committed(first);
    expect(notes.next()).toHaveLength(1);
  });

  it('have a bound', () => {
    const notes = new PendingNotes('a');
    for (let n = 0; n < 250; n += 1) notes.add(null, 'note', String(n), n);
    expect(notes.size).toBe(200);
    expect(notes.dropped).toBe(50);
  });
});

describe('a line reader', () => {
  it('puts lines together, characters too, and drops one that is too long', () => {
    let tooLong = 0;
    const reader = new LineReader(10, () => (tooLong += 1));
    const euro = Buffer.from('a€\n');
    expect(reader.push(euro.subarray(0, 2))).toEqual([]);
    expect(reader.push(euro.subarray(2))).toEqual(['a€']);
    expect(reader.push(Buffer.from('0123456789ab'))).toEqual([]);
    expect(reader.push(Buffer.from('cd\nok\n'))).toEqual(['ok']);
    expect(tooLong).toBe(1);
  });
});

describe('clocks of others', () => {
  it('are compared over minutes, and only a wrong rate or a far wall clock is told', () => {
    const clocks = new ClockWatch();
    const at = (ms: number, rate: number, wall: number) => {
      clocks.heard('b', 1_000 + ms * rate, wall, 50_000 + ms, 0);
      return clocks.troubles().map((t) => t.kind);
    };
    expect(at(0, 1, 0)).toEqual([]);
    expect(at(121_000, 1.002, 1_999)).toEqual([]);
    expect(clocks.troubles()).toEqual([]);
    const fast = new ClockWatch();
    fast.heard('b', 0, 0, 0, 0);
    fast.heard('b', 121_000 * 1.02, 3_600_000, 121_000, 0);
    expect(fast.troubles().map((t) => t.kind)).toEqual(['wall', 'rate']);
  });
});

describe('the work of a group', () => {
  it('is done one after the other, beside that of other groups', async () => {
    const queue = new GroupQueue();
    const done: string[] = [];
    let open: () => void = () => undefined;
    const gate = new Promise<void>((resolve) => (open = resolve));
    const first = queue.add('d3', () => gate.then(() => done.push('first')));
    const second = queue.add('d3', () => Promise.resolve(done.push('second')));
    await queue.add('x', () => Promise.resolve(done.push('other')));
    expect(done).toEqual(['other']);
    open();
    await Promise.all([first, second]);
    expect(done).toEqual(['other', 'first', 'second']);
    await until('it is idle', () => queue.isIdle('d3'));
  });

  it('has settled only when all of it ended, and an epoch that is over stays so', async () => {
    const gate = new EpochGate();
    let end: () => void = () => undefined;
    void gate.track('d3', new Promise<void>((resolve) => (end = resolve)));
    expect(await gate.settled('d3', 10)).toBe(false);
    end();
    expect(await gate.settled('d3', 1_000)).toBe(true);
    gate.end('d3', 5n);
    gate.end('d3', 3n);
    expect([gate.isOver('d3', 5n), gate.isOver('d3', 6n), gate.isOver('x', 1n)]).toEqual([
      true,
      false,
      false,
    ]);
  });
});

describe('what a program said', () => {
  const output = 'Not booted with systemd.\r\n\u001b[31mHost is down\n\n';

  it('is one line of a reason, and moves no cursor', () => {
    const result = { kind: 'exited', status: 1, signal: null, output, ms: 3 } as const;
    const says = 'app stop ended with status 1: Not booted with systemd. [31mHost is down';
    expect(outcomeOf(['app', 'stop'], result)).toEqual({ kind: 'failed', says });
    expect(explainResult(['app', 'stop'], result)).toBe(says);
  });

  it('of a long tale is the end', () => {
    const result = {
      kind: 'timed-out',
      status: null,
      signal: null,
      output: `first ${'word '.repeat(1_000)}last`,
      ms: 30,
    } as const;
    const says = explainResult(['app'], result);
    expect(says).toMatch(/^app did not finish in 30 ms and was killed: .* last$/);
    expect(says.length).toBeLessThan(500);
  });
});
