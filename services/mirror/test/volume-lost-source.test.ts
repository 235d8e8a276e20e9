/** A target whose source goes away at any moment of a resync. */
import { randomBytes } from 'node:crypto';
import { chunkBytes, inStep, submit, until, VolumeHost, writeOf } from './volume-hosts.ts';

const momentsMax = 40;
const turn = (): Promise<void> => new Promise((next) => setImmediate(next));

it('is in step with nobody, whatever it still had to apply', async () => {
  const [anna, bert] = [new VolumeHost('anna'), new VolumeHost('bert')];
  const phase = (): string | undefined => bert.target?.state().phase;
  try {
    await bert.openTarget();
    const source = await anna.openSource(1n, [bert]);
    await inStep(anna, bert);
    for (let moment = 0; moment < momentsMax; moment += 1) {
      bert.cut();
      await until('it is missed', () => source.rows()[0]?.state === 'disconnected');
      await submit(source, writeOf((moment % 60) * chunkBytes, randomBytes(512)));
      bert.mend();
      while (phase() !== 'resync') await turn();
      for (let i = 0; i < moment; i += 1) await turn();
      bert.cut();
      for (let i = 0; i < 50; i += 1) await turn();
      if (phase() === 'replicating') throw new Error(`in step without a source, cut at moment ${moment}`);
    }
    bert.mend();
    await inStep(anna, bert);
    expect(bert.contents().equals(anna.contents())).toBe(true);
  } finally {
    await anna.close();
    await bert.close();
  }
}, 60_000);
