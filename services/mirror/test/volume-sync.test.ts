/** What an answer means: in sync mode, without a target, without a grant, and with a disk that fails. */
import { randomBytes } from 'node:crypto';
import { groundRecord } from '../src/volumes/ground.ts';
import { outcome } from '../src/volumes/nbd/protocol.ts';
import type { VolumeSource } from '../src/volumes/source/volume-source.ts';
import {
  chunkBytes,
  grantMs,
  inStep,
  submit,
  until,
  VolumeHost,
  volumeBytes,
  writeOf,
  type HostTerms,
} from './volume-hosts.ts';

const flush = { kind: 'flush' } as const;
const quietMs = 150;
const limitMs = 10_000;
const later = (ms: number): Promise<'waits'> => new Promise((next) => setTimeout(() => next('waits'), ms));

let anna: VolumeHost;
let bert: VolumeHost;
afterEach(async () => {
  await anna.close();
  await bert.close();
});

async function pair(terms: HostTerms): Promise<VolumeSource> {
  anna = new VolumeHost('anna', terms);
  bert = new VolumeHost('bert');
  await bert.openTarget();
  const source = await anna.openSource(1n, [bert]);
  await inStep(anna, bert);
  return source;
}

describe('in sync mode', () => {
  it('a write is answered when the target has it, a flush when it is durable there', async () => {
    const source = await pair({ mode: 'sync', onTargetLoss: 'block' });
    const bytes = randomBytes(4_096);
    expect(await submit(source, writeOf(8_192, bytes))).toBe(outcome.done);
    expect(bert.contents().subarray(8_192, 12_288).equals(bytes)).toBe(true);
    expect(await submit(source, flush)).toBe(outcome.done);
    // Nothing that was flushed may go with the power, of either side.
    await bert.kill(() => 0);
    expect(bert.contents().subarray(8_192, 12_288).equals(bytes)).toBe(true);
  });

  it('a flush answers for the target from the moment on at which the mode is sync, or the target counts', async () => {
    for (const counts of ['by mode', 'by place'] as const) {
      const source = await pair({ mode: counts === 'by mode' ? 'async' : 'sync', onTargetLoss: 'block' });
      if (counts === 'by place') await source.setTargets([{ ...anna.way(bert), elsewhere: true }]);
      const go = bert.disk.stall('volume');
      expect(await submit(source, writeOf(0, randomBytes(512)))).toBe(outcome.done);
      expect(await submit(source, flush)).toBe(outcome.done);
      if (counts === 'by mode') source.setMode({ mode: 'sync', onTargetLoss: 'block', targetLossMs: 5_000 });
      else await source.setTargets([anna.way(bert)]);
      const flushed = submit(source, flush);
      const first = await Promise.race([flushed, later(quietMs)]);
      go();
      expect([counts, first, await flushed]).toEqual([counts, 'waits', outcome.done]);
      await anna.close();
      await bert.close();
    }
  });

  it('a lost target is waited for, and then gone on without', async () => {
    const source = await pair({ mode: 'sync', onTargetLoss: 'continue', targetLossMs: 300 });
    bert.cut();
    await until('it is missed', () => source.rows()[0]?.state === 'disconnected');
    const written = submit(source, writeOf(0, randomBytes(512)));
    expect(await Promise.race([written, later(quietMs)])).toBe('waits');
    expect(await written).toBe(outcome.done);
    expect(source.rows()[0]?.behindBytes).toBeGreaterThan(0);
  });

  it('a lost target is not gone on without before a grant comes that is younger than the loss', async () => {
    const source = await pair({ mode: 'sync', onTargetLoss: 'continue', targetLossMs: 100 });
    // Whoever is cut off from everybody is confirmed by nobody.
    anna.renewing = false;
    bert.cut();
    const written = submit(source, writeOf(0, randomBytes(512)));
    expect(await Promise.race([written, later(800)])).toBe('waits');
    expect(source.rows()[0]?.says).toMatch(/writes wait for it/);
    anna.renew();
    expect(await written).toBe(outcome.done);
  });

  it('a lost target is waited for until it is back, where that is wanted', async () => {
    const source = await pair({ mode: 'sync', onTargetLoss: 'block' });
    bert.cut();
    const bytes = randomBytes(512);
    const written = submit(source, writeOf(0, bytes));
    const flushed = submit(source, flush);
    expect(await Promise.race([written, flushed, later(quietMs)])).toBe('waits');
    bert.mend();
    expect(await Promise.all([written, flushed])).toEqual([outcome.done, outcome.done]);
    expect(bert.contents().subarray(0, 512).equals(bytes)).toBe(true);
  });

  it('a target whose disk hangs while its line lives is waited for, and then gone on without, loudly', async () => {
    const source = await pair({ mode: 'sync', onTargetLoss: 'continue', targetLossMs: 1_000 });
    const go = bert.disk.stall('volume');
    expect(await submit(source, writeOf(0, randomBytes(512)))).toBe(outcome.done);
    const flushed = submit(source, flush);
    expect(await Promise.race([flushed, later(quietMs)])).toBe('waits');
    expect(await Promise.race([flushed, later(limitMs)])).toBe(outcome.done);
    expect(source.rows()[0]).toMatchObject({ state: 'waiting' });
    expect(source.rows()[0]?.says).toMatch(/its disk may hang; writes go on without it/);
    expect(anna.says.join()).toMatch(/bert is not in step: writes go on without it/);
    // Nobody waits for it any more, and it catches up when its disk goes on.
    expect(await submit(source, writeOf(8_192, randomBytes(512), true))).toBe(outcome.done);
    expect(source.rows()[0]?.behindBytes).toBeGreaterThan(0);
    go();
    await inStep(anna, bert);
    expect(bert.contents().equals(anna.contents())).toBe(true);
  });

  it('a target whose disk hangs is waited for until it goes on, where that is wanted, and status says so', async () => {
    const source = await pair({ mode: 'sync', onTargetLoss: 'block', targetLossMs: 500 });
    const go = bert.disk.stall('volume');
    const flushed = submit(source, writeOf(0, randomBytes(512), true));
    await until('it is missed', () => source.rows()[0]?.state === 'waiting');
    expect(source.rows()[0]?.says).toMatch(/its disk may hang; writes wait for it/);
    expect(await Promise.race([flushed, later(quietMs)])).toBe('waits');
    go();
    expect(await flushed).toBe(outcome.done);
    await inStep(anna, bert);
  });

  it('a disk that hangs at the mark that ends a resync is one, too', async () => {
    const source = await pair({ mode: 'sync', onTargetLoss: 'continue', targetLossMs: 500 });
    bert.cut();
    await until('it is missed', () => source.rows()[0]?.state === 'disconnected');
    // One more sync goes well: that with which the resync begins.
    const go = bert.disk.stall('volume', 1);
    bert.mend();
    await until('it is back', () => source.rows()[0]?.state === 'resync');
    const flushed = submit(source, writeOf(0, randomBytes(512), true));
    expect(await Promise.race([flushed, later(limitMs)])).toBe(outcome.done);
    expect(source.rows()[0]?.state).not.toBe('replicating');
    go();
    await inStep(anna, bert);
    expect(bert.contents().equals(anna.contents())).toBe(true);
  });

  it('from the moment a first copy may count as in step nothing is answered without it', async () => {
    anna = new VolumeHost('anna', { mode: 'sync', onTargetLoss: 'block' });
    bert = new VolumeHost('bert');
    const target = await bert.openTarget();
    const source = await anna.openSource(1n, [bert]);
    while (target.state().phase !== 'initial-copy') await new Promise((next) => setImmediate(next));
    // That it is in step can't be recorded, and so it is not told.
    const go = bert.disk.stall(groundRecord);
    await later(quietMs);
    expect(source.rows()[0]?.state).toBe('initial-copy');
    const bytes = randomBytes(512);
    const written = submit(source, writeOf(0, bytes, true));
    expect(await Promise.race([written, later(quietMs)])).toBe('waits');
    go();
    expect(await written).toBe(outcome.done);
    expect(bert.contents().subarray(0, 512).equals(bytes)).toBe(true);
  });

  it('what is written during a resync, and nothing after it, is answered when the target is in step', async () => {
    const source = await pair({ mode: 'sync', onTargetLoss: 'block' });
    bert.cut();
    await until('it is missed', () => source.rows()[0]?.state === 'disconnected');
    // Every second chunk, so that they are asked for one by one.
    const scattered = Array.from({ length: 32 }, (_, i) => 2 * i * chunkBytes);
    const before = scattered.map((offset) => submit(source, writeOf(offset, randomBytes(512))));
    bert.mend();
    while (source.rows()[0]?.state !== 'resync') await new Promise((next) => setImmediate(next));
    // The last chunk is not asked for yet: it travels with the resync.
    const bytes = randomBytes(512);
    const written = Promise.all([...before, submit(source, writeOf(62 * chunkBytes, bytes, true))]);
    expect(await Promise.race([written, later(5_000)])).toEqual([...before, 0].map(() => outcome.done));
    expect(
      bert
        .contents()
        .subarray(62 * chunkBytes, 62 * chunkBytes + 512)
        .equals(bytes),
    ).toBe(true);
  });

  it('what waits is told when the grant ends', async () => {
    const source = await pair({ mode: 'sync', onTargetLoss: 'block' });
    bert.cut();
    const written = submit(source, writeOf(0, randomBytes(512)));
    anna.renewing = false;
    anna.nowMs = grantMs + 1;
    expect(await written).toBe(outcome.shutdown);
    expect(await submit(source, writeOf(0, randomBytes(512)))).toBe(outcome.shutdown);
    expect(await submit(source, flush)).toBe(outcome.shutdown);
  });
});

it('a target that is cut off costs the service nothing in async mode', async () => {
  const source = await pair({ mode: 'async' });
  bert.cut();
  expect(await submit(source, writeOf(0, randomBytes(512)))).toBe(outcome.done);
  expect(await submit(source, flush)).toBe(outcome.done);
});

it('a disk that can not make writes durable says so, and is not believed any more', async () => {
  const source = await pair({ mode: 'async' });
  expect(await submit(source, writeOf(0, randomBytes(512)))).toBe(outcome.done);
  anna.disk.fail('volume', 'EIO');
  expect(await submit(source, flush)).toBe(outcome.io);
  anna.disk.fail('volume', null);
  expect(await submit(source, flush)).toBe(outcome.io);
  expect(await submit(source, writeOf(0, randomBytes(512)))).toBe(outcome.io);
  expect(source.failed).toMatch(/can't be made durable: EIO/);
});

it('a target whose disk fails is failed, says why, and the source goes on', async () => {
  const source = await pair({ mode: 'async' });
  bert.disk.fail('volume', 'EIO');
  expect(await submit(source, writeOf(0, randomBytes(512), true))).toBe(outcome.done);
  await until('the target says so', () => bert.target?.state().phase === 'failed');
  expect(bert.target?.state().says).toMatch(/can't be written here: EIO/);
  expect(await submit(source, writeOf(0, randomBytes(512)))).toBe(outcome.done);
});

it('a way back that grows too large is given up, said, and the copy counts as incomplete until it is in step', async () => {
  anna = new VolumeHost('anna');
  bert = new VolumeHost('bert', { undoBytesMax: 100_000 });
  anna.disk.open('volume').write(randomBytes(volumeBytes), 0);
  await bert.openTarget();
  const source = await anna.openSource(1n, [bert]);
  await inStep(anna, bert);
  bert.cut();
  await until('it is missed', () => source.rows()[0]?.state === 'disconnected');
  await submit(source, writeOf(0, randomBytes(volumeBytes)));
  bert.mend();
  await inStep(anna, bert);
  expect(bert.says.join()).toMatch(/the way back is given up/);
  expect(bert.target?.state().consistent).toBe(true);
  expect(bert.contents().equals(anna.contents())).toBe(true);
});
