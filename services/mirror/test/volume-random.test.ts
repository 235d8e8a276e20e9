/** Random lives of a volume. A failure prints its seed: VOLUME_SEED=n runs that one alone, VOLUME_LIVES=n runs as many. */
import { volumeSequence } from './volume-sequence.ts';

const lives = Number(process.env['VOLUME_LIVES'] ?? 300);
const only = process.env['VOLUME_SEED'];
const first = Number(only ?? 1);
const atOnce = 4;

it('survivors are in a state that the owner was in, in every life', async () => {
  const seeds = Array.from({ length: only === undefined ? lives : 1 }, (_, i) => first + i);
  const failures: string[] = [];
  const next = async (): Promise<void> => {
    for (let seed = seeds.shift(); seed !== undefined && failures.length < 3; seed = seeds.shift()) {
      const wrong = await volumeSequence(seed);
      if (wrong !== null) failures.push(wrong);
    }
  };
  await Promise.all(Array.from({ length: atOnce }, next));
  expect(failures.join('\n\n')).toBe('');
}, 600_000);
