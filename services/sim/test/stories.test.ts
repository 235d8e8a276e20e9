/** The list of faults, told over a few seeds each, with a little noise. */

import { stories } from '../src/stories/stories.ts';
import { tell } from '../src/stories/story.ts';

const seeds = [1, 2, 3];

describe('stories of faults', () => {
  it.each(stories.map((s) => [s.name, s] as const))('%s', (_name, story) => {
    for (const seed of seeds) {
      const { violation, journal } = tell(story, seed);
      if (violation === null) continue;
      throw new Error([`seed ${String(seed)}: ${violation.says}`, ...journal(40)].join('\n'));
    }
  });
});
