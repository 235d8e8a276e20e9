/** Fault 22, every process at every step: one seed each, as there are so many. */

import { failPointStories } from '../src/stories/fail-point-stories.ts';
import { tell } from '../src/stories/story.ts';

const seed = 1;

describe('a process that is killed in the middle of a move', () => {
  it.each(failPointStories.map((s) => [s.name, s] as const))('%s', (_name, story) => {
    const { violation, journal } = tell(story, seed);
    if (violation !== null) throw new Error([violation.says, ...journal(60)].join('\n'));
  });
});
