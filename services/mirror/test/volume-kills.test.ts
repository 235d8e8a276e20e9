/** Lives of a volume with real processes. VOLUME_SEED=n runs that one alone, VOLUME_KILLS=n as many. */
import { volumeKills } from './volume-kills.ts';

const only = process.env['VOLUME_SEED'];
const lives = only === undefined ? Number(process.env['VOLUME_KILLS'] ?? 2) : 1;
const lifeMs = 60_000;

it(
  'a volume outlives its mirror processes, whichever is killed',
  async () => {
    for (let seed = Number(only ?? 1), left = lives; left > 0; seed += 1, left -= 1)
      expect(await volumeKills(seed)).toBeNull();
  },
  lives * lifeMs,
);
