/** An owner that comes back after its group was given away by force: nothing of it is overwritten before a person chose. */
import { randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { MirrorRunRow } from '@holdfast/wire/mirror';
import { runBlocks } from '../src/process/volume-divergence-runs.ts';
import type { VolumeSource } from '../src/volumes/source/volume-source.ts';
import type { VolumeTarget } from '../src/volumes/target/volume-target.ts';
import { portsTo } from './run-ports.ts';
import { VolumeMember } from './volume-members.ts';
import { chunkBytes, inStep, submit, until, VolumeHost, volumeBytes, writeOf } from './volume-hosts.ts';

const ownAt = 300_000;
const limitMs = 120_000;

describe('a former owner', () => {
  let anna: VolumeHost;
  let bert: VolumeHost;
  let own: Buffer;
  beforeEach(() => {
    anna = new VolumeHost('anna');
    bert = new VolumeHost('bert');
    own = randomBytes(5_000);
    anna.disk.open('volume').write(randomBytes(volumeBytes), 0);
  });
  afterEach(async () => {
    await anna.close();
    await bert.close();
  });

  /** Anna is the owner at 1, and what it writes last reaches nobody; then Bert is, at 2. */
  async function bertGoesOn(wrote = true): Promise<VolumeSource> {
    await bert.openTarget();
    const source = await anna.openSource(1n, [bert]);
    await inStep(anna, bert);
    bert.cut();
    if (wrote) await submit(source, writeOf(ownAt, own));
    await source.close();
    anna.source = null;
    bert.mend();
    const successor = await bert.takeOver(2n, [anna]);
    await submit(successor, writeOf(0, randomBytes(50_000)));
    return successor;
  }

  const returns = (epoch = 2n, forced = 2n): Promise<VolumeTarget> => {
    anna.ordered = { epoch, forced };
    return anna.openTarget();
  };

  const diverged = (host = anna): Promise<void> =>
    until(`${host.name} has diverged`, () => host.target?.state().phase === 'diverged');

  /** Long enough for whoever dials to have come again and again. */
  const someTime = (): Promise<unknown> => new Promise((next) => setTimeout(next, 500));

  const targetOf = (host: VolumeHost): VolumeTarget => {
    if (host.target === null) throw new Error(`${host.name} is no target`);
    return host.target;
  };

  async function rowsOf(host: VolumeHost): Promise<readonly MirrorRunRow[]> {
    const rows: MirrorRunRow[] = [];
    const target = targetOf(host);
    const run = { kind: 'list', mirror: 'd3/disk', target: '', repair: false, path: '', to: '' } as const;
    await runBlocks(target.kept, run, host.name, portsTo(rows), [...target.apart()]);
    return rows;
  }

  it('is overwritten when nothing was forced, and what it wrote is kept', async () => {
    await bertGoesOn();
    anna.ordered = { epoch: 2n };
    await anna.openTarget();
    await inStep(bert, anna);
    expect(await rowsOf(anna)).toMatchObject([{ kept: true, epoch: 1n }]);
  });

  it('is overwritten when it was forced and it wrote nothing that the other one has not', async () => {
    await bertGoesOn(false);
    await returns();
    await inStep(bert, anna);
    expect(anna.contents().equals(bert.contents())).toBe(true);
  });

  it('stays as it is, says what to do, and lists what only it has', async () => {
    await bertGoesOn();
    const before = anna.contents();
    await returns();
    await diverged();
    await someTime();
    expect(anna.contents().equals(before)).toBe(true);
    const state = targetOf(anna).state();
    expect(state).toMatchObject({ phase: 'diverged', choice: true, consistent: true });
    expect(state.says).toContain('holdfast mirror resync d3/disk --target anna');
    expect(state.says).toContain('holdfast failover d3 --to anna --force');
    const chunk = Math.floor(ownAt / chunkBytes) * chunkBytes;
    expect(await rowsOf(anna)).toEqual([
      expect.objectContaining({ offset: chunk, length: chunkBytes, from: 'anna', epoch: 1n, kept: false }),
    ]);
    // Its contents can be looked at before anybody chooses.
    expect(await targetOf(anna).atRest()).toBe('');
    expect(bert.source?.rows()[0]).toMatchObject({ target: 'anna', state: 'disconnected' });
    expect(bert.source?.rows()[0]?.says).toContain('a person chooses');
  });

  it('says so at once when it is opened again, and waits for any owner that follows', async () => {
    await bertGoesOn();
    const before = anna.contents();
    await returns();
    await diverged();
    await anna.target?.close();
    bert.cut();
    expect((await anna.openTarget()).state()).toMatchObject({ phase: 'diverged', choice: true });
    bert.mend();
    await bert.source?.close();
    bert.source = null;
    await bert.openSource(3n, [anna]);
    anna.ordered = { epoch: 3n, forced: 2n };
    await until('it was asked again', () => targetOf(anna).state().epoch === 3n);
    await someTime();
    expect(targetOf(anna).state()).toMatchObject({ phase: 'diverged', choice: true });
    expect(anna.contents().equals(before)).toBe(true);
  });

  it('is overwritten once a person chose, also when its process died in between, and what it wrote is kept', async () => {
    await bertGoesOn();
    await returns();
    await diverged();
    bert.cut();
    expect(await targetOf(anna).choose()).toContain('bert survives');
    expect(await targetOf(anna).choose()).toBe('');
    await anna.kill(null);
    await returns();
    expect(targetOf(anna).state()).toMatchObject({ phase: 'disconnected', choice: false });
    bert.mend();
    await inStep(bert, anna);
    expect(anna.contents().equals(bert.contents())).toBe(true);
    const kept = targetOf(anna).kept.list();
    expect(kept).toMatchObject([{ epoch: 1n }]);
    const bytes = Buffer.alloc(volumeBytes);
    for (const range of kept)
      for (const piece of targetOf(anna).kept.contentsOf(range)) piece.contents?.copy(bytes, piece.offset);
    expect(bytes.subarray(ownAt, ownAt + own.length).equals(own)).toBe(true);
  });

  it('asks again when the group is given by force once more before it was overwritten', async () => {
    await bertGoesOn();
    await returns();
    await diverged();
    bert.cut();
    await targetOf(anna).choose();
    anna.ordered = { epoch: 3n, forced: 3n };
    await bert.source?.close();
    bert.source = null;
    bert.mend();
    await bert.openSource(3n, [anna]);
    await diverged();
  });

  it('asks nobody before its orders know of the owner that comes, and takes nothing', async () => {
    await bertGoesOn();
    const before = anna.contents();
    anna.ordered = { epoch: 1n };
    await anna.openTarget();
    await until('it was tried', () => bert.source?.rows()[0]?.says.includes('has not heard yet') === true);
    expect(targetOf(anna).state().choice).toBe(false);
    expect(anna.contents().equals(before)).toBe(true);
    anna.ordered = { epoch: 2n };
    await inStep(bert, anna);
  });

  it('survives when the group is given back to it by force: then the other one waits for the word of a person', async () => {
    await bertGoesOn();
    await returns();
    await diverged();
    await bert.source?.close();
    bert.source = null;
    const theirs = bert.contents();
    await anna.takeOver(3n, [bert]);
    bert.ordered = { epoch: 3n, forced: 3n };
    await bert.openTarget();
    await diverged(bert);
    await someTime();
    expect(bert.contents().equals(theirs)).toBe(true);
    expect(await targetOf(bert).choose()).toContain('anna survives');
    await inStep(anna, bert);
    expect(
      bert
        .contents()
        .subarray(ownAt, ownAt + own.length)
        .equals(own),
    ).toBe(true);
    expect(bert.contents().equals(anna.contents())).toBe(true);
    expect((await rowsOf(bert)).length).toBeGreaterThan(0);
    expect(await rowsOf(bert)).toEqual(
      (await rowsOf(bert)).map(
        () => expect.objectContaining({ from: 'bert', epoch: 2n, kept: true }) as unknown,
      ),
    );
  });
});

describe('mirror processes, whose group was given away by force', () => {
  let folder: string;
  afterEach(() => rmSync(folder, { recursive: true, force: true }));

  it(
    'overwrite nothing of the former owner through a kill, and only after a person said so',
    async () => {
      folder = mkdtempSync(join(tmpdir(), 'holdfast-choice-'));
      const [anna, bert] = await VolumeMember.pair({ folder, mode: 'async' });
      try {
        writeFileSync(anna.image, randomBytes(volumeBytes));
        anna.start();
        bert.start();
        bert.beTarget(1n, anna);
        anna.beSource(1n, bert);
        await bert.until('it is in step', () => stateOf(bert) === 'replicating');
        await bert.kill();
        const first = await anna.client();
        await first.write(ownAt, Buffer.alloc(4_096, 1), true);
        await anna.kill();
        bert.start();
        await bert.until('it runs', () => bert.report !== null);
        expect(await bert.takeOver(2n)).toMatchObject({ kind: 'done' });
        bert.beSource(2n, anna);
        const second = await bert.client();
        await second.write(ownAt, Buffer.alloc(4_096, 2), true);
        const before = anna.contents();
        anna.start();
        anna.beTarget(2n, bert, 2n);
        await anna.until('it has diverged', () => stateOf(anna) === 'diverged');
        expect(anna.report).toMatchObject({
          choice: true,
          says: expect.stringContaining('a person') as string,
        });
        await anna.kill();
        anna.start();
        await anna.until('it says so again', () => stateOf(anna) === 'diverged');
        expect(anna.contents().equals(before)).toBe(true);
        expect(await bert.resync()).toMatchObject({ kind: 'failed', as: 'failed' });
        expect(await anna.resync()).toMatchObject({ kind: 'done', settled: true });
        await anna.until('it is in step', () => stateOf(anna) === 'replicating');
        expect(anna.contents().equals(bert.contents())).toBe(true);
        expect(anna.report).toMatchObject({ notes: { keptEntries: 1 } });
        expect(anna.report).not.toHaveProperty('choice');
        expect(await anna.resync()).toMatchObject({ kind: 'failed', as: 'invalid' });
      } finally {
        await anna.kill();
        await bert.kill();
      }
    },
    limitMs,
  );
});

const stateOf = ({ report }: VolumeMember): string => (report?.kind === 'target' ? report.state : '');
