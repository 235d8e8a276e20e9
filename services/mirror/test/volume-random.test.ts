/** Random lives of a volume. A failure prints its seed: VOLUME_SEED=n runs that one alone, VOLUME_LIVES=n runs as many. */
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { volumeSequence } from './volume-sequence.ts';

const lives = Number(process.env['VOLUME_LIVES'] ?? 300);
const only = process.env['VOLUME_SEED'];
const first = Number(only ?? 1);
const atOnce = 4;

setFlagsFromString('--expose-gc');
const collect = runInNewContext('gc') as () => void;
/** Node does not count shared memory, so it would not look for what is not used any more: gigabytes after some hundred lives. */
const collectEvery = 10;

it('survivors are in a state that the owner was in, in every life', async () => {
  const seeds = Array.from({ length: only === undefined ? lives : 1 }, (_, i) => first + i);
  const failures: string[] = [];
  const next = async (): Promise<void> => {
    for (let seed = seeds.shift(); seed !== undefined && failures.length < 3; seed = seeds.shift()) {
      const wrong = await volumeSequence(seed);
      if (wrong !== null) failures.push(wrong);
      if (seed % collectEvery === 0) collect();
    }
  };
  await Promise.all(Array.from({ length: atOnce }, next));
  expect(failures.join('\n\n')).toBe('');
}, 600_000);
