/** A volume at its owner and at its target, in one process. */
import { randomBytes } from 'node:crypto';
import { outcome } from '../src/volumes/nbd/protocol.ts';
import { chunkBytes, inStep, submit, until, VolumeHost, volumeBytes, writeOf } from './volume-hosts.ts';

describe('a volume and its target', () => {
  let anna: VolumeHost;
  let bert: VolumeHost;
  beforeEach(() => {
    anna = new VolumeHost('anna');
    bert = new VolumeHost('bert');
  });
  afterEach(async () => {
    await anna.close();
    await bert.close();
  });

  it('has all of it after a first copy, and what is written meanwhile', async () => {
    const contents = randomBytes(volumeBytes);
    anna.disk.open('volume').write(contents, 0);
    await bert.openTarget();
    const source = await anna.openSource(1n, [bert]);
    for (let i = 0; i < 200; i += 1) {
      const bytes = randomBytes(1 + (i % 9) * 700);
      const offset = (i * 7_919) % (volumeBytes - bytes.length);
      bytes.copy(contents, offset);
      expect(await submit(source, writeOf(offset, bytes))).toBe(outcome.done);
      if (i % 10 === 0) await new Promise((next) => setImmediate(next));
    }
    await inStep(anna, bert);
    expect(anna.contents().equals(contents)).toBe(true);
    expect(bert.contents().equals(contents)).toBe(true);
    expect(bert.target?.state()).toMatchObject({ phase: 'replicating', consistent: true });
  });

  it('gets only what changed while the line was cut', async () => {
    anna.disk.open('volume').write(randomBytes(volumeBytes), 0);
    await bert.openTarget();
    const source = await anna.openSource(1n, [bert]);
    await inStep(anna, bert);
    bert.cut();
    await until('it is missed', () => source.rows()[0]?.state === 'disconnected');
    await submit(source, writeOf(chunkBytes * 3 + 100, randomBytes(200)));
    expect(source.rows()[0]).toMatchObject({ behindBytes: chunkBytes });
    bert.mend();
    await inStep(anna, bert);
    expect(bert.contents().equals(anna.contents())).toBe(true);
    expect(source.rows()[0]?.behindBytes).toBe(0);
  });

  it('sends each of several targets what that one lacks, and nothing else', async () => {
    const carl = new VolumeHost('carl');
    try {
      anna.disk.open('volume').write(randomBytes(volumeBytes), 0);
      await bert.openTarget();
      await carl.openTarget();
      const source = await anna.openSource(1n, [bert, carl]);
      await inStep(anna, bert);
      await inStep(anna, carl);
      expect([anna.sentTo(bert), anna.sentTo(carl)]).toEqual([volumeBytes, volumeBytes]);
      const away = async (host: VolumeHost, offset: number): Promise<void> => {
        host.cut();
        await submit(source, writeOf(offset, randomBytes(4_096)));
      };
      await away(bert, 5 * chunkBytes);
      expect(await source.drain('carl', 5_000)).toEqual(['carl']);
      await away(carl, 9 * chunkBytes);
      await submit(
        source,
        writeOf(20 * chunkBytes, anna.contents().subarray(20 * chunkBytes, 21 * chunkBytes)),
      );
      bert.mend();
      carl.mend();
      await inStep(anna, bert);
      await inStep(anna, carl);
      expect([anna.sentTo(bert), anna.sentTo(carl)]).toEqual([8_192, 4_096]);
      expect([bert, carl].map((host) => host.contents().equals(anna.contents()))).toEqual([true, true]);
    } finally {
      await carl.close();
    }
  });

  it('drains: whoever is told to hold everything does', async () => {
    await bert.openTarget();
    const source = await anna.openSource(1n, [bert]);
    await inStep(anna, bert);
    await submit(source, writeOf(0, randomBytes(4_096)));
    expect(await source.drain(null, 5_000)).toEqual(['bert']);
    expect(bert.contents().equals(anna.contents())).toBe(true);
    bert.cut();
    await submit(source, writeOf(0, randomBytes(4_096)));
    expect(await source.drain(null, 50)).toEqual([]);
  });

  it('is taken over, and goes back, and only differing blocks travel', async () => {
    anna.disk.open('volume').write(randomBytes(volumeBytes), 0);
    await bert.openTarget();
    await anna.openSource(1n, [bert]);
    await inStep(anna, bert);
    await pause();
    await anna.kill(null);
    const source = await bert.takeOver(2n, [anna]);
    await submit(source, writeOf(500_000, randomBytes(5_000)));
    await anna.openTarget();
    await inStep(bert, anna);
    expect(anna.contents().equals(bert.contents())).toBe(true);
    expect(anna.target?.kept.list()).toEqual([]);
  });

  it('keeps aside what the former owner wrote and nobody had', async () => {
    await bert.openTarget();
    let source = await anna.openSource(1n, [bert]);
    await inStep(anna, bert);
    bert.cut();
    const lost = randomBytes(5_000);
    await submit(source, writeOf(300_000, lost));
    await anna.kill(null);
    bert.mend();
    source = await bert.takeOver(2n, [anna]);
    await anna.openTarget();
    await inStep(bert, anna);
    expect(anna.contents().equals(bert.contents())).toBe(true);
    const kept = anna.target?.kept.list() ?? [];
    expect(kept).toEqual([expect.objectContaining({ offset: 299_008, length: 8_192, epoch: 1n })]);
    const pieces = kept.flatMap((range) => [...(anna.target?.kept.contentsOf(range) ?? [])]);
    const whole = Buffer.concat(pieces.map(({ contents }) => contents ?? Buffer.alloc(0)));
    expect(whole.subarray(300_000 - 299_008, 300_000 - 299_008 + 5_000).equals(lost)).toBe(true);
  });

  it('waits when what only exists there can not be kept aside', async () => {
    anna = new VolumeHost('anna', { keepMaxBytes: 4_096 });
    await bert.openTarget();
    const source = await anna.openSource(1n, [bert]);
    await inStep(anna, bert);
    bert.cut();
    const lost = randomBytes(50_000);
    await submit(source, writeOf(0, lost));
    await anna.kill(null);
    bert.mend();
    await bert.takeOver(2n, [anna]);
    await anna.openTarget();
    await until('it says so', () => anna.target?.state().phase === 'diverged');
    expect(anna.contents().subarray(0, lost.length).equals(lost)).toBe(true);
    const says = (): string => bert.source?.rows()[0]?.says ?? '';
    await until('its source does, too', () => /does not fit into the store of diverged blocks/.test(says()));
    await until('it stays so', () => bert.source?.rows()[0]?.state === 'disconnected');
    expect(anna.target?.state().phase).toBe('diverged');
    anna.target?.setRoom(1 << 30);
    await inStep(bert, anna);
    expect(anna.target?.kept.bytes).toBeGreaterThan(lost.length);
  });

  it('goes back to its last consistent point when the source dies in a resync', async () => {
    anna.disk.open('volume').write(randomBytes(volumeBytes), 0);
    await bert.openTarget();
    const source = await anna.openSource(1n, [bert]);
    await inStep(anna, bert);
    const consistent = bert.contents();
    bert.cut();
    await until('it is missed', () => source.rows()[0]?.state === 'disconnected');
    await submit(source, writeOf(0, randomBytes(volumeBytes)));
    bert.mend();
    await until('something was overwritten', () => !bert.contents().equals(consistent));
    await anna.kill(null);
    expect(bert.target?.state().consistent).toBe(true);
    await bert.takeOver(2n, [anna]);
    expect(bert.contents().equals(consistent)).toBe(true);
    await anna.openTarget();
    await inStep(bert, anna);
    expect(anna.contents().equals(consistent)).toBe(true);
  });

  it('finds what differs by itself, and mends it', async () => {
    anna.disk.open('volume').write(randomBytes(volumeBytes), 0);
    await bert.openTarget();
    const source = await anna.openSource(1n, [bert]);
    await inStep(anna, bert);
    const look = { repair: false, ranges: null };
    expect(await source.verify('bert', look, () => undefined)).toMatchObject({ differences: [] });
    bert.disk.open('volume').write(Buffer.from('rot'), 70_000);
    const found = await source.verify('bert', { ...look, repair: true }, () => undefined);
    expect(found).toMatchObject({
      comparedBytes: volumeBytes,
      differences: [{ offset: 69_632, length: 4_096 }],
    });
    await inStep(anna, bert);
    const part = await source.verify(
      'bert',
      { ...look, ranges: [{ offset: 65_536, length: 8_192 }] },
      () => undefined,
    );
    expect(part).toMatchObject({ comparedBytes: 8_192, differences: [] });
    expect(bert.contents().equals(anna.contents())).toBe(true);
  });

  it('refuses a source whose epoch is over', async () => {
    await bert.openTarget();
    await anna.openSource(5n, [bert]);
    await inStep(anna, bert);
    const carl = new VolumeHost('carl');
    await carl.openSource(4n, [bert]);
    await until('it is told', () => /epoch/.test(carl.source?.rows()[0]?.says ?? ''));
    await carl.close();
  });
});

const pause = (): Promise<void> => new Promise((next) => setTimeout(next, 20));
