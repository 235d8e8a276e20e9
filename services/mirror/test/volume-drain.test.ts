/** A planned move of a volume: what its clients see of the drain. */
import { randomBytes } from 'node:crypto';
import { jest } from '@jest/globals';
import type { SourceSide } from '../src/process/side.ts';
import type { Lines } from '../src/process/source-role.ts';
import type { ThreadedExport } from '../src/process/threaded-export.ts';
import { VolumeSourceSide } from '../src/process/volume-source-role.ts';
import { KeptBlocks } from '../src/volumes/divergence/kept-blocks.ts';
import { outcome } from '../src/volumes/nbd/protocol.ts';
import type { VolumeSource } from '../src/volumes/source/volume-source.ts';
import { inStep, submit, VolumeHost, writeOf } from './volume-hosts.ts';

const quietMs = 150;
const hourMs = 3_600_000;
const later = (): Promise<'waits'> => new Promise((next) => setTimeout(() => next('waits'), quietMs));

describe('a drain before a planned move', () => {
  afterEach(() => void jest.useRealTimers());
  let anna: VolumeHost;
  let bert: VolumeHost;
  let source: VolumeSource;
  let side: SourceSide;
  let refused: (sentence: string) => void;
  beforeEach(async () => {
    anna = new VolumeHost('anna');
    bert = new VolumeHost('bert');
    await bert.openTarget();
    source = await anna.openSource(1n, [bert]);
    await inStep(anna, bert);
    // Clients are served by the test itself (volume-hosts.ts).
    const exporting: Pick<ThreadedExport, 'listen' | 'close' | 'hangUp'> = {
      listen: (_terms, ears) => {
        ({ refused } = ears);
        return Promise.resolve('');
      },
      close: () => undefined,
      hangUp: () => Promise.resolve(),
    };
    const lines: Pick<Lines, 'close'> = { close: () => undefined };
    const opened = await VolumeSourceSide.open('d3/disk', 1n, source, {
      exporting: exporting as ThreadedExport,
      lines: lines as Lines,
      file: { fd: -1, device: false, sizeBytes: source.sizeBytes },
      socketPath: '/none',
      kept: new KeptBlocks(anna.disk, 1 << 20),
      self: 'anna',
      says: () => undefined,
    });
    if (opened.kind === 'failed') throw new Error(opened.says);
    ({ side } = opened);
  });
  afterEach(async () => {
    await anna.close();
    await bert.close();
  });

  const write = (): Promise<number> => submit(source, writeOf(0, randomBytes(4_096)));

  it('holds nobody while the target is still far behind', async () => {
    const go = bert.stall();
    await write();
    const draining = side.drain('bert', 5_000);
    expect(await Promise.race([write(), later()])).toBe(outcome.done);
    go();
    expect(await draining).toEqual(['bert']);
    expect(bert.contents().equals(anna.contents())).toBe(true);
  });

  it('holds everybody once it is answered, until the move is called off', async () => {
    expect(await side.drain('bert', 5_000)).toEqual(['bert']);
    const held = write();
    expect(await Promise.race([held, later()])).toBe('waits');
    side.writable?.();
    expect(await held).toBe(outcome.done);
  });

  it('holds them as long as the move takes', async () => {
    jest.useFakeTimers({
      doNotFake: ['nextTick', 'queueMicrotask', 'setImmediate', 'setInterval', 'performance'],
    });
    expect(await side.drain('bert', 5_000)).toEqual(['bert']);
    jest.advanceTimersByTime(hourMs);
    jest.useRealTimers();
    const held = write();
    expect(await Promise.race([held, later()])).toBe('waits');
    side.writable?.();
    expect(await held).toBe(outcome.done);
  });

  it('holds nobody when the move was called off before it was answered', async () => {
    const go = bert.stall();
    await write();
    const draining = side.drain('bert', 5_000);
    side.writable?.();
    go();
    expect(await draining).toEqual([]);
    expect(await Promise.race([write(), later()])).toBe(outcome.done);
  });

  it('lets everybody go on when it fails', async () => {
    const go = bert.stall();
    await write();
    expect(await side.drain('bert', 300)).toEqual([]);
    expect(await Promise.race([write(), later()])).toBe(outcome.done);
    go();
  });

  it('what the disk refuses to a client is a trouble of the data', () => {
    expect(side.report().dataTrouble).toBeUndefined();
    refused("can't be read at 4096: EIO");
    expect(side.report().dataTrouble).toBe("can't be read at 4096: EIO");
  });
});
