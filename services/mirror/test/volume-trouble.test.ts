/** A source whose disks fail, and targets that do not keep up. */
import { randomBytes } from 'node:crypto';
import type { SourceTarget } from '../src/files/source/types.ts';
import { outcome } from '../src/volumes/nbd/protocol.ts';
import type { VolumeSource } from '../src/volumes/source/volume-source.ts';
import { inStep, submit, until, VolumeHost, volumeBytes, writeOf, type HostTerms } from './volume-hosts.ts';

const flush = { kind: 'flush' } as const;
const quietMs = 150;
const later = (): Promise<'waits'> => new Promise((next) => setTimeout(() => next('waits'), quietMs));
/** So many of them, and the first ones cool (volume-hosts.ts). */
const extentBytes = 65_536;

let anna: VolumeHost;
let bert: VolumeHost;
afterEach(async () => {
  await anna.close();
  await bert.close();
});

async function pair(terms: HostTerms = {}): Promise<VolumeSource> {
  anna = new VolumeHost('anna', terms);
  bert = new VolumeHost('bert');
  await bert.openTarget();
  const source = await anna.openSource(1n, [bert]);
  await inStep(anna, bert);
  return source;
}

const writeEverywhere = (source: VolumeSource): Promise<number>[] =>
  Array.from({ length: volumeBytes / extentBytes }, (_, i) =>
    submit(source, writeOf(i * extentBytes, randomBytes(512))),
  );

it('a flush is refused after a sync of our own that failed: what it should make durable may be lost', async () => {
  const source = await pair();
  anna.disk.fail('volume', 'EIO');
  // Extents cool, for which the volume is synced.
  const answers = await Promise.all(writeEverywhere(source));
  expect(answers).toContain(outcome.io);
  anna.disk.fail('volume', null);
  expect(await submit(source, flush)).toBe(outcome.io);
  expect(source.trouble).toMatch(/can't be made durable: EIO/);
});

it('records that can not be written are waited for, said, and nobody is told of an error', async () => {
  const source = await pair();
  anna.disk.fail('hot', 'ENOSPC');
  const written = Promise.all(writeEverywhere(source));
  await until('it is said', () => /can't be recorded: ENOSPC/.test(source.trouble));
  expect(await Promise.race([written, later()])).toBe('waits');
  anna.disk.fail('hot', null);
  expect(new Set(await written)).toEqual(new Set([outcome.done]));
  expect(source.trouble).toBe('');
  await inStep(anna, bert);
  expect(bert.contents().equals(anna.contents())).toBe(true);
});

it('a bitmap that can not be written ends no process, and the target is dialed again', async () => {
  const source = await pair();
  bert.cut();
  await submit(source, writeOf(0, randomBytes(512)));
  anna.disk.fail('peer-bert', 'ENOSPC');
  bert.mend();
  await until('it is said', () => /bitmap of bert can't be written/.test(source.rows()[0]?.says ?? ''));
  expect(await submit(source, writeOf(0, randomBytes(512)))).toBe(outcome.done);
  anna.disk.fail('peer-bert', null);
  await inStep(anna, bert);
  expect(bert.contents().equals(anna.contents())).toBe(true);
});

it('after a write that failed the target is compared', async () => {
  const source = await pair();
  anna.disk.refuse('volume', 'EIO');
  expect(await submit(source, writeOf(4_096, randomBytes(512)))).toBe(outcome.io);
  anna.disk.refuse('volume', null);
  await until('it is out of step', () => source.rows()[0]?.state !== 'replicating');
  await inStep(anna, bert);
  expect(bert.contents().equals(anna.contents())).toBe(true);
});

it('what can not be read here is said, keeps nothing else from the target, and is there when it can', async () => {
  const source = await pair();
  bert.cut();
  await until('it is missed', () => source.rows()[0]?.state === 'disconnected');
  const [bad, good] = [5 * extentBytes, 5 * extentBytes + 16_384];
  expect(await submit(source, writeOf(bad, randomBytes(4_096)))).toBe(outcome.done);
  const contents = randomBytes(4_096);
  expect(await submit(source, writeOf(good, contents))).toBe(outcome.done);
  anna.disk.refuseReads('volume', bad + 512);
  bert.mend();
  const says = new RegExp(`can't be read here at ${String(bad)}: EIO`);
  await until('it is said', () => says.test(source.rows()[0]?.says ?? ''));
  expect(source.trouble).toMatch(says);
  expect(source.rows()[0]).toMatchObject({ state: 'waiting' });
  expect(source.rows()[0]?.behindBytes).toBeGreaterThan(0);
  const copied = (): Buffer => bert.contents().subarray(good, good + 4_096);
  await until('the rest is there', () => copied().equals(contents));
  anna.disk.refuseReads('volume', null);
  await inStep(anna, bert);
  expect(source.trouble).toBe('');
  expect(bert.contents().equals(anna.contents())).toBe(true);
});

it('zeros that a target does not take count as behind', async () => {
  const source = await pair();
  const go = bert.stall();
  const zeros = { kind: 'zero', offset: 0, length: 262_144, hole: true, durable: false } as const;
  expect(await submit(source, zeros)).toBe(outcome.done);
  await until('it is behind', () => (source.rows()[0]?.behindMs ?? 0) > 100);
  expect(source.rows()[0]).toMatchObject({ state: 'replicating', behindBytes: 262_144 });
  go();
  await inStep(anna, bert);
  expect(source.rows()[0]).toMatchObject({ behindBytes: 0, behindMs: 0 });
});

it('a target that does not keep up slows nobody, falls back, and catches up', async () => {
  const source = await pair();
  const go = bert.stall();
  const beganMs = performance.now();
  const bytes = randomBytes(volumeBytes);
  for (let i = 0; i < 80; i += 1) expect(await submit(source, writeOf(0, bytes))).toBe(outcome.done);
  const tookMs = performance.now() - beganMs;
  expect(source.rows()[0]).toMatchObject({ state: 'waiting' });
  expect(source.rows()[0]?.says).toMatch(/more is under way|can not keep up/);
  // It was never waited for; what is measured is copies of 80 MiB.
  expect(tookMs).toBeLessThan(20_000);
  go();
  await inStep(anna, bert);
  expect(bert.contents().equals(anna.contents())).toBe(true);
});

describe('in mode sync, where a lost target blocks', () => {
  const block = { mode: 'sync', onTargetLoss: 'block' } as const;

  const paused = (): SourceTarget => ({
    member: 'bert',
    paused: 'a person wants it so',
    dial: () => Promise.reject(new Error('it is dialed all the same')),
  });

  it('one that a person paused does not, and it is said', async () => {
    const source = await pair(block);
    await source.change([paused()]);
    await until('it is apart', () => source.rows()[0]?.state === 'paused');
    expect(await submit(source, writeOf(0, randomBytes(512), true))).toBe(outcome.done);
  });

  it('one that has no complete copy yet does not', async () => {
    anna = new VolumeHost('anna', block);
    bert = new VolumeHost('bert');
    anna.disk.open('volume').write(randomBytes(volumeBytes), 0);
    await bert.openTarget();
    const source = await anna.openSource(1n, [bert]);
    // Nothing is compared yet: with the mark under way it would be waited for.
    while (source.rows()[0]?.state !== 'initial-copy') await new Promise((next) => setImmediate(next));
    const go = bert.stall();
    expect(await submit(source, writeOf(0, randomBytes(512), true))).toBe(outcome.done);
    go();
    await inStep(anna, bert);
    expect(bert.contents().equals(anna.contents())).toBe(true);
  });

  it('the row of one that does says so', async () => {
    const source = await pair(block);
    bert.cut();
    await until('it is said', () => /writes wait for it/.test(source.rows()[0]?.says ?? ''));
    await until('it is on record', () => /bert is not in step: writes wait for it/.test(anna.says.join()));
    bert.mend();
    await inStep(anna, bert);
    expect(source.rows()[0]?.says).toBe('');
  });
});

it('in mode sync nobody waits for a copy elsewhere', async () => {
  const source = await pair({ mode: 'sync', onTargetLoss: 'block' });
  // It is in step, and a slow one.
  await source.change([{ ...anna.way(bert), elsewhere: true }]);
  await inStep(anna, bert);
  const go = bert.stall();
  expect(await submit(source, writeOf(0, randomBytes(512), true))).toBe(outcome.done);
  go();
  bert.cut();
  expect(await submit(source, writeOf(0, randomBytes(512), true))).toBe(outcome.done);
  expect(source.rows()[0]?.says).not.toMatch(/writes/);
});

it('in mode sync it is said that writes go on without a lost target', async () => {
  const source = await pair({ mode: 'sync', onTargetLoss: 'continue', targetLossMs: 100 });
  bert.cut();
  await until('it is said', () => /writes go on without it/.test(source.rows()[0]?.says ?? ''));
  await until('it is on record', () => /bert is not in step: writes go on without it/.test(anna.says.join()));
});

it('a target that can not be taken off the record ends no process, and is taken off later', async () => {
  const source = await pair();
  anna.disk.fail('record', 'ENOSPC');
  await source.setTargets([]);
  expect(anna.says.join()).toMatch(/its targets can't be recorded: ENOSPC/);
  expect(source.rows()).toEqual([]);
  expect(anna.disk.exists('peer-bert')).toBe(true);
  anna.disk.fail('record', null);
  // By itself: nobody orders it again.
  await until('its bitmap is gone', () => !anna.disk.exists('peer-bert'));
});

it('one that could not be taken off and is a target again has everything', async () => {
  const source = await pair();
  anna.disk.fail('record', 'ENOSPC');
  await source.setTargets([]);
  expect(await submit(source, writeOf(0, randomBytes(512)))).toBe(outcome.done);
  // It is taken by then, and there is nobody to whom it goes.
  expect(source.rows()).toEqual([]);
  await source.setTargets([anna.way(bert)]);
  anna.disk.fail('record', null);
  await inStep(anna, bert);
  expect(bert.contents().equals(anna.contents())).toBe(true);
});

it('two orders at once make one line to a new target', async () => {
  const source = await pair();
  let dials = 0;
  const carl: SourceTarget = {
    member: 'carl',
    paused: null,
    dial: () => {
      dials += 1;
      return Promise.resolve({ kind: 'failed', failure: { kind: 'refused', says: 'nobody is there' } });
    },
  };
  const go = anna.disk.stall('record');
  const changes = [source.change([carl]), source.change([carl])];
  await later();
  go();
  await Promise.all(changes);
  await later();
  // Another line would dial as well.
  expect(dials).toBeLessThan(3);
  expect(source.rows().length).toBe(1);
});

it('whoever waits for a target is told when it closes, though its disk hangs', async () => {
  const source = await pair({ mode: 'sync', onTargetLoss: 'block' });
  bert.cut();
  await until('it is missed', () => source.rows()[0]?.state === 'disconnected');
  const written = submit(source, writeOf(0, randomBytes(512)));
  const go = anna.disk.stall('volume');
  for (const answer of writeEverywhere(source)) void answer;
  await later();
  const closed = source.close();
  expect(await Promise.race([written, later()])).toBe(outcome.shutdown);
  go();
  await closed;
});

it('a source that can not be opened, because a new target can not be recorded, leaves nothing that writes to the others', async () => {
  anna = new VolumeHost('anna');
  bert = new VolumeHost('bert');
  await bert.openTarget();
  anna.disk.refuse('peer-carl', 'ENOSPC');
  await expect(anna.openSource(1n, [bert, new VolumeHost('carl')])).rejects.toThrow('ENOSPC');
  await later();
  expect(bert.target?.state()).toMatchObject({ phase: 'disconnected', consistent: false });
  await anna.openSource(1n, [bert]);
  await inStep(anna, bert);
});
