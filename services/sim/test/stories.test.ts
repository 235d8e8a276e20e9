/** The list of faults, told once each, with a little noise. `./scripts/sim --story all` tells them over more seeds. */

import { stories } from '../src/stories/stories.ts';
import { tell } from '../src/stories/story.ts';

describe('stories of faults', () => {
  it.each(stories.map((s) => [s.name, s] as const))('%s', (_name, story) => {
    const { violation, journal } = tell(story, story.seed ?? 1);
    if (violation !== null) throw new Error([violation.says, ...journal(40)].join('\n'));
  });
});
