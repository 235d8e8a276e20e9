/** A target whose disk fails: what it lost is never trusted, whatever is still read back from the cache. */
import { randomBytes } from 'node:crypto';
import { outcome } from '../src/volumes/nbd/protocol.ts';
import { inStep, isInStep, submit, until, VolumeHost, volumeBytes, writeOf } from './volume-hosts.ts';

let anna: VolumeHost;
let bert: VolumeHost;
beforeEach(async () => {
  anna = new VolumeHost('anna', { mode: 'sync', onTargetLoss: 'continue' });
  bert = new VolumeHost('bert');
  anna.disk.open('volume').write(randomBytes(volumeBytes), 0);
  await bert.openTarget();
  await anna.openSource(1n, [bert]);
  await inStep(anna, bert);
});
afterEach(async () => {
  await anna.close();
  await bert.close();
});

const flushed = async (offset: number, bytes: Buffer): Promise<void> => {
  if (anna.source === null) throw new Error('anna is no source');
  expect(await submit(anna.source, writeOf(offset, bytes, true))).toBe(outcome.done);
};

const failed = (): Promise<void> =>
  until('its disk failed', () => bert.target?.state().phase === 'failed' || bert.target?.lost !== '');

const againInStep = (): Promise<number> =>
  bert.keepOpen(() => bert.target?.state().phase === 'replicating' && isInStep(anna, bert));

it('what a sync that failed was for is written again, and survives a power cut', async () => {
  bert.disk.fail('volume', 'EIO', 1);
  await flushed(100_000, randomBytes(40_000));
  await failed();
  expect(await againInStep()).toBe(1);
  await bert.kill(() => 0);
  expect(bert.contents().equals(anna.contents())).toBe(true);
});

it('it is so when the process dies before the disk is opened anew', async () => {
  bert.disk.fail('volume', 'EIO', 1);
  await flushed(100_000, randomBytes(40_000));
  await failed();
  await bert.kill(null);
  await bert.openTarget();
  await inStep(anna, bert);
  await bert.kill(() => 0);
  expect(bert.contents().equals(anna.contents())).toBe(true);
});

it('it takes nothing until it is opened anew, says why, and is not complete', async () => {
  bert.disk.fail('volume', 'EIO', 1);
  await flushed(100_000, randomBytes(4_096));
  await failed();
  expect(bert.target?.state()).toMatchObject({ phase: 'failed', consistent: false });
  const says = (): string => anna.source?.rows()[0]?.says ?? '';
  await until('its source says so', () => /can't be written here: EIO/.test(says()));
  await flushed(200_000, randomBytes(4_096));
  expect(bert.target?.state()).toMatchObject({ phase: 'failed', consistent: false });
});

it('it is opened ever more seldom while its disk goes on failing, and comes into step afterwards', async () => {
  bert.disk.fail('volume', 'EIO', 4);
  await flushed(100_000, randomBytes(40_000));
  const beganMs = performance.now();
  // A sync fails in closing, too, so that some lives are failures by themselves.
  expect(await againInStep()).toBeGreaterThan(1);
  expect(performance.now() - beganMs).toBeGreaterThan(5 + 10 + 20);
  await bert.kill(() => 0);
  expect(bert.contents().equals(anna.contents())).toBe(true);
});

it('a way back stays one when the disk fails in a resync', async () => {
  const consistent = bert.contents();
  bert.cut();
  await until('it is missed', () => anna.source?.rows()[0]?.state === 'disconnected');
  await flushed(0, randomBytes(volumeBytes));
  // The sync with which a resync begins goes well.
  bert.disk.fail('volume', 'EIO', 1, 1);
  bert.mend();
  await failed();
  expect(bert.contents().equals(consistent)).toBe(false);
  await anna.kill(null);
  expect(bert.target?.state()).toMatchObject({ consistent: true });
  await bert.keepOpen(() => bert.target?.state().phase === 'disconnected');
  await bert.takeOver(2n, []);
  await bert.kill(() => 0);
  expect(bert.contents().equals(consistent)).toBe(true);
});

it('a write that fails stops it, and loses nothing', async () => {
  const store = bert.disk.open('volume');
  expect(store.sizeBytes).toBe(volumeBytes);
  bert.disk.refuse('volume', 'ENOSPC');
  await flushed(100_000, randomBytes(4_096));
  await failed();
  expect(bert.target?.state()).toMatchObject({ phase: 'failed', consistent: true });
  bert.disk.refuse('volume', null);
  await againInStep();
  expect(bert.contents().equals(anna.contents())).toBe(true);
});

it('an owner that comes back after such a failure writes again what it can not trust', async () => {
  await flushed(0, randomBytes(4_096));
  if (anna.source === null) throw new Error('anna is no source');
  expect(await submit(anna.source, writeOf(50_000, randomBytes(4_096)))).toBe(outcome.done);
  await anna.kill(null);
  anna.disk.fail('volume', 'EIO', 1);
  await expect(anna.openSource(1n, [bert])).rejects.toThrow('EIO');
  await anna.openSource(1n, [bert]);
  await inStep(anna, bert);
  await anna.kill(() => 0);
  expect(anna.contents().equals(bert.contents())).toBe(true);
});

describe('an owner whose flush fails', () => {
  const refused = async (): Promise<void> => {
    if (anna.source === null) throw new Error('anna is no source');
    const recorded = anna.disk.syncs('record');
    anna.disk.fail('volume', 'EIO', 1);
    expect(await submit(anna.source, writeOf(100_000, randomBytes(40_000), true))).toBe(outcome.io);
    await until('it is being recorded', () => anna.disk.syncs('record') > recorded);
    // Durable by then.
    await until('it is on record', () => !anna.disk.unsynced('record'));
  };

  it('and that becomes a target afterwards does not take what it reads back for what it has', async () => {
    await refused();
    await anna.source?.close();
    anna.source = null;
    await anna.openTarget();
    await bert.takeOver(2n, [anna]);
    await inStep(bert, anna);
    await anna.kill(() => 0);
    expect(anna.contents().equals(bert.contents())).toBe(true);
  });

  it('and whose process dies then holds what its target has, also without power', async () => {
    await refused();
    await anna.kill(null);
    await anna.openSource(1n, [bert]);
    await inStep(anna, bert);
    await anna.kill(() => 0);
    expect(anna.contents().equals(bert.contents())).toBe(true);
  });

  it('and whose records fail, too, puts it on record when it is closed', async () => {
    if (anna.source === null) throw new Error('anna is no source');
    anna.disk.fail('volume', 'EIO', 1);
    anna.disk.fail('record', 'EIO', 1);
    expect(await submit(anna.source, writeOf(100_000, randomBytes(40_000), true))).toBe(outcome.io);
    await until('it is said', () => /that its disk failed can't be recorded: EIO/.test(anna.says.join()));
    await anna.source.close();
    await anna.openSource(1n, [bert]);
    await inStep(anna, bert);
    await anna.kill(() => 0);
    expect(anna.contents().equals(bert.contents())).toBe(true);
  });

  it('and that can not read some of it either is opened, for that was written by nobody since', async () => {
    await refused();
    await anna.kill(null);
    anna.disk.refuseReads('volume', 100_000);
    await anna.openSource(1n, [bert]);
    anna.disk.refuseReads('volume', null);
    await inStep(anna, bert);
  });
});

it('it is not opened by whoever takes over, and is said to be incomplete', async () => {
  anna.cut();
  await until('it is missed', () => bert.target?.state().phase === 'disconnected');
  bert.disk.fail('volume', 'EIO', 1);
  await expect(bert.target?.promote()).rejects.toThrow('EIO');
  expect(bert.target?.lost).toMatch(/EIO/);
  expect(await bert.keepOpen(() => bert.target?.lost === '')).toBe(1);
  expect(bert.target?.state()).toMatchObject({ phase: 'disconnected', consistent: false });
});
